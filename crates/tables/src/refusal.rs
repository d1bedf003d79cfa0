//! What the `error:` mailer says (cf/README, "ANTI-SPAM CONFIGURATION CONTROL"; buildaddr in
//! sendmail's parseaddr.c).

use envelope::{Detail, Enhanced, Status};

/// A recipient that a table refuses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The reply code, 400 to 599. Its first digit is the class of the enhanced code.
    pub code: u16,
    pub enhanced: Enhanced,
    pub text: String,
}

/// sysexits(3) by the names that sendmail has for them (ErrorCodes in parseaddr.c), and what it
/// says of each (sysexits.c).
const KEYWORDS: [(&str, u16, Enhanced); 8] = [
    ("usage", 500, Enhanced::UNDEFINED),
    ("nouser", 550, Enhanced::BAD_MAILBOX),
    ("nohost", 550, Enhanced::BAD_SYSTEM),
    ("unavailable", 554, Enhanced::UNDEFINED),
    ("software", 554, Enhanced::SYSTEM),
    ("tempfail", 450, Enhanced::UNDEFINED),
    ("protocol", 554, Enhanced::PROTOCOL),
    ("config", 554, Enhanced(3, 5)),
];

impl Refusal {
    /// Reads what follows `error:`: `D.S.N:text`, `keyword:text`, `keyword text` or `text`. The text
    /// may begin with a reply code, and an enhanced code after it: these count most.
    #[must_use]
    pub fn read(value: &str) -> Self {
        let value = value.trim();
        let (head, rest) = value.split_once([':', ' ', '\t']).unwrap_or((value, ""));
        let keyword = KEYWORDS.iter().find(|(keyword, ..)| keyword.eq_ignore_ascii_case(head));
        let (named, text) = match (keyword, enhanced_code(head)) {
            (Some((_, code, enhanced)), _) => (Some((*code, *enhanced)), rest),
            (None, Some((class, enhanced))) => (Some((class * 100 + 50, enhanced)), rest),
            (None, None) => (None, value),
        };
        let (stated, text) = stated(text.trim().trim_matches('"').trim());
        let (code, enhanced) = match (stated, named) {
            (Some((code, Some(enhanced))), _) => (code, enhanced),
            (Some((code, None)), Some((_, enhanced))) => (code, enhanced),
            (Some((code, None)), None) => (code, Enhanced::UNDEFINED),
            (None, Some(named)) => named,
            (None, None) => (553, Enhanced::SYSTEM),
        };
        let text = if text.is_empty() { "mail to this address is not accepted" } else { text };
        Self { code, enhanced, text: text.to_owned() }
    }

    /// What becomes of a queued recipient.
    #[must_use]
    pub fn status(&self) -> Status {
        let detail = Detail::ours(self.enhanced, self.text.as_str());
        if self.code < 500 { Status::Deferred(detail) } else { Status::Failed(detail) }
    }
}

/// `550 5.7.1 text`, `550 text` or `text`: the codes that it begins with, and the rest.
fn stated(text: &str) -> (Option<(u16, Option<Enhanced>)>, &str) {
    let first = |text: &'_ str| text.split_once(' ').map_or(text.len(), |(word, _)| word.len());
    let (word, rest) = text.split_at_checked(first(text)).unwrap_or_default();
    let code = (word.len() == 3).then(|| word.parse().ok()).flatten();
    let Some(code) = code.filter(|code| (400..600).contains(code)) else { return (None, text) };
    let rest = rest.trim_start();
    let (word, words) = rest.split_at_checked(first(rest)).unwrap_or_default();
    match enhanced_code(word) {
        Some((class, enhanced)) if class == code / 100 => {
            (Some((code, Some(enhanced))), words.trim_start())
        }
        Some(_) | None => (Some((code, None)), rest),
    }
}

/// `5.7.1` as its class, 4 or 5, and the rest.
fn enhanced_code(text: &str) -> Option<(u16, Enhanced)> {
    let number = |text: &str| text.parse::<u16>().ok().filter(|number| *number < 1000);
    let mut numbers = text.split('.').map(number);
    let (class, subject, detail) = (numbers.next()??, numbers.next()??, numbers.next()??);
    let fits = matches!(class, 4 | 5) && numbers.next().is_none();
    fits.then_some((class, Enhanced(subject, detail)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_come_from_the_text_the_head_or_the_keyword() {
        for (value, code, enhanced, text) in [
            // cf/README, FEATURE(virtusertable): the two examples.
            ("nouser 550 No such user here", 550, (1, 1), "No such user here"),
            ("5.7.0:550 Address invalid", 550, (7, 0), "Address invalid"),
            // proto.m4, MailerToTriple: keyword with a colon, and neither.
            ("nohost:gone", 550, (1, 2), "gone"),
            ("Relaying is off", 553, (3, 0), "Relaying is off"),
            // parseaddr.c, buildaddr: codes in the text, which may be quoted.
            ("5.1.1:\"553 5.1.6 moved away\"", 553, (1, 6), "moved away"),
            ("450 busy", 450, (0, 0), "busy"),
            ("550 4.1.1 odd", 550, (0, 0), "4.1.1 odd"),
            ("4.7.1:later", 450, (7, 1), "later"),
            ("TEMPFAIL:later", 450, (0, 0), "later"),
            ("usage:x", 500, (0, 0), "x"),
            ("unavailable:x", 554, (0, 0), "x"),
            ("software:x", 554, (3, 0), "x"),
            ("protocol:x", 554, (5, 0), "x"),
            ("config:x", 554, (3, 5), "x"),
            ("nouser", 550, (1, 1), "mail to this address is not accepted"),
            ("", 553, (3, 0), "mail to this address is not accepted"),
            ("6.1.1:x", 553, (3, 0), "6.1.1:x"),
            ("5.1:x", 553, (3, 0), "5.1:x"),
            ("5.1.1.1:x", 553, (3, 0), "5.1.1.1:x"),
            ("5.999.1:x", 550, (999, 1), "x"),
            ("5.1.1000:x", 553, (3, 0), "5.1.1000:x"),
            ("250 fine", 553, (3, 0), "250 fine"),
            ("0550 x", 553, (3, 0), "0550 x"),
        ] {
            let text = text.to_owned();
            let expected = Refusal { code, enhanced: Enhanced(enhanced.0, enhanced.1), text };
            assert_eq!(Refusal::read(value), expected, "{value}");
        }
    }

    #[test]
    fn the_reply_code_decides_whether_it_is_final() {
        let detail = |subject, detail| Detail::ours(Enhanced(subject, detail), "x");
        assert_eq!(Refusal::read("nouser:x").status(), Status::Failed(detail(1, 1)));
        assert_eq!(Refusal::read("usage:x").status(), Status::Failed(detail(0, 0)));
        assert_eq!(Refusal::read("5.1.1:450 x").status(), Status::Deferred(detail(1, 1)));
    }
}
