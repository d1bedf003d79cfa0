//! The table files beside the configuration.

use std::fs::File;
use std::io;

use tables::{Aliases, Finding, Mailertable, Names, Users};

use crate::Config;

/// Everything that is wrong with the tables. With a finding that is `unsupported` the supervisor
/// does not start: mail would go another way than the administrator says.
#[must_use]
pub fn check_tables(config: &Config) -> Vec<Finding> {
    let mut findings = Vec::new();
    for name in tables::SUPPORTED {
        let read = read_table(config, name, |file, source| {
            Ok(match name {
                "aliases" => Aliases::read(file, source)?.findings,
                "mailertable" => Mailertable::read(file, source)?.findings,
                "users" => Users::read(file, source)?.findings,
                _ => Names::read(file, source)?.findings,
            })
        });
        findings.extend(read.unwrap_or_else(|finding| Some(vec![finding])).unwrap_or_default());
    }
    // Without a root `users` is the table of SMTP AUTH, which is not there yet.
    let users = (!config.rooted).then_some("users");
    findings
        .extend(tables::NOT_YET.into_iter().chain(users).filter_map(|name| not_yet(config, name)));
    findings
}

/// A table that this version cannot read must be empty, or not there.
fn not_yet(config: &Config, name: &str) -> Option<Finding> {
    let path = config.paths.tables.join(name);
    // A link that leads nowhere is no absent table.
    std::fs::symlink_metadata(&path).ok()?;
    let text = match std::fs::read(&path) {
        Ok(text) if !has_entries(&text) => return None,
        Ok(_) => "this table is not yet supported; empty it or move it away".to_owned(),
        Err(error) => format!("cannot be read: {error}; this table is not yet supported"),
    };
    Some(Finding { file: path.display().to_string(), line: 1, text, unsupported: true })
}

fn has_entries(text: &[u8]) -> bool {
    let mut lines = text.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    lines.any(|line| !line.is_empty() && !line.starts_with(b"#"))
}

/// Opens a table and hands it to `read` with the name for messages; `None`: there is no such file.
///
/// # Errors
/// The file cannot be read; as a finding that keeps the system from starting.
pub fn read_table<T>(
    config: &Config,
    name: &str,
    read: impl FnOnce(&str, File) -> io::Result<T>,
) -> Result<Option<T>, Finding> {
    let path = config.paths.tables.join(name);
    let shown = path.display().to_string();
    let fail = |error: io::Error| Finding {
        file: shown.clone(),
        line: 1,
        text: format!("cannot be read: {error}"),
        unsupported: true,
    };
    match File::open(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(fail(error)),
        Ok(file) => read(&shown, file).map(Some).map_err(fail),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_that_cannot_be_read_yet_are_refused_by_name() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("etc/mail");
        std::fs::create_dir_all(folder.join("access")).unwrap();
        std::os::unix::fs::symlink("nowhere", folder.join("virtusertable")).unwrap();
        std::fs::write(folder.join("genericstable"), "# nothing\n\n").unwrap();
        std::fs::write(folder.join("users"), "alice:\n").unwrap();
        std::fs::write(folder.join("pennypost.toml"), "hostname = \"x.test\"\n").unwrap();
        let mut config = crate::load(Some(root.path()), None).unwrap();
        let names = |config: &Config| {
            let findings = check_tables(config);
            assert!(findings.iter().all(|finding| finding.unsupported), "{findings:?}");
            let mut names: Vec<_> = findings
                .iter()
                .map(|finding| finding.file.rsplit('/').next().unwrap().to_owned())
                .collect();
            names.sort();
            names
        };
        assert_eq!(names(&config), ["access", "virtusertable"]);
        config.rooted = false;
        assert_eq!(names(&config), ["access", "users", "virtusertable"]);
    }
}
