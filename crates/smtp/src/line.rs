//! Taking command lines off the input.

use memchr::memchr;

/// Bytes of a command line with its end. RFC 5321 §4.5.3.1.4 asks for 512 at least; the parameters
/// of SIZE, 8BITMIME, SMTPUTF8 and DSN add 26, 17, 10 and 500 + 28 (RFC 3461 §5.4) to it.
pub(crate) const MAX: usize = 2048;

/// What stands at the start of the input.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Line<'a> {
    /// A whole line, without its CRLF.
    Whole(&'a [u8]),
    /// Its end has not arrived.
    Partial,
    /// Over [`MAX`]; its end may not have arrived.
    TooLong,
    /// A CR or an LF that is not part of a CRLF.
    Bare,
}

/// Reads one line; `input` moves behind it only if it is whole.
pub(crate) fn take<'a>(input: &mut &'a [u8]) -> Line<'a> {
    let all = *input;
    let Some(end) = memchr(b'\n', all) else {
        return if all.len() < MAX { Line::Partial } else { Line::TooLong };
    };
    let (line, rest) = all.split_at(end + 1);
    match line.strip_suffix(b"\r\n") {
        Some(line) if memchr(b'\r', line).is_some() => Line::Bare,
        Some(_) if end >= MAX => Line::TooLong,
        Some(line) => {
            *input = rest;
            Line::Whole(line)
        }
        None => Line::Bare,
    }
}

/// Bytes of a line over [`MAX`] that are skipped to find its end; it may be a message whose sender
/// did not hear that DATA was refused.
pub(crate) const MAX_SKIPPED: usize = 1024 * 1024;

/// Skips the rest of a line that is too long.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Skip {
    after_cr: bool,
    skipped: usize,
}

impl Skip {
    /// Consumes input up to the end of the line: `Whole` when it was reached, else `Partial`, or
    /// `Bare`; `TooLong` over [`MAX_SKIPPED`].
    pub(crate) fn advance(&mut self, input: &mut &[u8]) -> Line<'static> {
        while let Some((&byte, rest)) = input.split_first() {
            *input = rest;
            self.skipped += 1;
            match (self.after_cr, byte) {
                (true, b'\n') => return Line::Whole(b""),
                (true, _) | (false, b'\n') => return Line::Bare,
                (false, _) if self.skipped > MAX_SKIPPED => return Line::TooLong,
                (false, byte) => self.after_cr = byte == b'\r',
            }
        }
        Line::Partial
    }
}

#[cfg(test)]
mod tests {
    use super::{Line, MAX, MAX_SKIPPED, Skip, take};

    #[test]
    fn only_crlf_ends_a_line() {
        for (text, line, rest) in [
            ("NOOP\r\nQ", Line::Whole(&b"NOOP"[..]), "Q"),
            ("\r\n", Line::Whole(b""), ""),
            ("NOOP", Line::Partial, "NOOP"),
            ("NOOP\r", Line::Partial, "NOOP\r"),
            ("NOOP\n", Line::Bare, "NOOP\n"),
            ("NO\rOP\r\n", Line::Bare, "NO\rOP\r\n"),
            ("NOOP\r\r\n", Line::Bare, "NOOP\r\r\n"),
            ("\n", Line::Bare, "\n"),
        ] {
            let mut input = text.as_bytes();
            assert_eq!((take(&mut input), input), (line, rest.as_bytes()), "{text:?}");
        }
    }

    #[test]
    fn a_long_line_is_skipped_to_its_end() {
        let text = format!("{}\r\nNOOP", "x".repeat(MAX - 1));
        assert_eq!(take(&mut text.as_bytes()), Line::TooLong);
        for cut in [1, MAX - 1, MAX] {
            let (mut first, mut second) = text.as_bytes().split_at(cut);
            let mut skip = Skip::default();
            assert_eq!(skip.advance(&mut first), Line::Partial, "{cut}");
            assert_eq!((skip.advance(&mut second), second), (Line::Whole(b""), &b"NOOP"[..]));
        }
        let endless = b"x".repeat(MAX_SKIPPED + 1);
        assert_eq!(Skip::default().advance(&mut &endless[1..]), Line::Partial);
        assert_eq!(Skip::default().advance(&mut &endless[..]), Line::TooLong);
        assert_eq!(Skip::default().advance(&mut &b"x\rx"[..]), Line::Bare);
        assert_eq!(Skip::default().advance(&mut &b"x\n"[..]), Line::Bare);
        assert_eq!(take(&mut &b"x".repeat(MAX - 1)[..]), Line::Partial);
        let mut fits = format!("{}\r\n", "x".repeat(MAX - 2)).into_bytes();
        assert!(matches!(take(&mut &fits[..]), Line::Whole(_)));
        fits.insert(0, b'x');
        assert_eq!(take(&mut &fits[..]), Line::TooLong);
    }
}
