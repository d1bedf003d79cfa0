//! `dead.letter`: where a message that nobody takes is kept for its author.

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use message::Date;
use nix::libc::O_NOFOLLOW;

/// Appends the message to the mailbox `dead.letter` in `home`, and says where that is.
///
/// # Errors
/// It is not saved.
pub(super) fn save(home: &Path, user: &str, date: Date, content: &[u8]) -> io::Result<PathBuf> {
    let path = home.join("dead.letter");
    let mut options = OpenOptions::new();
    let mut file =
        options.append(true).create(true).mode(0o600).custom_flags(O_NOFOLLOW).open(&path)?;
    file.write_all(&mailbox_entry(user, date, content))?;
    file.sync_all()?;
    Ok(path)
}

/// The message as an mbox has it: LF, and `>` before what looks like the next message.
fn mailbox_entry(user: &str, date: Date, content: &[u8]) -> Vec<u8> {
    let mut entry = format!("From {user} {date}\n").into_bytes();
    for line in content.split_inclusive(|&byte| byte == b'\n') {
        if line.starts_with(b"From ") {
            entry.push(b'>');
        }
        let text = line.strip_suffix(b"\r\n").unwrap_or(line);
        entry.extend_from_slice(text);
        entry.push(b'\n');
    }
    entry.push(b'\n');
    entry
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_stay_apart() {
        let home = tempfile::tempdir().unwrap();
        let date = Date::utc(1_795_235_750);
        save(home.path(), "alice", date, b"A: 1\r\n\r\nFrom here\r\n").unwrap();
        let path = save(home.path(), "alice", date, b"\r\n").unwrap();
        assert_eq!(
            std::fs::read_to_string(path).unwrap(),
            "From alice Sat, 21 Nov 2026 04:35:50 +0000\nA: 1\n\n>From here\n\n\
             From alice Sat, 21 Nov 2026 04:35:50 +0000\n\n\n"
        );
        assert!(save(Path::new("/nonexistent"), "alice", date, b"").is_err());
    }
}
