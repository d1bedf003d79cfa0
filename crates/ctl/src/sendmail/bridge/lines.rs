//! The client's side of the dialogue, line by line.

use super::heard::Verdict;

/// What has gone by, and what that makes of the next line.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    /// The beginning of the current line.
    line: Vec<u8>,
    after_cr: bool,
    /// Bytes of a BDAT chunk still to come.
    chunk: u64,
    phase: Phase,
    /// Lines that are answered by a reply each.
    answered: u64,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Phase {
    #[default]
    Commands,
    /// DATA was said, and its reply decides.
    AfterData,
    Content,
}

impl Lines {
    /// Bytes of a line that are looked at: longer than `BDAT`, any number and `LAST`.
    const KEPT: usize = 64;

    /// Passes input on to `out`, with clean line ends, and returns what has to wait for a reply.
    pub(crate) fn push<'a>(&mut self, mut input: &'a [u8], out: &mut Vec<u8>) -> &'a [u8] {
        while !input.is_empty() && !self.awaits_reply() {
            input = if self.chunk > 0 { self.chunk(input, out) } else { self.line(input, out) };
        }
        input
    }

    /// What follows depends on the reply to DATA.
    pub(crate) fn awaits_reply(&self) -> bool {
        self.phase == Phase::AfterData
    }

    /// The number of replies when everything said so far is answered, the greeting included.
    pub(crate) const fn expected(&self) -> u64 {
        self.answered + 1
    }

    /// DATA is answered.
    pub(crate) const fn go_on(&mut self, verdict: Verdict) {
        self.phase = match verdict {
            Verdict::GoAhead => Phase::Content,
            Verdict::Other => Phase::Commands,
        };
    }

    fn chunk<'a>(&mut self, input: &'a [u8], out: &mut Vec<u8>) -> &'a [u8] {
        let length = usize::try_from(self.chunk).unwrap_or(usize::MAX).min(input.len());
        let (part, rest) = input.split_at(length);
        out.extend_from_slice(part);
        self.chunk -= u64::try_from(length).unwrap_or(self.chunk);
        rest
    }

    /// Up to the next line end, or all.
    fn line<'a>(&mut self, input: &'a [u8], out: &mut Vec<u8>) -> &'a [u8] {
        let end = input.iter().position(|&byte| byte == b'\n');
        let (text, rest) = input.split_at(end.unwrap_or(input.len()));
        if let Some(last) = text.last() {
            self.after_cr = *last == b'\r';
            let room = Self::KEPT.saturating_sub(self.line.len());
            self.line.extend(text.iter().take(room));
            out.extend_from_slice(text);
        }
        if end.is_some() {
            out.extend_from_slice(if self.after_cr { b"\n" } else { b"\r\n" });
            self.after_cr = false;
            self.end_line();
        }
        rest.get(1..).unwrap_or_default()
    }

    fn end_line(&mut self) {
        let line = std::mem::take(&mut self.line);
        let line = line.strip_suffix(b"\r").unwrap_or(&line);
        if self.phase == Phase::Content {
            if line != b"." {
                return;
            }
            self.phase = Phase::Commands;
        } else if line.trim_ascii_end().eq_ignore_ascii_case(b"DATA") {
            self.phase = Phase::AfterData;
        } else {
            self.chunk = chunk_size(line).unwrap_or(0);
        }
        self.answered += 1;
    }
}

/// RFC 3030 §2: `BDAT 1000`, `BDAT 0 LAST`.
fn chunk_size(line: &[u8]) -> Option<u64> {
    let mut words = str::from_utf8(line).ok()?.split_ascii_whitespace();
    let bdat = words.next()?.eq_ignore_ascii_case("BDAT");
    if bdat { words.next()?.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What comes out when DATA is always granted.
    fn passed<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
        let (mut lines, mut out) = (Lines::default(), Vec::new());
        for mut rest in pieces {
            while !rest.is_empty() {
                rest = lines.push(rest, &mut out);
                lines.grant();
            }
        }
        out
    }

    impl Lines {
        fn grant(&mut self) {
            if self.awaits_reply() {
                self.go_on(Verdict::GoAhead);
            }
        }
    }

    #[test]
    fn line_ends_become_clean() {
        let pieces = [&b"EHLO x\nMAIL\r\nRC"[..], b"PT\r", b"\nQ", b"\n"];
        assert_eq!(passed(pieces), b"EHLO x\r\nMAIL\r\nRCPT\r\nQ\r\n");
    }

    #[test]
    fn chunks_stay_as_they_are() {
        let input = b"bdat 6\na\nb\nc\nBDAT 0 LAST\ndata\nBDAT 5\nabc\n.\nQUIT\n";
        let expected = b"bdat 6\r\na\nb\nc\nBDAT 0 LAST\r\ndata\r\nBDAT 5\r\nabc\r\n.\r\nQUIT\r\n";
        assert_eq!(passed([&input[..]]), expected);
        assert_eq!(passed(input.chunks(1)), expected);
    }

    /// Else DATA within content would have the client wait for a reply that nobody gives.
    #[test]
    fn a_dot_with_more_is_no_end() {
        for content in [". ", ".\t", ".."] {
            let input = format!("DATA\n{content}\nDATA\n.\nQUIT\n");
            let (mut lines, mut out) = (Lines::default(), Vec::new());
            let rest = lines.push(input.as_bytes(), &mut out);
            lines.go_on(Verdict::GoAhead);
            let rest = lines.push(rest, &mut out);
            assert_eq!((rest, lines.expected()), (&b""[..], 4), "{content:?}");
        }
    }

    #[test]
    fn replies_are_counted_for_commands_chunks_and_dots() {
        let (mut lines, mut out) = (Lines::default(), Vec::new());
        assert_eq!(lines.expected(), 1);
        let rest = lines.push(b"EHLO x\nMAIL\nBDAT 2\nx\nDATA\nx\n.\n", &mut out);
        assert_eq!((lines.expected(), rest), (5, &b"x\n.\n"[..]));
        lines.go_on(Verdict::GoAhead);
        assert_eq!(lines.push(rest, &mut out), b"");
        assert_eq!(lines.expected(), 6);
    }
}
