//! The locks of an mbox: fcntl(2) and then `MAILBOX.lock`, the order of Debian Policy §11.6, so
//! that mail readers of either kind are kept out.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, fcntl_lock};

/// How long others may hold the mailbox before the delivery is deferred.
const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(50);
/// A `.lock` file this old was left behind by a crash (as procmail's and liblockfile's rule).
const STALE: Duration = Duration::from_secs(5 * 60);

/// Both locks; dropped, both are free. The fcntl lock goes when the mailbox file is closed, which
/// is to be after this.
#[derive(Debug)]
pub(crate) struct Lock {
    dot: Option<PathBuf>,
}

impl Lock {
    /// Locks the open mailbox `file`, which is at `path`.
    ///
    /// # Errors
    /// `TimedOut`: somebody else has it. Anything else: the mailbox was replaced meanwhile, or the
    /// system call failed.
    pub(crate) fn take(file: &File, path: &Path) -> io::Result<Self> {
        let deadline = Instant::now() + PATIENCE;
        retry(deadline, || {
            fcntl_lock(file, FlockOperation::NonBlockingLockExclusive).map_err(Into::into)
        })?;
        let mut name = path.as_os_str().to_owned();
        name.push(".lock");
        let dot = PathBuf::from(name);
        let lock = match retry(deadline, || create(&dot)) {
            Ok(()) => Self { dot: Some(dot) },
            // Nobody else of this user can make one there either.
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem
                ) =>
            {
                Self { dot: None }
            }
            Err(error) => return Err(error),
        };
        // A reader may have put another file in its place while we waited.
        let (open, named) = (file.metadata()?, fs::symlink_metadata(path)?);
        if (open.dev(), open.ino()) != (named.dev(), named.ino()) {
            return Err(io::Error::other("was replaced while we waited for the lock"));
        }
        Ok(lock)
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        if let Some(dot) = &self.dot {
            // Left behind, it is stale after a while.
            let _ = fs::remove_file(dot);
        }
    }
}

/// Repeats `attempt` while others hold the lock.
fn retry(deadline: Instant, attempt: impl Fn() -> io::Result<()>) -> io::Result<()> {
    loop {
        match attempt() {
            Err(error)
                if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::AlreadyExists) => {}
            other => return other,
        }
        if Instant::now() >= deadline {
            return Err(io::Error::new(ErrorKind::TimedOut, "locked by another program"));
        }
        std::thread::sleep(PAUSE);
    }
}

fn create(dot: &Path) -> io::Result<()> {
    let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(dot);
    if made.as_ref().is_err_and(|error| error.kind() == ErrorKind::AlreadyExists) {
        remove_stale(dot);
    }
    // The pid is for people and for liblockfile; the name alone is the lock.
    let _ = write!(made?, "{}", std::process::id());
    Ok(())
}

fn remove_stale(dot: &Path) {
    let age = fs::symlink_metadata(dot).and_then(|lock| lock.modified()).map(|time| time.elapsed());
    if matches!(age, Ok(Ok(age)) if age > STALE) {
        // Someone else may have been faster; the next attempt shows.
        let _ = fs::remove_file(dot);
    }
}
