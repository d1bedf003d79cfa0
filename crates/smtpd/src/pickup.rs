//! The drop directory: where `sendmail` leaves messages while no one answers.
//!
//! Anyone may put a file there, so a file proves nothing but its owner.
//!
//! **Invariant:** a file goes only after its message is durable; one that cannot be used is renamed
//! and never deleted.
//! **Invariant:** no file is taken twice: one process at a time looks, and finishes the file under
//! way before it ends.

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use daemon::Drain;
use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe::Receiver;

use crate::room::Room;

mod file;

use file::Outcome;

/// Between two looks, whatever the directory says.
const MINUTE: Duration = Duration::from_secs(60);
/// Until another process may have finished.
const MOMENT: Duration = Duration::from_millis(100);
/// An unfinished file of this age will never be finished.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// Finished files taken in one look; the unfinished ones of a busy or bad user hide none.
const MAX_LISTED: usize = 10_000;
/// Bytes of events read at a time; what they say does not matter.
const EVENTS: usize = 4096;
/// Entries looked at in one go; anybody may make a million, and sessions go on meanwhile.
const GO: usize = 256;
/// Names tried for a file that is set aside.
const MAX_NAMES: usize = 100;

/// Files whose message is durable and that could not be removed yet.
type Taken = HashSet<OsString>;

/// Picks up what is there, now, when the directory changes, and each minute, until the house is
/// drained.
pub(crate) async fn watch(room: Arc<Room>, mut drain: Drain) {
    let mut changes = match changes(&room.config.paths.drop) {
        Ok(changes) => Some(changes),
        Err(error) => {
            let drop = room.config.paths.drop.display();
            tracing::warn!("{drop} cannot be watched, only looked at each minute: {error}");
            None
        }
    };
    let mut taken = Taken::new();
    while !drain.takes_nothing_new() {
        let rest = match sweep(&room, &drain, &mut taken).await {
            Ok(()) => MINUTE,
            // The process whose successor we are finishes a file.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => MOMENT,
            Err(error) => {
                tracing::warn!("{} cannot be read: {error}", room.config.paths.drop.display());
                MINUTE
            }
        };
        tokio::select! {
            () = changed(changes.as_mut()) => {}
            () = tokio::time::sleep(rest) => {}
            () = drain.nothing_new() => {}
        }
    }
}

/// Tells of files that are moved into the directory: an inotify descriptor reads as a pipe does.
fn changes(directory: &Path) -> io::Result<Receiver> {
    let inotify = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC)?;
    inotify.add_watch(directory, AddWatchFlags::IN_MOVED_TO)?;
    Receiver::from_owned_fd_unchecked(inotify.into())
}

/// Returns once a file was moved into the directory, or never.
async fn changed(changes: Option<&mut Receiver>) {
    let Some(changes) = changes else { return std::future::pending().await };
    if changes.read(&mut [0; EVENTS]).await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// Takes all files, oldest first, until one has to wait: then the others would have to, too.
///
/// # Errors
/// `WouldBlock`: another process does; else the directory cannot be read.
async fn sweep(room: &Room, drain: &Drain, taken: &mut Taken) -> io::Result<()> {
    let directory = &room.config.paths.drop;
    // Let go with the descriptor, however this ends. Nobody else may open this directory.
    let lock = File::open(directory)?;
    lock.try_lock()?;
    for name in list(directory).await? {
        if drain.takes_nothing_new() {
            break;
        }
        let path = directory.join(&name);
        let outcome = match taken.remove(&name) {
            true => Outcome::Queued,
            false => file::take(room, &path).await,
        };
        match outcome {
            Outcome::Queued if remove(&path) => {}
            Outcome::Queued => drop(taken.insert(name)),
            Outcome::Gone => {}
            Outcome::NotNow => break,
            Outcome::Unread(error) => {
                tracing::error!("dropped file {} cannot be read: {error}", path.display());
            }
            Outcome::Unusable(reason) => {
                tracing::warn!("dropped file {} cannot be used: {reason}", path.display());
                set_aside(directory, &name);
            }
        }
    }
    Ok(())
}

/// Finished files, oldest first. Removes old unfinished ones.
async fn list(directory: &Path) -> io::Result<Vec<OsString>> {
    let mut files = Vec::new();
    for (number, entry) in std::fs::read_dir(directory)?.enumerate() {
        if number % GO == 0 {
            tokio::task::yield_now().await;
        }
        if files.len() >= MAX_LISTED {
            break;
        }
        let entry = entry?;
        let name = entry.file_name();
        let finished = match kind(&name) {
            // There may be any number of them.
            Kind::SetAside => continue,
            Kind::Unfinished => false,
            Kind::Finished => true,
        };
        let modified = entry.metadata().and_then(|metadata| metadata.modified());
        // Gone meanwhile.
        let Ok(modified) = modified else { continue };
        if finished {
            files.push((modified, name));
        } else if is_old(modified) && !remove(&entry.path()) {
            // A directory, which would be complained of at each look.
            set_aside(directory, &name);
        }
    }
    files.sort();
    Ok(files.into_iter().map(|(_, name)| name).collect())
}

enum Kind {
    Finished,
    Unfinished,
    SetAside,
}

fn kind(name: &OsStr) -> Kind {
    let name = name.as_bytes();
    if name.starts_with(b"tmp.") {
        Kind::Unfinished
    } else if name.starts_with(b"bad.") {
        Kind::SetAside
    } else {
        Kind::Finished
    }
}

fn is_old(modified: SystemTime) -> bool {
    SystemTime::now().duration_since(modified).is_ok_and(|age| age > DAY)
}

/// Is it gone?
fn remove(path: &Path) -> bool {
    let removed = std::fs::remove_file(path);
    if let Err(error) = &removed {
        tracing::error!("dropped file {} cannot be removed: {error}", path.display());
    }
    removed.is_ok()
}

/// Renames the file to `bad.NAME`, or to `bad.NAME.1` and so on where that exists.
fn set_aside(directory: &Path, name: &OsStr) {
    let path = directory.join(name);
    let renamed = bad_names(directory, name)
        .map(|bad| renameat2(AT_FDCWD, &path, AT_FDCWD, &bad, RenameFlags::RENAME_NOREPLACE))
        .find(|renamed| *renamed != Err(nix::Error::EEXIST));
    if let Err(error) = renamed.unwrap_or(Err(nix::Error::EEXIST)) {
        tracing::error!("dropped file {} cannot be renamed: {error}", path.display());
    }
}

fn bad_names(directory: &Path, name: &OsStr) -> impl Iterator<Item = PathBuf> {
    (0..MAX_NAMES).map(move |number| {
        let mut bad = OsString::from("bad.");
        bad.push(name);
        if number > 0 {
            bad.push(format!(".{number}"));
        }
        directory.join(bad)
    })
}
