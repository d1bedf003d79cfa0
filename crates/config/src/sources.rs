//! Where tables are read from: each from the file of its name in the directory of the tables, unless
//! `[tables]` says `access = ["text:access", "cidr:access.cidr"]`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tables::{Kind, MAX_SOURCES};
use toml::de::DeTable;

use crate::Paths;
use crate::reader::{Reader, Value};

/// One source of a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableSource {
    pub kind: Kind,
    /// As the administrator wrote it.
    pub name: String,
    pub path: PathBuf,
}

/// By the names of tables; others have their own file.
pub type Sources = BTreeMap<String, Vec<TableSource>>;

impl Paths {
    /// The sources of a table, in their order.
    #[must_use]
    pub fn of_table(&self, name: &str) -> Vec<TableSource> {
        let own =
            || TableSource { kind: Kind::Text, name: name.into(), path: self.tables.join(name) };
        self.sources.get(name).cloned().unwrap_or_else(|| vec![own()])
    }

    /// The path of a source of a table.
    #[must_use]
    pub fn of_source(&self, table: &str, name: &str) -> PathBuf {
        let sources = self.of_table(table).into_iter();
        let path = sources.filter(|it| it.name == name).map(|it| it.path).next();
        path.unwrap_or_else(|| self.tables.join(name))
    }
}

/// What `[tables]` says of sources. `place` is where a path of the file lies.
pub(crate) fn sources<'a>(
    reader: &mut Reader,
    section: Option<&'a DeTable<'a>>,
    directory: &Path,
    place: impl Fn(&str) -> PathBuf,
) -> Sources {
    let place = |name: &str| if name.starts_with('/') { place(name) } else { directory.join(name) };
    let stated = section.into_iter().flatten().filter_map(|(key, value)| {
        let table = tables::SUPPORTED.into_iter().find(|table| *table == key.get_ref())?;
        Some((table.to_owned(), of_one(reader, table, value, place)?))
    });
    stated.collect()
}

fn of_one(
    reader: &mut Reader,
    table: &str,
    value: &Value<'_>,
    place: impl Fn(&str) -> PathBuf,
) -> Option<Vec<TableSource>> {
    let kinds = Kind::of_table(table);
    let read = |text: &str| {
        let (kind, name) = text.split_once(':')?;
        let kind = Kind::named(kind).filter(|kind| kinds.contains(kind))?;
        let fits = !name.is_empty() && !name.contains(char::is_control);
        fits.then(|| TableSource { kind, name: name.to_owned(), path: place(name) })
    };
    let shown: Vec<_> = kinds.iter().map(|kind| format!("\"{kind}:{table}\"")).collect();
    let remedy = format!("write {}, or another file", shown.join(" or "));
    let problem = format!("this is not a source that {table} can have");
    let sources = reader.list(value, read, &problem, &remedy)?;
    if sources.len() > MAX_SOURCES {
        reader.find(
            value.span(),
            format!("{MAX_SOURCES} sources are the most"),
            "put some together",
        );
        return None;
    }
    let repeats = |at: usize, source: &TableSource| {
        sources.iter().take(at).any(|other| other.name == source.name)
    };
    if sources.iter().enumerate().any(|(at, source)| repeats(at, source)) {
        reader.find(value.span(), "a source is named twice", "name it once");
    }
    Some(sources)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tables::{Access, Names, Tag};

    use crate::{Snapshot, Watch, check_tables, load, read_table};

    fn root(sources: &str, files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        let etc = root.path().join("etc/mail");
        fs::create_dir_all(&etc).unwrap();
        fs::create_dir_all(root.path().join("srv")).unwrap();
        let text = format!("hostname = \"x.test\"\n[tables]\n{sources}\n");
        fs::write(etc.join("pennypost.toml"), text).unwrap();
        for (name, text) in files {
            fs::write(root.path().join(name), text).unwrap();
        }
        root
    }

    #[test]
    fn several_sources_are_one_table_in_their_order() {
        let sources =
            "access = [\"text:/srv/first\", \"text:access\"]\nlocal-host-names = \"text:w\"";
        let root = root(
            sources,
            &[
                ("srv/first", "From:a.test OK\nno value\n"),
                ("etc/mail/access", "From:a.test REJECT\nFrom:b.test REJECT\nbad\n"),
                ("etc/mail/w", "w.test\n"),
                ("etc/mail/local-host-names", "not.asked\n"),
            ],
        );
        let config = load(Some(root.path()), None).unwrap();
        let read = |file: &str, content| Access::read(file, content);
        let access = read_table(&config, "access", read).unwrap().unwrap().table;
        let place = |domain| access.domain(Tag::From, domain).unwrap().place.to_string();
        assert_eq!([place("a.test"), place("b.test")], ["/srv/first:1", "access:2"]);
        let read = |file: &str, content| Names::read(file, content);
        let names = read_table(&config, "local-host-names", read).unwrap().unwrap().table;
        assert_eq!(names.line("w.test").unwrap().to_string(), "w:1");
        assert_eq!(names.line("not.asked"), None);
        let found = check_tables(&config);
        let found: Vec<_> = found.iter().map(|found| (found.file.as_str(), found.line)).collect();
        let below = |name: &str| root.path().join(name).display().to_string();
        let (first, second) = (below("srv/first"), below("etc/mail/access"));
        assert_eq!(found, [(first.as_str(), 2), (second.as_str(), 3)]);
        let before = Snapshot::take(Some(root.path()), None).unwrap();
        let watch = Watch::new(&config).unwrap();
        fs::write(root.path().join("srv/first"), "From:a.test OK\n").unwrap();
        let after = Snapshot::take(Some(root.path()), None).unwrap();
        assert_eq!(after.changes(&before), ["access"]);
        assert!(watch.changed().unwrap());
    }

    #[test]
    fn what_a_table_cannot_have_is_told() {
        for (sources, problem) in [
            ("access = \"access\"", "this is not a source that access can have"),
            ("access = \"pgsql:access\"", "this is not a source that access can have"),
            ("aliases = \"regex:aliases\"", "this is not a source that aliases can have"),
            ("users = [\"cdb:users\"]", "this is not a source that users can have"),
            ("access = [\"text:a\", \"cidr:a\"]", "a source is named twice"),
            ("acces = \"text:access\"", "unknown key `tables.acces`"),
        ] {
            let root = root(sources, &[]);
            let report = load(Some(root.path()), None).unwrap_err();
            assert!(report.to_string().contains(problem), "{report}");
        }
        let root = root("access = [\"text:gone\"]", &[]);
        let why = Snapshot::take(Some(root.path()), None).unwrap_err();
        assert!(why.contains("etc/mail/gone:1: cannot be read: No such file"), "{why}");
    }
}
