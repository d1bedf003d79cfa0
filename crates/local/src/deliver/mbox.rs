//! Delivery into an mbox (mboxrd), RFC 4155's format with reversible quoting. A group of messages
//! is appended under one lock, and synced once.
//!
//! **Invariant:** a delivery that fails leaves the file as long as it was.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use envelope::{Detail, Enhanced, Status};
use nix::libc::{O_NOFOLLOW, O_NONBLOCK};

use super::content::Quoting;
use super::letter::Letter;
use super::mbox_lock::{Lock, PATIENCE};
use super::{Answer, fault, place};

const BUFFER: usize = 64 * 1024;

/// Appends a message to a file that an alias or a `.forward` names. What that user may write to, the
/// message may go to.
pub(crate) fn append_to(path: &Path, letter: Letter) -> Answer {
    let number = letter.store.number;
    let status = match append_alone(path, letter) {
        Ok(()) => Status::Delivered(Detail::ours(Enhanced::UNDEFINED, "delivered to file")),
        Err(error) => fault::status(&format!("file {}", path.display()), &error),
    };
    (number, status)
}

fn append_alone(path: &Path, letter: Letter) -> io::Result<()> {
    let file = open(path)?;
    let found = file.metadata()?;
    // mailfile() in sendmail's deliver.c: neither links nor what can be run.
    if found.is_file() && found.mode() & 0o111 != 0 {
        let wrong = "is a program, to which no mail is appended";
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, wrong));
    }
    check(&found, None)?;
    let stored = store_locked(&file, path, &[letter])?;
    stored.into_iter().next().unwrap_or(Ok(()))
}

/// Appends each message to the mailbox.
pub(crate) fn deliver(path: &Path, letters: &[Letter]) -> Vec<Answer> {
    let status = |stored: &io::Result<()>| match stored {
        Ok(()) => Status::Delivered(Detail::ours(Enhanced::UNDEFINED, "delivered to mailbox")),
        Err(error) => fault::status(&format!("mailbox {}", path.display()), error),
    };
    let numbers = letters.iter().map(|letter| letter.store.number);
    match store_in(path, letters) {
        Ok(stored) => numbers.zip(stored.iter().map(status)).collect(),
        Err(error) => {
            let none = Err(error);
            numbers.map(|number| (number, status(&none))).collect()
        }
    }
}

/// What came of each; an error is that of all.
fn store_in(path: &Path, letters: &[Letter]) -> io::Result<Vec<io::Result<()>>> {
    let Some(Letter { store, .. }) = letters.first() else {
        return Ok(Vec::new());
    };
    if store.make_home
        && let Some(above) = path.parent()
    {
        place::make(above)?;
    }
    let file = open(path)?;
    check(&file.metadata()?, Some(&store.user))?;
    store_locked(&file, path, letters)
}

fn store_locked(file: &File, path: &Path, letters: &[Letter]) -> io::Result<Vec<io::Result<()>>> {
    let _lock = Lock::take(file, path, PATIENCE)?;
    // What was measured before the lock may have changed.
    let end = file.metadata()?.len();
    let stored = letters.iter().map(|letter| append(file, letter)).collect();
    file.sync_all().inspect_err(|_| cut(file, end))?;
    if end == 0 {
        path.parent().map_or(Ok(()), place::sync).inspect_err(|_| cut(file, end))?;
    }
    Ok(stored)
}

/// If even this fails the next delivery starts on a line of its own.
fn cut(file: &File, end: u64) {
    let _ = file.set_len(end).and_then(|()| file.sync_all());
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .append(true)
        .create(true)
        .mode(0o600)
        .custom_flags(O_NOFOLLOW | O_NONBLOCK)
        .open(path)
}

/// A mailbox is a plain file of the user's with one name. Root's mailbox, which is written without
/// root's rights, may be root's own. Without a user it may be anybody's.
fn check(mailbox: &Metadata, user: Option<&str>) -> io::Result<()> {
    let own = nix::unistd::geteuid().as_raw();
    let wrong = if !mailbox.is_file() {
        "not a regular file"
    } else if mailbox.nlink() != 1 {
        "has other names (hard links)"
    } else if user
        .is_some_and(|user| mailbox.uid() != own && !(mailbox.uid() == 0 && user == "root"))
    {
        "belongs to another user"
    } else {
        return Ok(());
    };
    Err(io::Error::new(io::ErrorKind::PermissionDenied, wrong))
}

/// Appends one message, or nothing.
fn append(file: &File, letter: &Letter) -> io::Result<()> {
    let end = file.metadata()?.len();
    write(file, end, letter).inspect_err(|_| cut(file, end))
}

fn write(file: &File, end: u64, Letter { store, content }: &Letter) -> io::Result<()> {
    let mut out = BufWriter::with_capacity(BUFFER, file);
    out.write_all(separator(file, end)?)?;
    let from = match &store.reverse_path.0 {
        None => "MAILER-DAEMON".to_owned(),
        // Readers split this line at spaces.
        Some(address) => address.to_string().replace(char::is_whitespace, "-"),
    };
    writeln!(out, "From {from} {}", asctime(store.arrival))?;
    content.write(&mut out, store, Quoting::From)?;
    out.write_all(b"\n")?;
    out.flush()
}

/// What is missing before the first line of a message: the file should end in an empty line, and
/// does not after a crash in the middle of a delivery.
fn separator(file: &File, end: u64) -> io::Result<&'static [u8]> {
    let mut last = [b'\n'; 2];
    let at = last.len() - usize::try_from(end.min(2)).unwrap_or(0);
    if let Some(room) = last.get_mut(at..) {
        file.read_exact_at(room, end.saturating_sub(2))?;
    }
    Ok(match &last {
        b"\n\n" => b"",
        [_, b'\n'] => b"\n",
        _ => b"\n\n",
    })
}

/// `Thu Jan  1 00:00:00 1970`, UTC (RFC 4155).
fn asctime(seconds: i64) -> String {
    let time = jiff::Timestamp::from_second(seconds).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    time.strftime("%a %b %e %H:%M:%S %Y").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_date_of_a_from_line() {
        assert_eq!(asctime(0), "Thu Jan  1 00:00:00 1970");
        assert_eq!(asctime(1_790_000_000), "Mon Sep 21 14:13:20 2026");
    }

    #[test]
    fn messages_start_after_an_empty_line() {
        for (text, missing) in
            [("", ""), ("\n", ""), ("x", "\n\n"), ("x\n", "\n"), ("x\n\n", ""), ("\nx", "\n\n")]
        {
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(text.as_bytes()).unwrap();
            let end = text.len().try_into().unwrap();
            assert_eq!(separator(&file, end).unwrap(), missing.as_bytes(), "{text:?}");
        }
    }
}
