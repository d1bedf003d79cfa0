//! Replies (RFC 5321 §4.2, enhanced status codes of RFC 2034).

use std::borrow::Cow;
use std::fmt;

use envelope::{Enhanced, is_hidden};

/// One reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// 200 to 599.
    pub code: u16,
    /// Subject and detail of the enhanced status code; its class is the first digit of `code`
    /// (RFC 2034 §4), so that the two cannot disagree.
    pub enhanced: Option<Enhanced>,
    /// The text without codes; several lines are separated by `\n`.
    pub text: Cow<'static, str>,
}

/// The characters that a client understands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Charset {
    Ascii,
    /// In a transaction that began with SMTPUTF8 (RFC 6531 §3.7.4.2).
    Utf8,
}

impl Charset {
    fn has(self, c: char) -> bool {
        match self {
            Self::Ascii => matches!(c, ' '..='~'),
            Self::Utf8 => !is_hidden(c),
        }
    }
}

impl Reply {
    /// Bytes of text in one line as we write it: RFC 5321 §4.5.3.1.5 allows 512 with codes and
    /// line end.
    pub const MAX_TEXT: usize = 480;

    /// A reply with an enhanced status code.
    #[must_use]
    pub fn new(code: u16, enhanced: Enhanced, text: impl Into<Cow<'static, str>>) -> Self {
        Self { code, enhanced: Some(enhanced), text: text.into() }
    }

    /// A reply without one: greetings, EHLO, 354 (RFC 2034 §4).
    #[must_use]
    pub fn bare(code: u16, text: impl Into<Cow<'static, str>>) -> Self {
        Self { code, enhanced: None, text: text.into() }
    }

    /// A reply from its code and a text that may begin with an enhanced status code
    /// (`5.7.1 Relaying denied`). A code of another class than `code` stays part of the text.
    #[must_use]
    pub fn from_text(code: u16, text: &str) -> Self {
        match split_enhanced(code, text) {
            Some((enhanced, rest)) => Self::new(code, enhanced, rest.to_owned()),
            None => Self::bare(code, text.to_owned()),
        }
    }

    /// 2, 3, 4 or 5.
    #[must_use]
    pub const fn class(&self) -> u16 {
        self.code / 100
    }

    /// Appends the reply as it goes over the wire. What is not printable there becomes `?`: a
    /// reply may carry words from outside, and must stay one reply.
    pub fn write(&self, charset: Charset, out: &mut Vec<u8>) {
        let mut lines = self.text.split('\n').peekable();
        while let Some(line) = lines.next() {
            out.extend_from_slice(self.code.to_string().as_bytes());
            out.push(if lines.peek().is_some() { b'-' } else { b' ' });
            if let Some(Enhanced(subject, detail)) = self.enhanced {
                let codes = format!("{}.{subject}.{detail} ", self.class());
                out.extend_from_slice(codes.as_bytes());
            }
            let shown: String =
                line.chars().map(|c| if charset.has(c) { c } else { '?' }).collect();
            let end = shown.floor_char_boundary(Self::MAX_TEXT);
            out.extend_from_slice(shown.as_bytes().split_at(end).0);
            out.extend_from_slice(b"\r\n");
        }
    }
}

impl fmt::Display for Reply {
    /// `550 5.7.1 Relaying denied`, one line and safe to show.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.code)?;
        if let Some(Enhanced(subject, detail)) = self.enhanced {
            write!(f, " {}.{subject}.{detail}", self.class())?;
        }
        write!(f, " {}", envelope::printable(&self.text.replace('\n', " ")))
    }
}

/// The enhanced status code at the start of `text`, and what follows it. `None` where there is
/// none of the class of `code` (RFC 3463 §2: one digit, and twice one to three).
#[must_use]
pub fn split_enhanced(code: u16, text: &str) -> Option<(Enhanced, &str)> {
    let (codes, rest) = text.split_once(' ').unwrap_or((text, ""));
    let mut parts = codes.split('.');
    let class = number(parts.next()?)?;
    let enhanced = Enhanced(number(parts.next()?)?, number(parts.next()?)?);
    (parts.next().is_none() && class == code / 100).then_some((enhanced, rest))
}

fn number(text: &str) -> Option<u16> {
    let plain = (1..=3).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    if plain { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use envelope::Enhanced;

    use super::{Charset, Reply};

    fn written(reply: &Reply) -> String {
        written_in(Charset::Ascii, reply)
    }

    fn written_in(charset: Charset, reply: &Reply) -> String {
        let mut out = Vec::new();
        reply.write(charset, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn each_line_carries_its_codes() {
        let reply = Reply::new(550, Enhanced::REFUSED, "Relaying denied\nreally");
        assert_eq!(written(&reply), "550-5.7.1 Relaying denied\r\n550 5.7.1 really\r\n");
        assert_eq!(written(&Reply::bare(250, "a\nSIZE 1")), "250-a\r\n250 SIZE 1\r\n");
    }

    #[test]
    fn words_from_outside_stay_within_their_line() {
        let reply = Reply::bare(550, "no \r250 ok \u{1b}[m \u{e4}\0");
        assert_eq!(written(&reply), "550 no ?250 ok ?[m ??\r\n");
        assert!(written(&Reply::bare(550, "x".repeat(5000))).len() <= 512);
    }

    /// RFC 5321 §4.5.3.1.5 counts octets.
    #[test]
    fn who_understands_utf8_is_shown_it() {
        let reply = Reply::bare(550, "no \r250 d\u{f6}rte \u{1b}\u{202e}\u{85}\0");
        assert_eq!(written_in(Charset::Utf8, &reply), "550 no ?250 d\u{f6}rte ????\r\n");
        let long = written_in(Charset::Utf8, &Reply::bare(550, "\u{1f4ee}".repeat(5000)));
        assert_eq!(long.len(), "550 \r\n".len() + Reply::MAX_TEXT);
    }

    #[test]
    fn an_enhanced_code_must_fit_its_reply() {
        let reply = Reply::from_text(550, "5.7.1 Relaying denied");
        assert_eq!((reply.enhanced, &*reply.text), (Some(Enhanced(7, 1)), "Relaying denied"));
        for text in ["4.7.1 no", "5.7 no", "5.7.1.1 no", "5.+7.1 no", "5.7777.1 no", "no"] {
            assert_eq!(Reply::from_text(550, text).enhanced, None, "{text}");
        }
        assert_eq!(Reply::from_text(250, "2.0.0").text, "");
    }
}
