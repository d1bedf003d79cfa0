//! Directories that a mailbox needs.

use std::fs::{DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use envelope::Status;
use ipc::mailbox::Store;

use super::fault;

/// Makes the home where that is allowed; else a missing one defers: it may not be mounted yet.
pub(crate) fn prepare_home(store: &Store) -> Result<(), Status> {
    let made = match store.home.metadata() {
        Ok(_) => return Ok(()),
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Err(_) if store.make_home => make(&store.home),
        Err(_) if !needs_home(store) => return Ok(()),
        Err(error) => Err(error),
    };
    made.map_err(|error| fault::status(&format!("home {}", store.home.display()), &error))
}

fn needs_home(store: &Store) -> bool {
    use ipc::mailbox::Place;
    match &store.place {
        Place::Maildir(path) | Place::Mbox(path) => path.starts_with(&store.home),
        Place::Command(_) => false,
    }
}

/// Makes a directory (0700) and those above it that are missing, durably.
pub(crate) fn make(path: &Path) -> io::Result<()> {
    let Some(above) = path.parent() else {
        return Ok(());
    };
    match DirBuilder::new().mode(0o700).create(path) {
        Ok(()) => sync(above),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            make(above)?;
            DirBuilder::new().mode(0o700).create(path)?;
            sync(above)
        }
        Err(error) => Err(error),
    }
}

/// Syncs the entries of a directory.
pub(crate) fn sync(directory: &Path) -> io::Result<()> {
    let directory = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
    File::open(directory)?.sync_all()
}
