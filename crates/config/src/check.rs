//! The table files beside the configuration.

use std::fs::OpenOptions;
use std::io::{self, Cursor, Read as _};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use nix::fcntl::OFlag;
use tables::{
    Access, Aliases, Authinfo, Domaintable, Finding, Genericstable, MAX_FILE, Mailertable, Names,
    Read, Reader, RelayDomains, SECRET, Senderrelay, Source, TrustedUsers, Users, Virtusertable,
    add_source,
};

use crate::{Config, TableSource};

/// What is in a table file.
pub type Content = Cursor<Vec<u8>>;

/// Everything that is wrong with the tables. With a finding that is `unsupported` the supervisor
/// does not start: mail would go another way than the administrator says.
#[must_use]
pub fn check_tables(config: &Config) -> Vec<Finding> {
    read_tables(config).1
}

/// The tables that are there, and everything that is wrong with them.
pub(crate) fn read_tables(config: &Config) -> (Vec<(&'static str, Content)>, Vec<Finding>) {
    let (mut contents, mut findings) = (Vec::new(), Vec::new());
    if !config.paths.tables.is_dir() {
        // Without it there would be no user and no domain of ours: that is hardly meant.
        findings.push(grave(&config.paths.tables, "there is no such directory".to_owned()));
    }
    for name in tables::SUPPORTED {
        let check = |file: &str, content: Content| {
            Ok(Read { findings: check(name, file, &content)?, table: content })
        };
        match read_table(config, name, check) {
            Ok(None) => {}
            Ok(Some(read)) => {
                findings.extend(read.findings);
                // Nobody needs it yet (docs/configuration.md): it is forgotten.
                if name != SECRET {
                    contents.push((name, read.table));
                }
            }
            Err(finding) => findings.push(finding),
        }
    }
    // Without a root `users` is the table of SMTP AUTH, which is not there yet.
    let users = (!config.rooted).then_some("users");
    findings.extend(users.and_then(|name| not_yet(config, name)));
    (contents, findings)
}

fn check(name: &str, file: &str, content: &Content) -> io::Result<Vec<Finding>> {
    let source = content.get_ref().as_slice();
    Ok(match name {
        "access" => Access::read(file, source)?.findings,
        "aliases" => Aliases::read(file, source)?.findings,
        SECRET => Authinfo::read(file, source)?.findings,
        "domaintable" => Domaintable::read(file, source)?.findings,
        "genericstable" => Genericstable::read(file, source)?.findings,
        "mailertable" => Mailertable::read(file, source)?.findings,
        "relay-domains" => RelayDomains::read(file, source)?.findings,
        "senderrelay" => Senderrelay::read(file, source)?.findings,
        "trusted-users" => TrustedUsers::read(file, source)?.findings,
        "users" => Users::read(file, source)?.findings,
        "virtusertable" => Virtusertable::read(file, source)?.findings,
        _ => Names::read(file, source)?.findings,
    })
}

fn grave(path: &Path, text: String) -> Finding {
    Finding { file: path.display().to_string(), line: 1, text, unsupported: true }
}

/// A table that this version cannot read must be empty, or not there.
fn not_yet(config: &Config, name: &str) -> Option<Finding> {
    let path = config.paths.tables.join(name);
    // A link that leads nowhere is no absent table.
    std::fs::symlink_metadata(&path).ok()?;
    let text = match read(&path) {
        Ok(text) if !has_entries(&text) => return None,
        Ok(_) => "this table is not yet supported; empty it or move it away".to_owned(),
        Err(error) => format!("cannot be read: {error}; this table is not yet supported"),
    };
    Some(grave(&path, text))
}

fn has_entries(text: &[u8]) -> bool {
    let mut lines = text.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    lines.any(|line| !line.is_empty() && !line.starts_with(b"#"))
}

/// Hands what is in a table to `understand`, with its name; `None`: there is no such file. Findings are
/// told with the whole path.
///
/// # Errors
/// The file cannot be read; as a finding that keeps the system from starting.
pub fn read_table<T>(
    config: &Config,
    name: &str,
    understand: impl FnOnce(&str, Content) -> io::Result<Read<T>>,
) -> Result<Option<Read<T>>, Finding> {
    let Some(content) = content(config, name)? else { return Ok(None) };
    let fail = |error| grave(&config.paths.tables.join(name), format!("cannot be read: {error}"));
    let mut read = understand(name, Cursor::new(content)).map_err(fail)?;
    for finding in &mut read.findings {
        finding.file = config.paths.of_source(name, &finding.file).display().to_string();
    }
    Ok(Some(read))
}

/// All sources of a table; one that the administrator names is there.
fn content(config: &Config, name: &str) -> Result<Option<Vec<u8>>, Finding> {
    let named = config.paths.sources.contains_key(name);
    let mut content = Vec::new();
    for TableSource { kind, name: source, path } in config.paths.of_table(name) {
        let fail = |why: String| grave(&path, format!("cannot be read: {why}"));
        match read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && !named => return Ok(None),
            Err(error) => return Err(fail(error.to_string())),
            Ok(_) if name == SECRET && is_open(&path) => {
                return Err(grave(&path, "others can read it: chmod o= it".to_owned()));
            }
            Ok(text) => add_source(&mut content, name, kind, &source, &text)
                .map_err(|why| fail(why.to_owned()))?,
        }
    }
    Ok(Some(content))
}

