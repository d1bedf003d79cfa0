//! What a user of this machine says of a submission beside its envelope (`sendmail -G -L -n -oM -p`).
//!
//! **Invariant:** it gives no right. Who it is that submits the kernel says, and relaying and policy ask
//! about nobody else.

use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// See the fields.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Submission {
    pub aliasing: Aliasing,
    pub header: HeaderCare,
    /// For the lines of the log about it.
    pub tag: Option<Label>,
    /// Counts only if the table `trusted-users` has the user.
    pub client: OriginalClient,
}

/// Whether aliases count for a message.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Aliasing {
    #[default]
    Followed,
    /// `sendmail -n`. Virtual users and `.forward` count all the same, as only alias() of sendmail's
    /// alias.c asks for NoAlias.
    Skipped,
}

/// What is done to the header of a submission.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum HeaderCare {
    #[default]
    Complete,
    /// `sendmail -G`: another system's message is passed on as it is.
    Leave,
}

/// From where a message came before a program of this machine passed it on, as that program says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OriginalClient {
    pub address: Option<IpAddr>,
    pub name: Option<Label>,
    /// In place of `with` in the `Received` field.
    pub protocol: Option<Label>,
    /// Who the user was there, as IDENT would say.
    pub user: Option<Label>,
}

impl OriginalClient {
    #[must_use]
    pub fn is_known(&self) -> bool {
        *self != Self::default()
    }
}

/// A word that may stand in a header field, in a log line and in an SMTP command: letters and digits of
/// ASCII and `-._/:[]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label(String);

impl Label {
    /// Bytes of a name of a host (RFC 5321 §4.5.3.1.2).
    pub const NAME: usize = 255;
    /// Bytes of any other (sendmail's `-L`).
    pub const WORD: usize = 32;

    /// A text that is one, of at most `most` bytes.
    #[must_use]
    pub fn read(text: &str, most: usize) -> Option<Self> {
        let fits = (1..=most).contains(&text.len()) && text.chars().all(is_plain);
        fits.then(|| Self(text.to_owned()))
    }

    /// The characters of a text that may be in one, the first `most` of them (cleanstrcpy() in sendmail's
    /// util.c).
    #[must_use]
    pub fn made_of(text: &str, most: usize) -> Option<Self> {
        let label: String = text.chars().filter(|&c| is_plain(c)).take(most).collect();
        (!label.is_empty()).then_some(Self(label))
    }
}

fn is_plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || "-._/:[]".contains(c)
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::Label;

    #[test]
    fn a_label_bends_no_line() {
        for bad in ["", "a b", "a\r\nX: y", "a)", "(a", "a;b", "a+b", "a=b", "ä", "\"", "\\", "\0"]
        {
            assert_eq!(Label::read(bad, 99), None, "{bad:?}");
        }
        assert_eq!(Label::read("abc", 2), None);
        for good in ["a", "[IPv6:2001:db8::1]", "mx-1.example_x", "a/b"] {
            assert_eq!(Label::read(good, Label::NAME).unwrap().to_string(), good);
        }
    }

    #[test]
    fn of_any_text_stays_what_is_a_label() {
        let made = |text: &str| Label::made_of(text, 5).map(|label| label.to_string());
        assert_eq!(made("a (b)\r\nX: y").as_deref(), Some("abX:y"));
        assert_eq!(made("ümlaut").as_deref(), Some("mlaut"));
        assert_eq!(made("abcdefgh").as_deref(), Some("abcde"));
        assert_eq!(made("\u{202e} ()"), None);
    }
}
