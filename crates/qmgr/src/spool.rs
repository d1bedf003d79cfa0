//! Content too long for the database: one file a message in `content/`, named by its queue id.
//!
//! **Invariant:** a [`SpoolFile`] is synced, and so is its name in the directory. Dropping it, or
//! the writer, removes the file; only the store, once a record that names it is durable, keeps it.
//! **Invariant:** no file is read, written or removed on the thread of the callers.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use bytes::Bytes;
use envelope::QueueId;
use tokio::sync::Semaphore;
use tokio::task::{JoinHandle, spawn_blocking};

use crate::store::{OpenError, StoreError, available};

/// Files that are written or synced at the same moment.
const AT_ONCE: usize = 4;
/// Files that wait to be removed; beyond that they wait for the next start.
const TO_REMOVE: usize = 4096;

/// The directory `content/`. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Spool(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    directory: File,
    min_free_space: Arc<AtomicU64>,
    permits: Arc<Semaphore>,
    removals: SyncSender<QueueId>,
}

impl Spool {
    /// Opens `content/` in the queue's directory, and makes it if it is missing.
    pub(crate) fn open(queue: &Path, min_free_space: &Arc<AtomicU64>) -> Result<Self, OpenError> {
        let path = queue.join("content");
        let opened = open_directory(queue, &path);
        let directory = opened.map_err(|error| OpenError::io(&path, error))?;
        let min_free_space = Arc::clone(min_free_space);
        let (removals, to_remove) = sync_channel(TO_REMOVE);
        let place = path.clone();
        std::thread::Builder::new()
            .name("sweep".to_owned())
            .spawn(move || sweep(&place, &to_remove))
            .map_err(|error| OpenError::Thread(error.to_string()))?;
        let permits = Arc::new(Semaphore::new(AT_ONCE));
        Ok(Self(Arc::new(Inner { path, directory, min_free_space, permits, removals })))
    }

    /// Starts a file.
    pub(crate) async fn create(&self, id: QueueId) -> Result<SpoolWriter, StoreError> {
        let path = self.path(id);
        let directory = self.0.path.clone();
        let min_free_space = self.0.min_free_space.load(Ordering::Relaxed);
        let made = self.blocking(move || {
            if available(&directory)? < min_free_space {
                return Err(io::ErrorKind::StorageFull.into());
            }
            OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
        });
        let file = Arc::new(made.await?);
        let entry = SpoolFile { spool: self.clone(), id, size: 0, kept: false };
        Ok(SpoolWriter { entry, file, writing: None })
    }

    /// Opens a file for reading.
    pub(crate) fn read(&self, id: QueueId) -> io::Result<File> {
        File::open(self.path(id))
    }

    /// Removes a file soon.
    pub(crate) fn remove(&self, id: QueueId) {
        if self.0.removals.try_send(id).is_err() {
            tracing::warn!("{id}: the content file is left to the next start");
        }
    }

    /// Removes a file; for the start, when nobody waits.
    pub(crate) fn remove_now(&self, id: QueueId) -> io::Result<()> {
        remove(&self.path(id))
    }

    /// The files that are there, in no order. Other names are none of ours and are left alone.
    pub(crate) fn list(&self) -> io::Result<impl Iterator<Item = QueueId>> {
        let entries = fs::read_dir(&self.0.path)?;
        Ok(entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()))
    }

    /// Gives files of former releases the names that ids have now; for the start. Whatever is done of it
    /// when the machine goes down, the next start does the rest.
    pub(crate) fn rename_former(&self) -> io::Result<()> {
        let Inner { path, directory, .. } = &*self.0;
        let mut is_changed = false;
        for entry in fs::read_dir(path)? {
            let name = entry?.file_name();
            let id = name.to_str().and_then(|name| name.parse::<QueueId>().ok());
            if let Some(id) = id.filter(|id| name != *id.to_string()) {
                fs::rename(path.join(&name), self.path(id))?;
                is_changed = true;
            }
        }
        if is_changed { directory.sync_all() } else { Ok(()) }
    }

    fn path(&self, id: QueueId) -> PathBuf {
        self.0.path.join(id.to_string())
    }

    /// Runs `work` on a thread for blocking calls.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let started = self.start(work).await?;
        finished(started).await
    }

    /// Waits for a free place and starts `work` there.
    async fn start<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> Result<JoinHandle<io::Result<T>>, StoreError> {
        let permit = Arc::clone(&self.0.permits).acquire_owned().await;
        let permit = permit.map_err(|_| StoreError::Closed)?;
        Ok(spawn_blocking(move || {
            let _permit = permit;
            work()
        }))
    }
}

