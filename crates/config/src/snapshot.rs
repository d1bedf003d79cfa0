//! The configuration and its tables as they are on disk at one moment.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use tables::Finding;

use crate::check::read_tables;
use crate::{Config, Table, load, watch};

/// An editor that replaces a file has done so after this time.
const SETTLED: Duration = Duration::from_millis(100);
/// How long files may go on changing before they are read all the same.
const PATIENCE: Duration = Duration::from_secs(1);
const PAUSE: Duration = Duration::from_millis(10);

/// A configuration that may come into force, with its tables.
///
/// **Invariant:** what was checked is what is used: nothing of it is read from disk again.
#[derive(Debug)]
pub struct Snapshot {
    pub config: Config,
    /// Those that are there.
    pub tables: BTreeMap<&'static str, Table>,
    /// Bad lines, which are skipped.
    pub findings: Vec<Finding>,
}

impl Snapshot {
    /// Reads everything; arguments as of [`load`].
    ///
    /// # Errors
    /// Everything with which Pennypost does not start, for the administrator.
    pub fn take(root: Option<&Path>, file: Option<&Path>) -> Result<Self, String> {
        let config = load(root, file).map_err(|report| report.to_string())?;
        let (contents, findings) = read_tables(&config);
        let grave = findings.iter().filter(|finding| finding.unsupported);
        let grave: Vec<_> = grave.map(ToString::to_string).collect();
        if !grave.is_empty() {
            return Err(grave.join("\n"));
        }
        let mut tables = BTreeMap::new();
        for (name, content) in contents {
            let table = Table::keep(content.get_ref());
            tables.insert(name, table.map_err(|error| format!("{name}: {error}"))?);
        }
        Ok(Self { config, tables, findings })
    }

    /// The same once nobody is at work on the files: an editor may write them in place, or move
    /// them away for a moment, and a table that is half there would have mail refused.
    ///
    /// # Errors
    /// Also: they were written just then.
    pub fn take_settled(root: Option<&Path>, file: Option<&Path>) -> Result<Self, String> {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if let Some(snapshot) = Self::undisturbed(root, file, Trace::is_old) {
                return snapshot;
            }
            thread::sleep(PAUSE);
        }
        let late = Self::undisturbed(root, file, |_| true);
        late.unwrap_or_else(|| Err("the files are being written at this moment".to_owned()))
    }

    /// `None`: the files were changed while they were read, or are not `settled`.
    fn undisturbed(
        root: Option<&Path>,
        file: Option<&Path>,
        settled: fn(&Trace) -> bool,
    ) -> Option<Result<Self, String>> {
        let before = traces(root, file);
        let snapshot = before.values().flatten().all(settled).then(|| Self::take(root, file))?;
        (before == traces(root, file)).then_some(snapshot)
    }

    /// What means something else than before: parts of the configuration, tables.
    #[must_use]
    pub fn changes(&self, before: &Self) -> Vec<String> {
        let parts = self.config.differences(&before.config);
        let names = tables::SUPPORTED.iter();
        let tables = names.filter(|name| self.tables.get(*name) != before.tables.get(*name));
        parts.iter().chain(tables).map(ToString::to_string).collect()
    }

    /// Is all of it as before for a process that is given these tables?
    #[must_use]
    pub fn is_same_for(&self, tables: &[&[&str]], before: &Self) -> bool {
        let mut names = tables.iter().copied().flatten();
        let same = |name: &&str| self.tables.get(name) == before.tables.get(name);
        self.config == before.config && names.all(same)
    }
}

/// By which a file is known to be as it was; `None`: it is not there.
type Traces = BTreeMap<PathBuf, Option<Trace>>;

#[derive(Debug, PartialEq, Eq)]
struct Trace {
    file: (u64, u64),
    size: u64,
    /// Of content, name or mode: seconds and nanoseconds.
    changed: (i64, i64),
}

