//! The content of a message, as mail stores on Unix want it: lines that end in LF, and the trace
//! fields of final delivery on top.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;

use bytes::Bytes;
use envelope::Address;
use ipc::mailbox::Store;

/// Bytes of a line that are looked at together; SMTP allows 1,000 (RFC 5321 §4.5.3.1.6).
const MAX_LINE: usize = 64 * 1024;
const READ: usize = 64 * 1024;

/// The content as it came: CRLF line ends.
#[derive(Debug)]
pub(crate) enum Content {
    Inline(Bytes),
    /// `head`, and then what is in the file from `from` on; `size` bytes together.
    Spooled {
        head: Bytes,
        file: File,
        from: u64,
        size: u64,
    },
}

/// How lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Quoting {
    None,
    /// `>` before a line that would be taken for the start of the next message, and before those
    /// so quoted already (mboxrd: it can be undone).
    From,
}

impl Content {
    pub(crate) fn new(body: Bytes, spool: Option<OwnedFd>, size: u64, replaced: u64) -> Self {
        match spool {
            None => Self::Inline(body),
            Some(fd) => Self::Spooled { head: body, file: File::from(fd), from: replaced, size },
        }
    }

    /// # Errors
    /// The file is shorter than `size`: we would deliver half a message.
    pub(crate) fn check_whole(&self) -> io::Result<()> {
        match self {
            Self::Spooled { head, file, from, size } => {
                let rest = file.metadata()?.len().saturating_sub(*from);
                let is_whole = head.len() as u64 + rest >= *size;
                is_whole.then_some(()).ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
            }
            Self::Inline(_) => Ok(()),
        }
    }

    /// Does a `Delivered-To` field name the recipient?
    pub(crate) fn was_delivered_to(&self, recipient: &Address) -> io::Result<bool> {
        let recipient = recipient.to_string();
        let mut lines = self.lines();
        while let Some(line) = lines.next()?.filter(|line| !line.trim_ascii_end().is_empty()) {
            if let Some(value) = field(line, b"Delivered-To")
                && value.eq_ignore_ascii_case(recipient.as_bytes())
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Writes the message with our trace fields on top. `Return-Path` fields of others go: the one
    /// of final delivery stands alone (RFC 5321 §4.4).
    pub(crate) fn write(
        &self,
        out: &mut impl Write,
        store: &Store,
        quote: Quoting,
    ) -> io::Result<()> {
        writeln!(out, "Return-Path: <{}>", store.reverse_path)?;
        writeln!(out, "Delivered-To: {}", store.recipient)?;
        let mut lines = self.lines();
        let mut in_header = true;
        let mut dropping = false;
        while let Some(line) = lines.next()? {
            let folded = line.starts_with(b" ") || line.starts_with(b"\t");
            in_header = in_header && line != b"\n";
            dropping = in_header && (field(line, b"Return-Path").is_some() || dropping && folded);
            if dropping {
                continue;
            }
            if quote == Quoting::From && is_from_line(line) {
                out.write_all(b">")?;
            }
            out.write_all(line)?;
        }
        Ok(())
    }

    fn lines(&self) -> Lines<Box<dyn BufRead + '_>> {
        Lines::new(match self {
            Self::Inline(body) => Box::new(&**body),
            Self::Spooled { head, file, from, size } => {
                // The offset of the descriptor is shared with other processes.
                let at = At { file, offset: *from };
                let rest = at.take(size.saturating_sub(head.len() as u64));
                Box::new(head.chain(BufReader::with_capacity(READ, rest)))
            }
        })
    }
}

/// Reads a file without its offset.
struct At<'a> {
    file: &'a File,
    offset: u64,
}

impl Read for At<'_> {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(room, self.offset)?;
        self.offset += u64::try_from(read).unwrap_or(0);
        Ok(read)
    }
}

/// Lines with CRLF made LF. A line over [`MAX_LINE`] comes in pieces; the last line gets an LF if
/// it has none.
struct Lines<R> {
    reader: R,
    line: Vec<u8>,
}

impl<R: BufRead> Lines<R> {
    fn new(reader: R) -> Self {
        Self { reader, line: Vec::new() }
    }

    fn next(&mut self) -> io::Result<Option<&[u8]>> {
        self.line.clear();
        let limit = u64::try_from(MAX_LINE).unwrap_or(u64::MAX);
        if (&mut self.reader).take(limit).read_until(b'\n', &mut self.line)? == 0 {
            return Ok(None);
        }
        if self.line.ends_with(b"\r") && self.reader.fill_buf()?.starts_with(b"\n") {
            self.reader.consume(1);
            self.line.push(b'\n');
        }
        if self.line.ends_with(b"\r\n") {
            self.line.truncate(self.line.len() - 2);
            self.line.push(b'\n');
        } else if !self.line.ends_with(b"\n") && self.reader.fill_buf()?.is_empty() {
            self.line.push(b'\n');
        }
        Ok(Some(&self.line))
    }
}