/// A file that is being written. Dropping it removes the file.
#[derive(Debug)]
pub struct SpoolWriter {
    entry: SpoolFile,
    file: Arc<File>,
    /// The piece before, so that writing one and receiving the next overlap.
    writing: Option<JoinHandle<io::Result<()>>>,
}

impl SpoolWriter {
    /// Appends a piece; at most two are in memory.
    ///
    /// # Errors
    /// [`StoreError`]: this piece or the one before could not be written.
    pub async fn write(&mut self, piece: Bytes) -> Result<(), StoreError> {
        self.settle().await?;
        self.entry.size += piece.len() as u64;
        let file = Arc::clone(&self.file);
        let started = self.entry.spool.start(move || (&*file).write_all(&piece)).await?;
        self.writing = Some(started);
        Ok(())
    }

    /// Bytes taken so far.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.entry.size
    }

    /// Makes the file and its name durable.
    ///
    /// # Errors
    /// [`StoreError`]: it is not durable.
    pub async fn finish(mut self) -> Result<SpoolFile, StoreError> {
        self.settle().await?;
        let Self { entry, file, writing: _ } = self;
        let spool = entry.spool.clone();
        let synced = entry.spool.blocking(move || {
            file.sync_data()?;
            spool.0.directory.sync_all()
        });
        synced.await?;
        Ok(entry)
    }

    async fn settle(&mut self) -> Result<(), StoreError> {
        match self.writing.take() {
            Some(writing) => finished(writing).await,
            None => Ok(()),
        }
    }
}

/// A file that is durable, but that no record names yet. Dropping it removes the file.
#[derive(Debug)]
pub struct SpoolFile {
    spool: Spool,
    id: QueueId,
    size: u64,
    kept: bool,
}

impl SpoolFile {
    #[must_use]
    pub const fn id(&self) -> QueueId {
        self.id
    }

    /// Bytes.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// A durable record names it now.
    pub(crate) fn keep(mut self) {
        self.kept = true;
    }
}

impl Drop for SpoolFile {
    fn drop(&mut self) {
        if !self.kept {
            self.spool.remove(self.id);
        }
    }
}

fn open_directory(queue: &Path, path: &Path) -> io::Result<File> {
    match DirBuilder::new().mode(0o700).create(path) {
        Ok(()) => File::open(queue)?.sync_all()?,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error),
    }
    File::open(path)
}

/// Removes files until the spool is gone.
fn sweep(place: &Path, to_remove: &Receiver<QueueId>) {
    for id in to_remove {
        if let Err(error) = remove(&place.join(id.to_string())) {
            tracing::warn!("{id}: the content file cannot be removed: {error}");
        }
    }
}

/// A file that is not there is removed.
fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

async fn finished<T>(work: JoinHandle<io::Result<T>>) -> Result<T, StoreError> {
    match work.await {
        Ok(done) => Ok(done?),
        Err(error) => Err(StoreError::Unavailable(error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_with_former_names_are_found() {
        let queue = tempfile::tempdir().unwrap();
        let content = queue.path().join("content");
        fs::create_dir(&content).unwrap();
        fs::write(content.join("39JlPmwjZ4J"), "former").unwrap();
        fs::write(content.join("4SRjwlH400001"), "new").unwrap();
        fs::write(content.join("README"), "none of ours").unwrap();
        let space = Arc::new(AtomicU64::new(0));
        for _ in 0..2 {
            let spool = Spool::open(queue.path(), &space).unwrap();
            spool.rename_former().unwrap();
            let mut ids: Vec<_> = spool.list().unwrap().collect();
            ids.sort_unstable();
            let read = |id: &QueueId| io::read_to_string(spool.read(*id).unwrap()).unwrap();
            let texts: Vec<_> = ids.iter().map(read).collect();
            assert_eq!(texts, ["former", "new"]);
        }
        assert!(content.join("README").exists());
    }
}
