//! What became of a recipient.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The subject and detail of an enhanced status code (RFC 3463 §2). Its class comes from
/// [`Status`], so that the two cannot disagree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Enhanced(pub u16, pub u16);

impl Enhanced {
    /// X.0.0: nothing more is known.
    pub const UNDEFINED: Self = Self(0, 0);
    /// X.1.1: no such mailbox.
    pub const BAD_MAILBOX: Self = Self(1, 1);
    /// X.1.2: no such destination system.
    pub const BAD_SYSTEM: Self = Self(1, 2);
    /// X.1.10: the domain says that it takes no mail (null MX, RFC 7505).
    pub const NULL_MX: Self = Self(1, 10);
    /// X.2.2: the mailbox is full.
    pub const MAILBOX_FULL: Self = Self(2, 2);
    /// X.3.0: a fault of this system.
    pub const SYSTEM: Self = Self(3, 0);
    /// X.3.1: this system's disk is full.
    pub const SYSTEM_FULL: Self = Self(3, 1);
    /// X.4.1: no answer from the host.
    pub const NO_ANSWER: Self = Self(4, 1);
    /// X.4.2: the connection broke.
    pub const BAD_CONNECTION: Self = Self(4, 2);
    /// X.4.3: no answer from the DNS.
    pub const DIRECTORY: Self = Self(4, 3);
    /// X.4.4: no route to the destination.
    pub const UNROUTABLE: Self = Self(4, 4);
    /// X.4.6: a mail loop.
    pub const LOOP: Self = Self(4, 6);
    /// X.4.7: the message is too old.
    pub const EXPIRED: Self = Self(4, 7);
    /// X.5.0: the other side broke the protocol.
    pub const PROTOCOL: Self = Self(5, 0);
    /// X.7.1: not allowed.
    pub const REFUSED: Self = Self(7, 1);
}

/// Why: the enhanced code, what was said, and by whom.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Told")]
pub struct Detail {
    pub enhanced: Enhanced,
    /// The reply code of the other side (200 to 599), where there was one.
    pub code: Option<u16>,
    /// The other side's words unchanged (several lines separated by `\n`), or ours.
    /// At most [`Detail::MAX_TEXT`] bytes; from outside, so escape it before showing it.
    pub text: String,
    /// The name of the host that said it; `None`: we did. At most [`Detail::MAX_REMOTE`] bytes.
    pub remote: Option<String>,
}

/// The same as another process tells it, which may have been taken over.
#[derive(Deserialize)]
struct Told {
    enhanced: Enhanced,
    code: Option<u16>,
    text: String,
    remote: Option<String>,
}

impl From<Told> for Detail {
    fn from(Told { enhanced, code, text, remote }: Told) -> Self {
        let remote = remote.map(|name| bounded(name, Self::MAX_REMOTE));
        Self { enhanced, code, text: bounded(text, Self::MAX_TEXT), remote }
    }
}

impl Detail {
    /// Bytes of [`Detail::text`] that are kept: four full reply lines (RFC 5321 §4.5.3.1.5).
    pub const MAX_TEXT: usize = 2048;
    /// Bytes of [`Detail::remote`]: a domain has 255 (RFC 5321 §4.5.3.1.2).
    pub const MAX_REMOTE: usize = 300;

    /// Our own words.
    #[must_use]
    pub fn ours(enhanced: Enhanced, text: impl Into<String>) -> Self {
        Self { enhanced, code: None, text: bounded(text.into(), Self::MAX_TEXT), remote: None }
    }

    /// A reply of `remote`, kept as it came.
    #[must_use]
    pub fn reply(
        remote: impl Into<String>,
        code: u16,
        enhanced: Enhanced,
        text: impl Into<String>,
    ) -> Self {
        let remote = Some(bounded(remote.into(), Self::MAX_REMOTE));
        Self { enhanced, code: Some(code), text: bounded(text.into(), Self::MAX_TEXT), remote }
    }
}

fn bounded(mut text: String, bytes: usize) -> String {
    text.truncate(text.floor_char_boundary(bytes));
    text
}

