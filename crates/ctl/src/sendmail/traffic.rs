//! `-X FILE`: what is said by SMTP, line by line, as sendmail records it.
//!
//! **Invariant:** what follows AUTH, and what answers a 334, is not written.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use crate::{Exit, Failure};

/// Bytes of a line that are kept until its end comes.
const MAX_LINE: usize = 64 * 1024;

/// The record; of nothing, if none was asked for.
#[derive(Debug, Default)]
pub(super) struct Traffic(Option<Mutex<Record>>);

#[derive(Debug)]
struct Record {
    file: File,
    /// Lines that have begun, of the client and of the server.
    begun: [Vec<u8>; 2],
    /// The client's next line is a secret.
    secret: bool,
}

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Client,
    Server,
}

impl Traffic {
    /// Opened by the caller's rights; others may not read it.
    ///
    /// # Errors
    /// Exit code 73: it cannot be written.
    pub(super) fn open(path: Option<&Path>) -> Result<Self, Failure> {
        let Some(path) = path else { return Ok(Self(None)) };
        let opened = OpenOptions::new().append(true).create(true).mode(0o600).open(path);
        let file = opened.map_err(|error| {
            Failure::new(Exit::CantCreat, format!("cannot open {}: {error}", path.display()))
        })?;
        Ok(Self(Some(Mutex::new(Record { file, begun: Default::default(), secret: false }))))
    }

    /// Whole lines are written. Mail does not wait for a record that cannot be.
    pub(super) fn note(&self, side: Side, bytes: &[u8]) {
        if let Some(record) = &self.0 {
            record.lock().unwrap_or_else(PoisonError::into_inner).note(side, bytes);
        }
    }
}

impl Record {
    fn note(&mut self, side: Side, bytes: &[u8]) {
        for piece in bytes.split_inclusive(|&byte| byte == b'\n') {
            let [client, server] = &mut self.begun;
            let line = if side == Side::Client { client } else { server };
            let room = MAX_LINE.saturating_sub(line.len());
            line.extend(piece.iter().take(room));
            if piece.ends_with(b"\n") {
                let line = std::mem::take(line);
                self.write(side, line.trim_ascii_end());
            }
        }
    }

    fn write(&mut self, side: Side, line: &[u8]) {
        let hidden = std::mem::take(&mut self.secret) && side == Side::Client;
        let text = String::from_utf8_lossy(line);
        let text = if hidden { "***".into() } else { masked(side, &text) };
        self.secret = side == Side::Server && line.starts_with(b"334");
        let arrow = if side == Side::Client { ">>>" } else { "<<<" };
        let _ = writeln!(self.file, "{:05} {arrow} {text}", std::process::id());
    }
}

/// `AUTH PLAIN ***`
fn masked(side: Side, line: &str) -> std::borrow::Cow<'_, str> {
    let mut words = line.split_ascii_whitespace();
    let is_auth = words.next().is_some_and(|word| word.eq_ignore_ascii_case("AUTH"));
    match (words.next(), words.next()) {
        (Some(mechanism), Some(_)) if is_auth && side == Side::Client => {
            format!("AUTH {mechanism} ***").into()
        }
        _ => line.into(),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn lines_of_both_sides_without_secrets() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("log");
        let traffic = Traffic::open(Some(&path)).unwrap();
        let client = |text: &str| traffic.note(Side::Client, text.as_bytes());
        let server = |text: &str| traffic.note(Side::Server, text.as_bytes());
        client("EHL");
        server("220 x\r\n250-a\r\n25");
        client("O x\r\nauth plain AGEAYg==\r\n");
        server("0 b\r\n334 \r\n");
        client("c2VjcmV0\r\nQUIT\r\n");
        let text = std::fs::read_to_string(&path).unwrap();
        let id = format!("{:05} ", std::process::id());
        let lines: Vec<_> = text.lines().map(|line| line.strip_prefix(&id).unwrap()).collect();
        let expected = [
            "<<< 220 x",
            "<<< 250-a",
            ">>> EHLO x",
            ">>> AUTH plain ***",
            "<<< 250 b",
            "<<< 334",
            ">>> ***",
            ">>> QUIT",
        ];
        assert_eq!(lines, expected);
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(Traffic::open(Some(place.path())).unwrap_err().exit, Exit::CantCreat);
        Traffic::default().note(Side::Client, b"x\n");
    }
}
