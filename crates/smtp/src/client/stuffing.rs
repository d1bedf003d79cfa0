//! Content on its way out: dots doubled, line ends clean, the final dot (RFC 5321 §4.5.2).
//!
//! **Invariant:** whatever goes in, no bare CR or LF comes out and the only line that is a single
//! dot is the last, so that no reader can find a second message in it.

use memchr::memchr2;

/// Prepares content for DATA, piece by piece.
#[derive(Debug)]
pub struct Stuffing {
    at_line_start: bool,
    /// The last piece ended in CR, and nothing was written for it yet.
    after_cr: bool,
}

impl Default for Stuffing {
    fn default() -> Self {
        Self { at_line_start: true, after_cr: false }
    }
}

impl Stuffing {
    /// Writes the next piece of content to `out`. A bare CR or LF becomes CRLF.
    pub fn push(&mut self, mut content: &[u8], out: &mut Vec<u8>) {
        if self.after_cr && !content.is_empty() {
            self.after_cr = false;
            content = content.strip_prefix(b"\n").unwrap_or(content);
            self.end_line(out);
        }
        while let Some(end) = memchr2(b'\r', b'\n', content) {
            let (line, rest) = content.split_at(end);
            self.text(line, out);
            content = match rest {
                [b'\r'] => {
                    self.after_cr = true;
                    return;
                }
                [b'\r', b'\n', rest @ ..] | [_, rest @ ..] => rest,
                [] => return,
            };
            self.end_line(out);
        }
        self.text(content, out);
    }

    /// Ends the last line if it has no end, and writes the final dot.
    pub fn finish(mut self, out: &mut Vec<u8>) {
        if self.after_cr || !self.at_line_start {
            self.end_line(out);
        }
        out.extend_from_slice(b".\r\n");
    }

    fn text(&mut self, text: &[u8], out: &mut Vec<u8>) {
        if self.at_line_start && text.first() == Some(&b'.') {
            out.push(b'.');
        }
        if !text.is_empty() {
            self.at_line_start = false;
            out.extend_from_slice(text);
        }
    }

    fn end_line(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"\r\n");
        self.at_line_start = true;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Stuffing;

    fn stuffed(pieces: &[&[u8]]) -> Vec<u8> {
        let (mut stuffing, mut out) = (Stuffing::default(), Vec::new());
        for piece in pieces {
            stuffing.push(piece, &mut out);
        }
        stuffing.finish(&mut out);
        out
    }

    #[test]
    fn dots_are_doubled_and_ends_are_clean() {
        let cases: [(&[u8], &[u8]); 8] = [
            (b"", b".\r\n"),
            (b"a\r\n", b"a\r\n.\r\n"),
            (b"a", b"a\r\n.\r\n"),
            (b".\r\n", b"..\r\n.\r\n"),
            (b"a\n.\nb", b"a\r\n..\r\nb\r\n.\r\n"),
            (b"a\r.\rb", b"a\r\n..\r\nb\r\n.\r\n"),
            (b"a\r\r\n", b"a\r\n\r\n.\r\n"),
            (b"a\r", b"a\r\n.\r\n"),
        ];
        for (content, expected) in cases {
            assert_eq!(stuffed(&[content]), expected, "{content:?}");
        }
    }

    /// What a server makes of it: everything up to the first line that is a dot.
    fn unstuffed(wire: &str) -> Option<String> {
        let mut content = String::new();
        let mut lines = wire.split_inclusive("\r\n");
        loop {
            match lines.next()? {
                ".\r\n" => return lines.next().is_none().then_some(content),
                line => content.push_str(line.strip_prefix('.').unwrap_or(line)),
            }
        }
    }

    fn normal(content: &str) -> String {
        let mut text = content.replace("\r\n", "\n").replace('\r', "\n").replace('\n', "\r\n");
        if !text.is_empty() && !text.ends_with('\n') {
            text.push_str("\r\n");
        }
        text
    }

    proptest! {
        #[test]
        fn a_server_reads_one_message_whatever_the_pieces(
            pieces in prop::collection::vec("[a.\r\n]{0,6}", 0..12),
        ) {
            let bytes: Vec<_> = pieces.iter().map(String::as_bytes).collect();
            let wire = String::from_utf8(stuffed(&bytes)).unwrap();
            let stripped = wire.replace("\r\n", "");
            prop_assert!(!stripped.contains(['\r', '\n']), "{wire:?}");
            prop_assert_eq!(unstuffed(&wire), Some(normal(&pieces.concat())));
        }
    }
}