impl Trace {
    fn is_old(&self) -> bool {
        let (Ok(seconds), Ok(nanos)) = (self.changed.0.try_into(), self.changed.1.try_into())
        else {
            return true;
        };
        let changed = SystemTime::UNIX_EPOCH + Duration::new(seconds, nanos);
        // One that lies ahead is of a clock that was set back: patience decides.
        SystemTime::now().duration_since(changed).is_ok_and(|age| age >= SETTLED)
    }
}

/// Of the files and their directories, as far as the configuration can be read.
fn traces(root: Option<&Path>, file: Option<&Path>) -> Traces {
    let paths = match load(root, file) {
        Ok(config) => watch::paths(&config),
        Err(report) => [report.file].into(),
    };
    let parents = paths.iter().filter_map(|path| path.parent()).map(Path::to_owned);
    let trace = |path: PathBuf| {
        let metadata = fs::metadata(&path).ok();
        let trace = metadata.map(|it| Trace {
            file: (it.dev(), it.ino()),
            size: it.size(),
            changed: (it.ctime(), it.ctime_nsec()),
        });
        (path, trace)
    };
    parents.chain(paths.clone()).map(trace).collect()
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    fn etc(root: &Path) -> PathBuf {
        let etc = root.join("etc/mail");
        fs::create_dir_all(&etc).unwrap();
        fs::write(etc.join("pennypost.toml"), "hostname = \"x.test\"\n").unwrap();
        etc
    }

    #[test]
    fn a_snapshot_stays_as_it_was() {
        let root = tempfile::tempdir().unwrap();
        let etc = etc(root.path());
        fs::write(etc.join("users"), "alice\n").unwrap();
        let take = || Snapshot::take(Some(root.path()), None);
        let first = take().unwrap();
        assert_eq!(first.changes(&take().unwrap()), [""; 0]);
        fs::write(etc.join("users"), "alice\nbob\n").unwrap();
        fs::write(etc.join("aliases"), "x: alice\nbad line\n").unwrap();
        fs::write(etc.join("pennypost.toml"), "hostname = \"y.test\"\n[limits]\nhops = 50\n")
            .unwrap();
        let second = take().unwrap();
        assert_eq!(second.changes(&first), ["hostname", "[limits]", "aliases", "users"]);
        assert_eq!(second.findings.len(), 1);
        assert_eq!(io::read_to_string(first.tables["users"].reader()).unwrap(), "alice\n");
        fs::write(etc.join("mailertable"), "x.test uucp:y\n").unwrap();
        let refused = take().unwrap_err();
        assert!(refused.contains("etc/mail/mailertable:1: "), "{refused}");
        fs::rename(&etc, root.path().join("etc/moved")).unwrap();
        assert!(take().unwrap_err().contains("there is no configuration file"));
    }

    #[test]
    fn without_the_directory_of_the_tables_nothing_begins() {
        let root = tempfile::tempdir().unwrap();
        let text = "hostname = \"x.test\"\n[tables]\ndirectory = \"/none\"\n";
        fs::write(etc(root.path()).join("pennypost.toml"), text).unwrap();
        let refused = Snapshot::take(Some(root.path()), None).unwrap_err();
        assert!(refused.contains("there is no such directory"), "{refused}");
    }

    #[test]
    fn nothing_half_written_is_taken() {
        let root = tempfile::tempdir().unwrap();
        let users = etc(root.path()).join("users");
        let whole = "alice\nbob\n";
        loop {
            let began = Instant::now();
            fs::write(&users, "").unwrap();
            let path = users.clone();
            let writer = thread::spawn(move || fs::write(path, whole).map(|()| Instant::now()));
            let snapshot = Snapshot::take_settled(Some(root.path()), None).unwrap();
            // On a busy machine it may be too late.
            if writer.join().unwrap().unwrap() < began + SETTLED {
                return assert!(snapshot.tables["users"].holds(whole.as_bytes()));
            }
        }
    }
}
