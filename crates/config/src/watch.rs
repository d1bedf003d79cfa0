//! Sees that the files change from which a configuration is read.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, InotifyEvent, WatchDescriptor};

use crate::Config;

/// The paths whose change may change what [`crate::Snapshot::take`] reads: the file, each table,
/// where links lead, and the directory of the tables itself.
pub(crate) fn paths(config: &Config) -> BTreeSet<PathBuf> {
    let directory = &config.paths.tables;
    let tables = tables::SUPPORTED.iter().chain(&tables::NOT_YET).map(|name| directory.join(name));
    let named: Vec<PathBuf> =
        tables.chain([directory.clone(), config.paths.file.clone()]).collect();
    let led_to = named.iter().filter_map(|path| path.canonicalize().ok());
    led_to.chain(named.clone()).collect()
}

/// Watches the directories of these files: an editor may put a new file in the place of the old.
#[derive(Debug)]
pub struct Watch {
    inotify: Inotify,
    names: BTreeSet<(WatchDescriptor, OsString)>,
}

impl Watch {
    /// What happens from now on is seen.
    ///
    /// # Errors
    /// The kernel has no more watches for this user.
    pub fn new(config: &Config) -> io::Result<Self> {
        let inotify = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC)?;
        // Not each write: who writes a file in place has it read when it is closed.
        let flags = AddWatchFlags::IN_CLOSE_WRITE
            | AddWatchFlags::IN_MOVE
            | AddWatchFlags::IN_CREATE
            | AddWatchFlags::IN_DELETE
            | AddWatchFlags::IN_ATTRIB;
        let mut names = BTreeSet::new();
        for path in paths(config) {
            let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { continue };
            let parent = if parent == Path::new("") { Path::new(".") } else { parent };
            // Of a directory that is not there, its own directory tells when it appears.
            if let Ok(directory) = inotify.add_watch(parent, flags) {
                names.insert((directory, name.to_owned()));
            }
        }
        Ok(Self { inotify, names })
    }
}
