//! The locks of an mbox: fcntl(2) and then `MAILBOX.lock`, the order of Debian Policy §11.6, so
//! that mail readers of either kind are kept out.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, fcntl_lock};

/// How long others may hold the mailbox before the delivery is deferred.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
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
    /// Locks the open mailbox `file`, which is at `path`, waiting for it so long.
    ///
    /// # Errors
    /// `TimedOut`: somebody else has it. Anything else: the mailbox was replaced meanwhile, or the
    /// system call failed.
    pub(crate) fn take(file: &File, path: &Path, patience: Duration) -> io::Result<Self> {
        let deadline = Instant::now() + patience;
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

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_millis(120);

    fn mailbox() -> (tempfile::TempDir, PathBuf, File) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("mbox");
        let file = OpenOptions::new().append(true).create(true).open(&path).unwrap();
        (directory, path, file)
    }

    #[test]
    fn patience_has_an_end() {
        let (directory, path, file) = mailbox();
        let dot = directory.path().join("mbox.lock");
        File::create(&dot).unwrap();
        let begin = Instant::now();
        let refused = Lock::take(&file, &path, PATIENCE).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::TimedOut);
        assert!(begin.elapsed() >= PATIENCE);
        assert!(dot.exists(), "it is the other's");
        fs::remove_file(&dot).unwrap();
        drop(Lock::take(&file, &path, PATIENCE).unwrap());
        assert!(!dot.exists());
    }

    #[test]
    fn a_lock_of_fcntl_is_waited_for_too() {
        let (_directory, path, file) = mailbox();
        // Such locks are between processes.
        let mut other = std::process::Command::new("python3");
        other.args(["-c", HOLD]).arg(&path);
        other.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
        let Ok(mut other) = other.spawn() else {
            return eprintln!("skipped: no python3");
        };
        let mut line = String::new();
        io::BufRead::read_line(&mut io::BufReader::new(other.stdout.take().unwrap()), &mut line)
            .unwrap();
        let refused = Lock::take(&file, &path, PATIENCE).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::TimedOut);
        drop(other.stdin.take());
        other.wait().unwrap();
        Lock::take(&file, &path, PATIENCE).unwrap();
    }

    const HOLD: &str = "import fcntl, sys; f = open(sys.argv[1], 'a'); \
                        fcntl.lockf(f, fcntl.LOCK_EX); print('held', flush=True); sys.stdin.read()";

    #[test]
    fn a_mailbox_that_was_replaced_is_not_written() {
        let (_directory, path, file) = mailbox();
        fs::remove_file(&path).unwrap();
        File::create(&path).unwrap();
        assert!(Lock::take(&file, &path, PATIENCE).is_err());
    }
}