/// What became of one recipient in one attempt. Any doubt is `Deferred`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Status {
    /// Synced to the mailbox, or the next hop said 250.
    Delivered(Detail),
    /// To be tried again.
    Deferred(Detail),
    /// Will never succeed; the reverse-path is to be told.
    Failed(Detail),
}

impl Status {
    #[must_use]
    pub const fn detail(&self) -> &Detail {
        match self {
            Self::Delivered(detail) | Self::Deferred(detail) | Self::Failed(detail) => detail,
        }
    }

    /// 2, 4 or 5: the first digit of the enhanced status code.
    #[must_use]
    pub const fn class(&self) -> u8 {
        match self {
            Self::Delivered(_) => 2,
            Self::Deferred(_) => 4,
            Self::Failed(_) => 5,
        }
    }

    /// The enhanced status code, `4.4.1`.
    #[must_use]
    pub fn code(&self) -> String {
        let Enhanced(subject, detail) = self.detail().enhanced;
        format!("{}.{subject}.{detail}", self.class())
    }

    /// For the field `stat` of the log, as sendmail writes it: `Deferred: 421 busy`.
    #[must_use]
    pub const fn logged(&self) -> Logged<'_> {
        Logged(self)
    }

    /// A fault of ours: 4.3.0, never a bounce.
    #[must_use]
    pub fn fault(text: impl Into<String>) -> Self {
        Self::Deferred(Detail::ours(Enhanced::SYSTEM, text))
    }
}

/// What a host says when it is asked whether it would take mail for a recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// It would: 2xx.
    Taken,
    /// It never will: 5xx.
    Refused(Detail),
    /// Not now; or, without a `remote`, nobody said anything.
    Unclear(Detail),
}

impl fmt::Display for Status {
    /// `5.1.1 (550 No such user)`, one line and safe to show.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.code(), self.detail())
    }
}

impl fmt::Display for Detail {
    /// `550 No such user`, one line and safe to show.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(code) = self.code {
            write!(f, "{code} ")?;
        }
        write!(f, "{}", crate::printable(&self.text.replace('\n', " ")))
    }
}

/// What [`Status::logged`] returns.
#[derive(Debug, Clone, Copy)]
pub struct Logged<'a>(&'a Status);

impl fmt::Display for Logged<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Status::Delivered(detail) => write!(f, "Sent ({detail})"),
            Status::Deferred(detail) => write!(f, "Deferred: {detail}"),
            Status::Failed(detail) => write!(f, "{detail}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Detail, Enhanced, Status};

    #[test]
    fn shown_on_one_line_with_its_class() {
        let detail = Detail::reply("mx.test", 550, Enhanced::BAD_MAILBOX, "no\nsuch \u{7}user");
        assert_eq!(Status::Failed(detail).to_string(), "5.1.1 (550 no such \\u{7}user)");
    }

    #[test]
    fn logged_as_sendmail_does() {
        let detail = || Detail::reply("mx.test", 451, Enhanced::NO_ANSWER, "not\nnow");
        let lines =
            [Status::Delivered(detail()), Status::Deferred(detail()), Status::Failed(detail())]
                .map(|status| status.logged().to_string());
        assert_eq!(lines, ["Sent (451 not now)", "Deferred: 451 not now", "451 not now",]);
    }

    #[test]
    fn text_is_bounded_at_a_character() {
        let detail = Detail::ours(Enhanced::SYSTEM, "ä".repeat(2000));
        assert_eq!(detail.text.len(), Detail::MAX_TEXT);
    }

    #[test]
    fn whoever_tells_of_it_the_bounds_are_kept() {
        let long = "x".repeat(100_000);
        let told = (Enhanced::SYSTEM, Some(450_u16), &long, Some(&long));
        let detail: Detail = postcard::from_bytes(&postcard::to_allocvec(&told).unwrap()).unwrap();
        assert_eq!(detail.text.len(), Detail::MAX_TEXT);
        assert_eq!(detail.remote.map(|name| name.len()), Some(Detail::MAX_REMOTE));
        assert_eq!((detail.enhanced, detail.code), (Enhanced::SYSTEM, Some(450)));
    }
}
