//! Space on the queue's disk: what must stay free, and a reserve so that outcomes can still be
//! written when nothing is left (a database that copies on write needs room even to delete).
//!
//! **Invariant:** nothing new is accepted while the reserve is missing.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use nix::fcntl::posix_fallocate;
use nix::sys::statvfs::statvfs;

/// Bytes of the reserve: a few hundred small transactions.
const SIZE: u64 = 4 * 1024 * 1024;

/// The reserve file, and the limit that the administrator set.
#[derive(Debug)]
pub(super) struct Reserve {
    directory: PathBuf,
    path: PathBuf,
    min_free_space: Arc<AtomicU64>,
    made: bool,
    /// New mail is being refused: said once.
    refuses: bool,
}

impl Reserve {
    pub(super) fn new(directory: &Path, min_free_space: &Arc<AtomicU64>) -> Self {
        let path = directory.join("reserve");
        Self {
            directory: directory.to_owned(),
            path,
            min_free_space: Arc::clone(min_free_space),
            made: false,
            refuses: false,
        }
    }

    /// Makes the reserve at the start, where there is room for it.
    pub(super) fn prepare(&mut self) {
        match self.make() {
            Ok(()) => self.made = true,
            Err(error) => tracing::warn!("no room for the queue's reserve: {error}"),
        }
    }

    /// May something new be accepted?
    pub(super) fn has_room(&mut self) -> bool {
        let room = self.look();
        if self.refuses == room {
            self.refuses = !room;
            let limit = self.limit();
            if room {
                tracing::info!("the queue's disk has room again");
            } else {
                tracing::error!("no room for new mail: {limit} bytes must be free");
            }
        }
        room
    }

    /// A reserve that was spent is made anew first, once twice its size is free, so that a disk
    /// that is full to the brim does not make it to and fro.
    fn look(&mut self) -> bool {
        let Ok(available) = available(&self.directory) else { return false };
        if self.made {
            return available >= self.limit();
        }
        if available < self.limit().saturating_add(2 * SIZE) {
            return false;
        }
        self.made = self.make().is_ok();
        self.made
    }

    fn limit(&self) -> u64 {
        self.min_free_space.load(Ordering::Relaxed)
    }

    /// Gives the reserve to the transactions that are to follow.
    pub(super) fn spend(&mut self) {
        self.made = false;
        match fs::remove_file(&self.path) {
            Ok(()) => tracing::error!("the queue's disk is full: its reserve is used"),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => tracing::error!("the queue's reserve cannot be freed: {error}"),
        }
    }

    pub(super) const fn is_spent(&self) -> bool {
        !self.made
    }

    fn make(&self) -> io::Result<()> {
        let made = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&self.path)
            .and_then(|file| allocate(&file));
        if made.is_err() {
            // A part of a reserve only takes room away.
            let _absent = fs::remove_file(&self.path);
        }
        made
    }
}

/// Real blocks, not a hole.
fn allocate(file: &File) -> io::Result<()> {
    if file.metadata()?.len() == SIZE {
        return Ok(());
    }
    let size = i64::try_from(SIZE).map_err(io::Error::other)?;
    posix_fallocate(file, 0, size)?;
    file.sync_all()
}

/// Bytes that an unprivileged process may still write.
pub(crate) fn available(directory: &Path) -> io::Result<u64> {
    let disk = statvfs(directory)?;
    Ok(disk.blocks_available().saturating_mul(disk.fragment_size()))
}

/// The disk or the quota is used up.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}
