//! Delivery into a Maildir: written in `tmp`, synced, renamed into `new`, directory synced.
//!
//! A group of messages is written by a thread each, because files that are synced at the same time
//! share a commit of the file system, and `new` is synced once for all of them.
//!
//! **Invariant:** nothing is in `new` before its content is synced: the order of data and names
//! after a crash is not left to the file system.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use envelope::{Detail, Enhanced, Status};
use tokio::task::spawn_blocking;

use super::content::Quoting;
use super::letter::Letter;
use super::{Answer, fault, place};

const BUFFER: usize = 64 * 1024;

/// Stores each message in its Maildir.
pub(crate) async fn deliver(mut letters: Vec<(PathBuf, Letter)>) -> Vec<Answer> {
    let last = letters.pop();
    let others: Vec<_> = letters
        .into_iter()
        .map(|(maildir, letter)| {
            (letter.store.number, spawn_blocking(move || write(&maildir, &letter)))
        })
        .collect();
    // One is for this thread: a message that comes alone wakes no other.
    let mut written: Vec<_> = last
        .into_iter()
        .map(|(maildir, letter)| (letter.store.number, write(&maildir, &letter)))
        .collect();
    for (number, other) in others {
        let ended = other.await.unwrap_or_else(|error| Err(Status::fault(error.to_string())));
        written.push((number, ended));
    }
    let mut synced = HashMap::new();
    let mut finish = |New { path, opened }: New| {
        synced.entry(path).or_insert_with_key(|path| sync(path, &opened)).clone()
    };
    let answer = |(number, new): (u64, Result<New, Status>)| {
        (number, new.map_or_else(|status| status, &mut finish))
    };
    written.into_iter().map(answer).collect()
}

/// The directory of new mail.
struct New {
    path: PathBuf,
    /// Before anything is moved into it: one that cannot be synced is to get no mail, which would come
    /// again and again.
    opened: File,
}

/// Writes a message into `tmp`, and moves it into `new`, which it returns: that is to be synced.
fn write(maildir: &Path, letter: &Letter) -> Result<New, Status> {
    let path = maildir.join("new");
    match write_in(maildir, &path, letter) {
        Ok(opened) => Ok(New { path, opened }),
        Err(error) => Err(fault::status(&format!("maildir {}", maildir.display()), &error)),
    }
}

fn write_in(maildir: &Path, new: &Path, letter: &Letter) -> io::Result<File> {
    let name = unique_name(&letter.store.hostname);
    let temporary = maildir.join("tmp").join(&name);
    let file = match create(&temporary) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            // `tmp` last: where it is, the others are.
            for part in ["cur", "new", "tmp"] {
                place::make(&maildir.join(part))?;
            }
            create(&temporary)?
        }
        other => other?,
    };
    let moved = || {
        let opened = File::open(new)?;
        fill(file, letter)?;
        fs::rename(&temporary, new.join(&name)).map(|()| opened)
    };
    moved().inspect_err(|_| {
        // What cannot be removed is never seen: readers look into `new`.
        let _ = fs::remove_file(&temporary);
    })
}

/// What becomes of all that was moved into `new` before.
fn sync(new: &Path, opened: &File) -> Status {
    match opened.sync_all() {
        Ok(()) => Status::Delivered(Detail::ours(Enhanced::UNDEFINED, "delivered to maildir")),
        Err(error) => fault::status(&format!("directory {}", new.display()), &error),
    }
}

fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

fn fill(file: File, letter: &Letter) -> io::Result<()> {
    let mut out = BufWriter::with_capacity(BUFFER, file);
    letter.content.write(&mut out, &letter.store, Quoting::None)?;
    out.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()
}

/// `SECONDS.M…P…Q….HOST`: the time, the process, and the count of its deliveries.
fn unique_name(hostname: &str) -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let (seconds, micros) = (now.as_secs(), now.subsec_micros());
    let (pid, count) = (std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    let host = hostname.replace('/', "\\057").replace(':', "\\072");
    format!("{seconds}.M{micros}P{pid}Q{count}.{host}")
}