/// May anybody read or write it?
fn is_open(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|metadata| metadata.mode() & 0o006 != 0)
}

/// The tables of a configuration as they are on disk now; bad lines are told by [`check_tables`].
#[derive(Debug)]
pub struct OnDisk<'a>(pub &'a Config);

impl Source for OnDisk<'_> {
    type Error = Finding;

    fn table<T: Default>(&self, name: &str, read: Reader<T>) -> Result<T, Finding> {
        let read = read_table(self.0, name, |file, mut content| read(file, &mut content))?;
        Ok(read.map(|read| read.table).unwrap_or_default())
    }
}

/// A pipe would let us wait for ever.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    let file = OpenOptions::new().read(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("not a file"));
    }
    let mut content = Vec::new();
    // Whoever understands it says that it is too large.
    file.take(MAX_FILE + 1).read_to_end(&mut content)?;
    Ok(content)
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_table_that_cannot_be_read_yet_is_refused_by_name() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("etc/mail");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("users"), "# nothing\n\n").unwrap();
        std::fs::write(folder.join("pennypost.toml"), "hostname = \"x.test\"\n").unwrap();
        let mut config = crate::load(Some(root.path()), None).unwrap();
        let refused = |config: &Config| {
            let findings = check_tables(config);
            findings.iter().filter(|finding| finding.unsupported).count()
        };
        config.rooted = false;
        assert_eq!(refused(&config), 0);
        std::fs::write(folder.join("users"), "alice:\n").unwrap();
        assert_eq!(refused(&config), 1);
        config.rooted = true;
        assert_eq!(refused(&config), 0);
    }

    #[test]
    fn a_secret_that_others_can_read_is_refused() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("etc/mail");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("pennypost.toml"), "hostname = \"x.test\"\n").unwrap();
        let authinfo = folder.join("authinfo");
        std::fs::write(&authinfo, "AuthInfo: \"U:u\" \"P:secret\"\nwrong secret\n").unwrap();
        let config = crate::load(Some(root.path()), None).unwrap();
        for (mode, expected) in [
            (0o644, ["others can read it: chmod o= it"]),
            (0o602, ["others can read it: chmod o= it"]),
            (0o640, ["an entry is `AuthInfo:server  \"U:user\" \"P:secret\"`"]),
        ] {
            std::fs::set_permissions(&authinfo, Permissions::from_mode(mode)).unwrap();
            let (contents, findings) = read_tables(&config);
            let texts: Vec<_> = findings.iter().map(|finding| finding.text.as_str()).collect();
            assert_eq!(texts, expected);
            assert!(contents.is_empty(), "it is kept");
        }
    }
}
