//! Where the database lives.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use redb::{Builder, Database, ReadOnlyDatabase};

/// Bytes of pages that redb keeps in memory (its own default is 1 GiB).
const CACHE: usize = 8 * 1024 * 1024;

/// Where the database lives. It is opened anew after every I/O error, because redb's handle is
/// dead from then on.
pub trait Medium: Send + 'static {
    /// Opens the database; made if it was never there, never overwritten.
    ///
    /// # Errors
    /// [`OpenError`]
    fn open(&mut self) -> Result<Database, OpenError>;

    /// Bytes it occupies.
    fn size(&self) -> u64;

    /// What to call it in messages.
    fn path(&self) -> PathBuf;
}

/// The file `queue.redb` in the queue's directory.
#[derive(Debug)]
pub struct DatabaseFile {
    directory: PathBuf,
    /// It was there: should it vanish, an empty one must not take its place.
    known: bool,
}

impl DatabaseFile {
    #[must_use]
    pub fn new(directory: &Path) -> Self {
        Self { directory: directory.to_owned(), known: false }
    }

    /// Opens it as it is: nothing is made, mended or changed, and nobody else can open it to write
    /// meanwhile.
    pub(super) fn look(&self) -> Result<ReadOnlyDatabase, OpenError> {
        let path = self.path();
        unpanicked(&path, || Ok(Builder::new().set_cache_size(CACHE).open_read_only(&path)?))
    }

    /// A database under another name first, so that `queue.redb` is never half made.
    fn make(&self) -> Result<Database, OpenError> {
        let unborn = self.directory.join("queue.redb.new");
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create(true).truncate(true).mode(0o600);
        let file = file.open(&unborn).map_err(|error| OpenError::io(&unborn, error))?;
        let database =
            unpanicked(&unborn, || Ok(Builder::new().set_cache_size(CACHE).create_file(file)?))?;
        fs::rename(&unborn, self.path()).map_err(|error| OpenError::io(&unborn, error))?;
        let synced = File::open(&self.directory).and_then(|directory| directory.sync_all());
        synced.map_err(|error| OpenError::io(&self.directory, error))?;
        Ok(database)
    }
}

impl Medium for DatabaseFile {
    fn open(&mut self) -> Result<Database, OpenError> {
        let path = self.path();
        let database = match path.try_exists() {
            Ok(false) if !self.known => self.make()?,
            Ok(_) => unpanicked(&path, || Ok(Builder::new().set_cache_size(CACHE).open(&path)?))?,
            Err(error) => return Err(OpenError::io(&path, error)),
        };
        self.known = true;
        Ok(database)
    }

    fn size(&self) -> u64 {
        fs::metadata(self.path()).map_or(0, |metadata| metadata.len())
    }

    fn path(&self) -> PathBuf {
        self.directory.join("queue.redb")
    }
}

/// redb may panic on a damaged file (its issue 620): then that is what it is.
pub(super) fn unpanicked<T>(
    path: &Path,
    open: impl FnOnce() -> Result<T, redb::Error>,
) -> Result<T, OpenError> {
    match catch_unwind(AssertUnwindSafe(open)) {
        Ok(opened) => opened.map_err(|error| OpenError::redb(path, error)),
        Err(_) => {
            Err(OpenError::NotAQueue { path: path.to_owned(), why: "it is damaged".to_owned() })
        }
    }
}

/// Why the queue cannot be opened. Nothing was changed.
#[derive(Debug)]
pub enum OpenError {
    /// Another process has the file open.
    InUse(PathBuf),
    /// Its queue manager died, and this one may not mend it.
    NotClosed(PathBuf),
    /// A release writes other files than this one.
    OtherRelease { path: PathBuf, why: String },
    /// The file is not a queue, or is damaged.
    NotAQueue { path: PathBuf, why: String },
    /// The operating system refuses.
    Io { path: PathBuf, error: io::Error },
    /// The store's thread could not be started, or ended.
    Thread(String),
}

impl OpenError {
    pub(crate) fn io(path: &Path, error: io::Error) -> Self {
        Self::Io { path: path.to_owned(), error }
    }

    /// What redb says of the file at `path`.
    fn redb(path: &Path, error: redb::Error) -> Self {
        let path = path.to_owned();
        let why = error.to_string();
        if matches!(error, redb::Error::DatabaseAlreadyOpen) {
            return Self::InUse(path);
        }
        if matches!(error, redb::Error::RepairAborted) {
            return Self::NotClosed(path);
        }
        // redb's words for a later format, of which it has no error of its own.
        let later =
            matches!(error, redb::Error::Corrupted(_)) && why.contains("file format version");
        if later || matches!(error, redb::Error::UpgradeRequired(_)) {
            return Self::OtherRelease { path, why };
        }
        if let redb::Error::Io(error) = error
            // redb's words for a file that is none of its own, and for one that was cut off.
            && !matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof)
        {
            return Self::Io { path, error };
        }
        Self::NotAQueue { path, why }
    }
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InUse(path) => write!(
                f,
                "{}: another qmgr has it open; stop that first, if it does not end by itself",
                path.display()
            ),
            Self::NotClosed(path) => write!(
                f,
                "{}: its qmgr was killed, or the machine went down, before it could close the file. \
                 Nothing that was acknowledged is lost: start the mail system, which mends the file \
                 at once, and ask again",
                path.display()
            ),
            Self::OtherRelease { path, why } => write!(
                f,
                "{}: {why}; nothing was changed. Another release of Pennypost wrote it: install that \
                 one again",
                path.display()
            ),
            Self::NotAQueue { path, why } => write!(
                f,
                "{}: {why}; nothing was changed. Restore it from a backup, or move its whole \
                 directory away and start with an empty queue",
                path.display()
            ),
            Self::Io { path, error } => write!(f, "{}: {error}", path.display()),
            Self::Thread(why) => write!(f, "the store's thread: {why}"),
        }
    }
}

impl std::error::Error for OpenError {}
