//! Replies as they come in, at whatever pieces (RFC 5321 §4.2, RFC 2034).
//!
//! **Invariant:** a hostile host makes us keep at most [`MAX_REPLY`] bytes.

use std::fmt;

use envelope::{Detail, Enhanced, Status};
use memchr::memchr;

use crate::reply::split_enhanced;

/// Bytes of one reply, line ends included; more is [`Malformed::TooLong`]. A hundred full lines
/// (RFC 5321 §4.5.3.1.5: 512 bytes) fit.
pub(super) const MAX_REPLY: usize = 64 * 1024;
/// Lines of one reply; more are [`Malformed::TooLong`].
pub(super) const MAX_LINES: usize = 100;
/// Bytes of one line that are kept.
pub(super) const MAX_LINE: usize = 2048;

/// One whole reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reply {
    /// 200 to 599.
    pub(super) code: u16,
    /// What followed the code, lines separated by `\n`.
    pub(super) text: String,
}

/// The first digit of a reply code (RFC 5321 §4.2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    Positive,
    Intermediate,
    Transient,
    Permanent,
}

/// How a host broke the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Malformed {
    /// A line does not begin with a reply code.
    Line,
    /// Over [`MAX_LINES`] or [`MAX_REPLY`].
    TooLong,
    /// Two replies where one was due.
    Unasked,
    /// A reply that is none for this command.
    Unfitting,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Line => "a reply without a reply code",
            Self::TooLong => "a reply without an end",
            Self::Unasked => "a reply before the command",
            Self::Unfitting => "a reply that does not fit the command",
        })
    }
}

/// Puts replies together.
#[derive(Debug, Default)]
pub(super) struct Replies {
    buffer: Vec<u8>,
    /// Lines of the reply under way.
    text: String,
    lines: usize,
    bytes: usize,
}

impl Replies {
    /// Adds what was read.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// Nothing has come beyond the replies already taken.
    pub(super) fn is_empty(&self) -> bool {
        self.buffer.is_empty() && self.lines == 0
    }

    /// The next reply; `None`: read more.
    ///
    /// # Errors
    /// After one, nothing that this host says can be understood.
    pub(super) fn next_reply(&mut self) -> Result<Option<Reply>, Malformed> {
        while let Some(end) = memchr(b'\n', &self.buffer) {
            let rest = self.buffer.split_off(end + 1);
            let line = std::mem::replace(&mut self.buffer, rest);
            if let Some(reply) = self.take_line(&line)? {
                return Ok(Some(reply));
            }
        }
        if self.bytes + self.buffer.len() > MAX_REPLY {
            return Err(Malformed::TooLong);
        }
        Ok(None)
    }

    /// One line with its line end; LF alone is forgiven.
    fn take_line(&mut self, line: &[u8]) -> Result<Option<Reply>, Malformed> {
        self.lines += 1;
        self.bytes += line.len();
        if self.lines > MAX_LINES || self.bytes > MAX_REPLY {
            return Err(Malformed::TooLong);
        }
        let (code, rest) = line.split_first_chunk::<3>().ok_or(Malformed::Line)?;
        let code = read_code(*code).ok_or(Malformed::Line)?;
        let (more, text) = match rest {
            [b'-', text @ ..] => (true, text),
            [b' ' | b'\t', text @ ..] => (false, text),
            // RFC 5321 §4.2.1: a client takes a code without text too.
            [b'\r' | b'\n', ..] => (false, rest),
            _ => return Err(Malformed::Line),
        };
        if self.lines > 1 {
            self.text.push('\n');
        }
        let text = text.strip_suffix(b"\n").unwrap_or(text);
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        let text = text.get(..MAX_LINE).unwrap_or(text);
        self.text.push_str(&String::from_utf8_lossy(text));
        if more {
            return Ok(None);
        }
        // Lines that disagree about the code: the last one is the reply.
        (self.lines, self.bytes) = (0, 0);
        Ok(Some(Reply { code, text: std::mem::take(&mut self.text) }))
    }
}

fn read_code(digits: [u8; 3]) -> Option<u16> {
    let code = str::from_utf8(&digits).ok()?.parse::<u16>().ok()?;
    (200..600).contains(&code).then_some(code)
}

impl Reply {
    pub(super) fn class(&self) -> Class {
        match self.code {
            ..300 => Class::Positive,
            300..400 => Class::Intermediate,
            400..500 => Class::Transient,
            500.. => Class::Permanent,
        }
    }

    /// Its lines, as they came.
    pub(super) fn lines(&self) -> impl Iterator<Item = String> {
        let mut rest = self.text.split('\n').peekable();
        std::iter::from_fn(move || {
            let text = rest.next()?;
            let mark = if rest.peek().is_some() { '-' } else { ' ' };
            Some(format!("{}{mark}{text}", self.code))
        })
    }

