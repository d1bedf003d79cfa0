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
        Place::Command(_) | Place::Program { .. } | Place::File(_) | Place::Include(_) => false,
    }
}

/// Makes a directory (0700) and those above it that are missing, durably. Others may be making
/// them, too.
pub(crate) fn make(path: &Path) -> io::Result<()> {
    match make_one(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            path.parent().map_or(Ok(()), make)?;
            make_one(path)
        }
        other => other,
    }
}

fn make_one(path: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made.and_then(|()| path.parent().map_or(Ok(()), sync)),
    }
}

/// Syncs the entries of a directory.
pub(crate) fn sync(directory: &Path) -> io::Result<()> {
    let directory = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
    File::open(directory)?.sync_all()
}