/// The value of a header field on this line, if the field has that name.
fn field<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let (start, rest) = line.split_at_checked(name.len())?;
    let value = rest.trim_ascii_start().strip_prefix(b":")?;
    start.eq_ignore_ascii_case(name).then(|| value.trim_ascii())
}

fn is_from_line(line: &[u8]) -> bool {
    let quotes = line.iter().take_while(|&&byte| byte == b'>').count();
    line.get(quotes..).is_some_and(|rest| rest.starts_with(b"From "))
}

#[cfg(test)]
mod tests {
    use std::io::Seek;

    use super::*;
    use crate::letter::tests::store;

    const TRACE: &str = "Return-Path: <from@example.net>\nDelivered-To: anna@example.org\n";

    /// Both ways that content comes.
    fn contents(text: &str) -> [Content; 2] {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        file.seek(io::SeekFrom::End(0)).unwrap();
        let size = text.len().try_into().unwrap();
        let spooled = Content::new(Bytes::new(), Some(file.into()), size, 0);
        [Content::new(Bytes::copy_from_slice(text.as_bytes()), None, size, 0), spooled]
    }

    fn written(text: &str, quoting: Quoting) -> String {
        let [inline, spooled] = contents(text).map(|content| {
            let mut out = Vec::new();
            content.write(&mut out, &store(), quoting).unwrap();
            String::from_utf8(out).unwrap()
        });
        assert_eq!(inline, spooled);
        inline.strip_prefix(TRACE).unwrap().to_owned()
    }

    #[test]
    fn lines_end_in_lf() {
        assert_eq!(written("A: b\r\n\r\nx\r\n.\r\n", Quoting::None), "A: b\n\nx\n.\n");
        assert_eq!(written("A: b\r\n\r\nno end", Quoting::None), "A: b\n\nno end\n");
        assert_eq!(written("", Quoting::None), "");
    }

    #[test]
    fn long_lines_stay_whole_wherever_they_are_cut() {
        for length in MAX_LINE - 2..=MAX_LINE + 2 {
            let long = "x".repeat(length);
            let text = written(&format!("\r\n{long}\r\n{long}\r\nFrom \r\n"), Quoting::From);
            assert_eq!(text, format!("\n{long}\n{long}\n>From \n"), "{length}");
        }
    }

    #[test]
    fn foreign_return_paths_go() {
        let text = "return-path : <x@y>\r\n\tfolded\r\nA: b\r\n c\r\nReturn-Path: <z>\r\n\r\n\
                    Return-Path: in the body\r\n";
        assert_eq!(written(text, Quoting::None), "A: b\n c\n\nReturn-Path: in the body\n");
    }

    #[test]
    fn from_lines_are_quoted_so_that_it_can_be_undone() {
        let text = "A: b\r\n\r\nFrom x\r\n>From y\r\nFrom\r\n From z\r\n";
        let quoted = "A: b\n\n>From x\n>>From y\nFrom\n From z\n";
        assert_eq!(written(text, Quoting::From), quoted);
    }

    #[test]
    fn a_loop_is_seen_in_the_header_only() {
        let seen = |text: &str| {
            let anna = "anna@example.org".parse().unwrap();
            let [inline, spooled] = contents(text).map(|c| c.was_delivered_to(&anna).unwrap());
            assert_eq!(inline, spooled);
            inline
        };
        assert!(seen("A: b\r\ndelivered-to:  Anna@Example.org \r\n\r\n"));
        assert!(!seen("A: b\r\nDelivered-To: otto@example.org\r\n\r\n"));
        assert!(!seen("A: b\r\n\r\nDelivered-To: anna@example.org\r\n"));
    }

    #[test]
    fn a_short_spool_file_is_not_delivered() {
        let file = tempfile::tempfile().unwrap();
        assert!(Content::new(Bytes::new(), Some(file.into()), 1, 0).check_whole().is_err());
    }

    #[test]
    fn the_beginning_of_a_spool_file_may_be_another() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"From: old\r\n\r\nbody\r\n").unwrap();
        let spooled = |size| {
            let file = file.try_clone().unwrap();
            Content::new(Bytes::from_static(b"From: newer\r"), Some(file.into()), size, 10)
        };
        let content = spooled(21);
        content.check_whole().unwrap();
        let mut out = Vec::new();
        content.write(&mut out, &store(), Quoting::None).unwrap();
        assert_eq!(out, format!("{TRACE}From: newer\n\nbody\n").into_bytes());
        assert!(spooled(22).check_whole().is_err());
    }
}