    /// The enhanced code in front of the text, if it agrees with the reply code (RFC 2034 §4).
    pub(super) fn enhanced(&self) -> Option<Enhanced> {
        let line = self.text.lines().next()?;
        split_enhanced(self.code, line).map(|(enhanced, _)| enhanced)
    }

    /// The reply as it is kept. Without an enhanced code it is X.0.0: we do not guess.
    pub(super) fn detail(&self, host: &str) -> Detail {
        let enhanced = self.enhanced().unwrap_or(Enhanced::UNDEFINED);
        Detail::reply(host, self.code, enhanced, &*self.text)
    }

    /// What this reply makes of a recipient. 3xx decides nothing, so it defers.
    pub(super) fn status(&self, host: &str) -> Status {
        match self.class() {
            Class::Positive => Status::Delivered(self.detail(host)),
            Class::Transient => Status::Deferred(self.detail(host)),
            Class::Permanent => Status::Failed(self.detail(host)),
            Class::Intermediate => {
                let detail = self.detail(host);
                Status::Deferred(Detail { enhanced: Enhanced::PROTOCOL, ..detail })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(bytes: &[u8]) -> Result<Vec<Reply>, Malformed> {
        let mut replies = Replies::default();
        replies.push(bytes);
        let mut all = Vec::new();
        while let Some(reply) = replies.next_reply()? {
            all.push(reply);
        }
        Ok(all)
    }

    fn reply(code: u16, text: &str) -> Reply {
        Reply { code, text: text.to_owned() }
    }

    #[test]
    fn forgives_what_is_met() {
        assert_eq!(read(b"250\r\n").unwrap(), [reply(250, "")]);
        assert_eq!(read(b"250 ok\n").unwrap(), [reply(250, "ok")]);
        assert_eq!(read(b"250-a\r\n250 b\r\n").unwrap(), [reply(250, "a\nb")]);
        assert_eq!(read(b"220-a\r\n554 b\r\n").unwrap(), [reply(554, "a\nb")]);
        assert_eq!(read(b"550 \xff\r\n").unwrap(), [reply(550, "\u{fffd}")]);
    }

    #[test]
    fn refuses_what_is_no_reply() {
        let strange: [&[u8]; 6] =
            [b"\r\n", b"2\r\n", b"2x0 a\r\n", b"250a\r\n", b"150 \r\n", b"+50 a\n"];
        for line in strange {
            assert_eq!(read(line), Err(Malformed::Line), "{line:?}");
        }
    }

    #[test]
    fn keeps_no_more_than_its_bounds() {
        let endless = vec![b'2'; MAX_REPLY + 1];
        assert_eq!(read(&endless), Err(Malformed::TooLong));
        let lines = b"250-a\r\n".repeat(MAX_LINES + 1);
        assert_eq!(read(&lines), Err(Malformed::TooLong));
        let long = [b"250 ", &[b'x'; 9000][..], b"\r\n"].concat();
        assert_eq!(read(&long).unwrap()[0].text.len(), MAX_LINE);
    }

    #[test]
    fn believes_an_enhanced_code_that_agrees() {
        let enhanced = |code, text: &str| reply(code, text).enhanced();
        assert_eq!(enhanced(550, "5.1.1 unknown"), Some(Enhanced(1, 1)));
        assert_eq!(enhanced(550, "5.7.509"), Some(Enhanced(7, 509)));
        for text in ["4.1.1 no", "5.1 no", "5.1.1.1 no", "5.1.1000 no", "5.+1.1 x", "x", "", "5..1"]
        {
            assert_eq!(enhanced(550, text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn pieces_do_not_matter(
            texts in prop::collection::vec((200_u16..600, "[ -~]{0,30}", "[ -~]{0,30}"), 1..8),
            cuts in prop::collection::vec(1_usize..20, 1..200),
        ) {
            let wire: String =
                texts.iter().map(|(code, a, b)| format!("{code}-{a}\r\n{code} {b}\r\n")).collect();
            let mut replies = Replies::default();
            let (mut got, mut rest) = (Vec::new(), wire.as_bytes());
            for cut in cuts.into_iter().cycle() {
                let (piece, after) = rest.split_at(cut.min(rest.len()));
                replies.push(piece);
                while let Some(reply) = replies.next_reply().unwrap() {
                    got.push(reply);
                }
                rest = after;
                if rest.is_empty() {
                    break;
                }
            }
            let expected: Vec<_> =
                texts.iter().map(|(code, a, b)| reply(*code, &format!("{a}\n{b}"))).collect();
            prop_assert_eq!(got, expected);
            prop_assert!(replies.is_empty());
        }

        #[test]
        fn any_bytes_are_taken_calmly(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            if let Ok(replies) = read(&bytes) {
                for reply in replies {
                    let status = reply.status("mx.test");
                    prop_assert_eq!(status.class() == 5, reply.class() == Class::Permanent);
                }
            }
        }
    }
}
