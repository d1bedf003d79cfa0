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
    for name in tables::NOT_YET {
        let path = config.paths.tables.join(name);
        if std::fs::read(&path).is_ok_and(|text| has_entries(&text)) {
            let text = "this table is not yet supported; empty it or move it away".to_owned();
            let file = path.display().to_string();
            findings.push(Finding { file, line: 1, text, unsupported: true });
        }
    }
    findings
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
