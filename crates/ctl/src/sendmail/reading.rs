//! The message as a program writes it to stdin, made content: CRLF line ends, no NUL, no bare CR.

use std::io::{self, BufRead, Read as _};

use super::options::InputEnd;

/// Why there is no message.
#[derive(Debug)]
pub(super) enum ReadError {
    /// More bytes than the limit.
    TooLarge,
    Io(io::Error),
}

/// Reads to the end of the message; `limit` is the most bytes of content.
///
/// # Errors
/// [`ReadError`].
pub(super) fn read(
    input: &mut impl BufRead,
    end: InputEnd,
    limit: u64,
) -> Result<Vec<u8>, ReadError> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let mut content = Vec::new();
    let mut line = Vec::new();
    let mut first = true;
    loop {
        line.clear();
        let room = limit.saturating_sub(content.len()).saturating_add(1);
        // A mailbox's `From ` line does not count, and CRLF may take the place of one byte.
        let room = u64::try_from(room).unwrap_or(u64::MAX).saturating_add(FROM_LINE);
        let read = input.by_ref().take(room).read_until(b'\n', &mut line);
        if read.map_err(ReadError::Io)? == 0 {
            return Ok(content);
        }
        let text = without_line_end(&line);
        if end == InputEnd::Dot && text == b"." {
            return Ok(content);
        }
        let from_line = std::mem::take(&mut first) && text.starts_with(b"From ");
        if !from_line {
            append(text, &mut content);
        }
        if content.len() > limit {
            return Err(ReadError::TooLarge);
        }
    }
}

/// Bytes that a `From ` line may have beyond the limit.
const FROM_LINE: u64 = 1024;

/// Line ends of the caller may be LF, CRLF or a mixture, as PHP writes it.
fn without_line_end(line: &[u8]) -> &[u8] {
    let mut line = line.strip_suffix(b"\n").unwrap_or(line);
    while let Some(rest) = line.strip_suffix(b"\r") {
        line = rest;
    }
    line
}

/// A bare CR becomes a space: as a line end it could bring in a header field.
fn append(text: &[u8], content: &mut Vec<u8>) {
    if text.iter().any(|byte| matches!(byte, b'\r' | 0)) {
        let kept = text.iter().filter(|byte| **byte != 0);
        content.extend(kept.map(|&byte| if byte == b'\r' { b' ' } else { byte }));
    } else {
        content.extend_from_slice(text);
    }
    content.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read_all(input: &[u8], end: InputEnd) -> Vec<u8> {
        read(&mut &input[..], end, 1 << 20).unwrap()
    }

    #[test]
    fn line_ends_are_made_clean() {
        let cases: [(&[u8], &[u8]); 9] = [
            (b"", b""),
            (b"A: 1\n\nx\n", b"A: 1\r\n\r\nx\r\n"),
            (b"A: 1\r\n\r\nx\r\n", b"A: 1\r\n\r\nx\r\n"),
            (b"A: 1\r\nB: 2\n\nx", b"A: 1\r\nB: 2\r\n\r\nx\r\n"),
            (b"A: 1\r\r\n\r\n", b"A: 1\r\n\r\n"),
            (b"A: 1\rBcc: x\n", b"A: 1 Bcc: x\r\n"),
            (b"a\0b\n", b"ab\r\n"),
            (b"From alice Sat Nov 21\nA: 1\nFrom b\n", b"A: 1\r\nFrom b\r\n"),
            (b">From alice\n\n", b">From alice\r\n\r\n"),
        ];
        for (input, content) in cases {
            assert_eq!(read_all(input, InputEnd::File), content, "{input:?}");
        }
    }

    #[test]
    fn a_dot_ends_it_unless_told_otherwise() {
        for input in [&b"a\n.\nb\n"[..], b"a\r\n.\r\nb\r\n", b"a\n."] {
            assert_eq!(read_all(input, InputEnd::Dot), b"a\r\n", "{input:?}");
        }
        assert_eq!(read_all(b"a\n.\nb\n", InputEnd::File), b"a\r\n.\r\nb\r\n");
        assert_eq!(read_all(b"..\n. \n", InputEnd::Dot), b"..\r\n. \r\n");
    }

    #[test]
    fn the_limit_is_kept() {
        let read_at = |input: &[u8], limit| read(&mut &input[..], InputEnd::File, limit);
        assert_eq!(read_at(b"12345678\n", 10).unwrap().len(), 10);
        assert!(matches!(read_at(b"123456789\n", 10), Err(ReadError::TooLarge)));
        assert!(matches!(read_at(&[b'x'; 5000], 10), Err(ReadError::TooLarge)));
        assert!(matches!(read_at(&b"\n".repeat(50), 10), Err(ReadError::TooLarge)));
    }

    proptest! {
        #[test]
        fn whatever_is_read_is_clean(input in "[a\0.\r\n]{0,40}") {
            let content = String::from_utf8(read_all(input.as_bytes(), InputEnd::File)).unwrap();
            let bare = content.replace("\r\n", "");
            prop_assert!(!bare.contains(['\r', '\n', '\0']), "{content:?}");
            prop_assert!(content.is_empty() || content.ends_with("\r\n"));
            prop_assert_eq!(input.matches('a').count(), content.matches('a').count());
        }
    }
}
