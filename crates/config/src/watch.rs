//! Sees that the files change from which a configuration is read.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, InotifyEvent, WatchDescriptor};

use crate::Config;

/// The paths whose change may change what [`crate::Snapshot::take`] reads: the file, each table,
/// where links lead, and the directory of the tables itself.
pub(crate) fn paths(config: &Config) -> BTreeSet<PathBuf> {
    let directory = &config.paths.tables;
    let sources = tables::SUPPORTED.into_iter().flat_map(|name| config.paths.of_table(name));
    let tables = sources.map(|source| source.path);
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
            match inotify.add_watch(parent, flags) {
                Ok(directory) => drop(names.insert((directory, name.to_owned()))),
                // Its own directory tells when it appears.
                Err(Errno::ENOENT | Errno::ENOTDIR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(Self { inotify, names })
    }

    /// Has anything happened to them? To be asked when the descriptor is readable. If so, this
    /// watch may look at the wrong directories by now.
    ///
    /// # Errors
    /// As read(2).
    pub fn changed(&self) -> io::Result<bool> {
        match self.inotify.read_events() {
            Ok(events) => Ok(events.into_iter().any(|event| self.concerns(event))),
            Err(Errno::EAGAIN) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Without a name it tells of a directory, or that there was too much to tell.
    fn concerns(&self, event: InotifyEvent) -> bool {
        event.name.is_none_or(|name| self.names.contains(&(event.wd, name)))
    }
}

impl AsFd for Watch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inotify.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn what_belongs_to_a_configuration_is_seen() {
        let root = tempfile::tempdir().unwrap();
        let below = |path: &str| root.path().join(path);
        fs::create_dir_all(below("etc/mail")).unwrap();
        fs::create_dir_all(below("elsewhere")).unwrap();
        fs::write(below("etc/mail/pennypost.toml"), "hostname = \"x.test\"\n").unwrap();
        fs::write(below("elsewhere/aliases"), "").unwrap();
        symlink(below("elsewhere/aliases"), below("etc/mail/aliases")).unwrap();
        let config = crate::load(Some(root.path()), None).unwrap();
        let seen = |act: &dyn Fn() -> io::Result<()>| {
            let watch = Watch::new(&config).unwrap();
            act().unwrap();
            watch.changed().unwrap()
        };
        assert!(!seen(&|| fs::write(below("etc/mail/notes"), "x")));
        assert!(!seen(&|| fs::read(below("etc/mail/pennypost.toml")).map(drop)));
        assert!(seen(&|| fs::write(below("etc/mail/pennypost.toml"), "x")));
        assert!(seen(&|| fs::write(below("elsewhere/aliases"), "x")));
        assert!(seen(&|| fs::write(below("etc/mail/users"), "")));
        assert!(seen(&|| fs::rename(below("etc/mail/notes"), below("etc/mail/users"))));
        assert!(seen(&|| fs::remove_file(below("etc/mail/users"))));
        assert!(seen(&|| fs::rename(below("etc/mail"), below("etc/old"))));
        assert!(!seen(&|| fs::write(below("etc/old/aliases"), "x")), "elsewhere only");
        assert!(seen(&|| fs::rename(below("etc/old"), below("etc/mail"))));
    }
}
