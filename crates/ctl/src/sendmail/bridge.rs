//! `-bs`: SMTP on stdin and stdout, spoken by the daemon behind the socket `submit`.
//!
//! Programs on this side write LF where SMTP wants CRLF; what goes through is made right, except
//! inside BDAT chunks, whose length is already said.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::submission;
use crate::{Exit, Failure};

/// Bytes copied at a time.
const PIECE: usize = 16 * 1024;

/// Bridges until the daemon closes the connection, which it does after QUIT and at the end of
/// stdin.
pub(super) fn run(socket: &Path) -> Result<Exit, Failure> {
    let mut stdout = io::stdout().lock();
    let stream = match submission::dial(socket) {
        Ok(stream) => stream,
        Err(error) => {
            stdout.write_all(b"421 4.3.2 The mail system is not running\r\n")?;
            let text = format!("the mail system does not answer: {}: {error}", socket.display());
            return Err(Failure::new(Exit::TempFail, text));
        }
    };
    stream.set_write_timeout(None)?;
    let content = Arc::new(AtomicBool::new(false));
    let (writer, lines) = (stream.try_clone()?, Lines::new(Arc::clone(&content)));
    // The thread ends with the process: stdin may stay open after QUIT.
    std::thread::spawn(move || pass_on(&mut io::stdin().lock(), writer, lines));
    hand_back(stream, &mut stdout, &content)?;
    Ok(Exit::Ok)
}

fn pass_on(input: &mut impl Read, mut daemon: UnixStream, mut lines: Lines) {
    let mut buffer = [0; PIECE];
    let mut out = Vec::with_capacity(PIECE + 1024);
    while let Ok(length @ 1..) = input.read(&mut buffer) {
        out.clear();
        lines.push(buffer.get(..length).unwrap_or_default(), &mut out);
        if daemon.write_all(&out).is_err() {
            return;
        }
    }
    // The daemon sees the end and closes its side; if it is gone, that is the end too.
    let _ = daemon.shutdown(std::net::Shutdown::Write);
}

/// Copies replies; `content` is true from a 354 on.
fn hand_back(
    mut daemon: UnixStream,
    output: &mut impl Write,
    content: &AtomicBool,
) -> io::Result<()> {
    let mut buffer = [0; PIECE];
    let mut codes = GoAhead::default();
    loop {
        let length = match daemon.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(()),
            read => read?,
        };
        let replies = buffer.get(..length).unwrap_or_default();
        // Noticed before the client can see the reply and begin.
        if codes.any_in(replies) {
            content.store(true, Ordering::Release);
        }
        output.write_all(replies)?;
        output.flush()?;
    }
}

/// Finds 354 at the start of a line.
#[derive(Default)]
struct GoAhead {
    line_start: Vec<u8>,
}

impl GoAhead {
    fn any_in(&mut self, replies: &[u8]) -> bool {
        replies.iter().fold(false, |found, &byte| self.take(byte) || found)
    }

    fn take(&mut self, byte: u8) -> bool {
        if byte == b'\n' {
            self.line_start.clear();
            return false;
        }
        if self.line_start.len() >= 3 {
            return false;
        }
        self.line_start.push(byte);
        self.line_start == b"354"
    }
}

/// The client's side of the dialogue, line by line.
struct Lines {
    /// The beginning of the current line.
    line: Vec<u8>,
    after_cr: bool,
    /// Bytes of a BDAT chunk still to come.
    chunk: u64,
    /// Content after DATA is under way.
    content: Arc<AtomicBool>,
}

impl Lines {
    /// Longer than `BDAT`, any number and `LAST`.
    const KEPT: usize = 64;

    const fn new(content: Arc<AtomicBool>) -> Self {
        Self { line: Vec::new(), after_cr: false, chunk: 0, content }
    }

    fn push(&mut self, mut input: &[u8], out: &mut Vec<u8>) {
        while !input.is_empty() {
            if self.chunk > 0 {
                let length = usize::try_from(self.chunk).unwrap_or(usize::MAX).min(input.len());
                let (part, rest) = input.split_at(length);
                out.extend_from_slice(part);
                self.chunk -= u64::try_from(length).unwrap_or(self.chunk);
                input = rest;
                continue;
            }
            let end = input.iter().position(|&byte| byte == b'\n');
            let (text, rest) = input.split_at(end.unwrap_or(input.len()));
            self.text(text, out);
            if end.is_some() {
                self.end_line(out);
            }
            input = rest.get(1..).unwrap_or_default();
        }
    }

    fn text(&mut self, text: &[u8], out: &mut Vec<u8>) {
        let Some(last) = text.last() else { return };
        self.after_cr = *last == b'\r';
        let room = Self::KEPT.saturating_sub(self.line.len());
        self.line.extend(text.iter().take(room));
        out.extend_from_slice(text);
    }

    fn end_line(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(if self.after_cr { b"\n" } else { b"\r\n" });
        self.after_cr = false;
        let line = std::mem::take(&mut self.line);
        let line = line.trim_ascii_end();
        if self.content.load(Ordering::Acquire) {
            if line == b"." {
                self.content.store(false, Ordering::Release);
            }
        } else {
            self.chunk = chunk_size(line).unwrap_or(0);
        }
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

    fn passed(pieces: &[&[u8]], content: bool) -> Vec<u8> {
        let mut lines = Lines::new(Arc::new(AtomicBool::new(content)));
        let mut out = Vec::new();
        for piece in pieces {
            lines.push(piece, &mut out);
        }
        out
    }

    #[test]
    fn line_ends_become_clean() {
        assert_eq!(
            passed(&[b"EHLO x\nMAIL\r\nRC", b"PT\r", b"\nQ", b"\n"], false),
            b"EHLO x\r\nMAIL\r\nRCPT\r\nQ\r\n"
        );
        assert_eq!(
            passed(&[b"A: 1\n\nBDAT 5\nabc\n.\nQUIT\n"], true),
            b"A: 1\r\n\r\nBDAT 5\r\nabc\r\n.\r\nQUIT\r\n"
        );
    }

    #[test]
    fn chunks_stay_as_they_are() {
        let input = b"bdat 6\na\nb\nc\nBDAT 0 LAST\nQUIT\n";
        let expected = b"bdat 6\r\na\nb\nc\nBDAT 0 LAST\r\nQUIT\r\n";
        assert_eq!(passed(&[input], false), expected);
        let bytes: Vec<&[u8]> = input.chunks(1).collect();
        assert_eq!(passed(&bytes, false), expected);
    }

    #[test]
    fn content_begins_with_354() {
        let (daemon, mut other) = UnixStream::pair().unwrap();
        other.write_all(b"250 ok 354\r\n").unwrap();
        let flag = AtomicBool::new(false);
        let mut out = Vec::new();
        std::thread::scope(|scope| {
            let pump = scope.spawn(|| hand_back(daemon, &mut out, &flag).unwrap());
            other.write_all(b"354 go\r\n").unwrap();
            drop(other);
            pump.join().unwrap();
        });
        assert!(flag.load(Ordering::Acquire));
        assert_eq!(out, b"250 ok 354\r\n354 go\r\n");
    }
}
