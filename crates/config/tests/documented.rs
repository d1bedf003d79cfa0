//! docs/configuration.md and the installed files, held against what is read.

#![cfg(test)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use config::{NOT_YET, SUPPORTED, load};

fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}

fn documentation() -> String {
    fs::read_to_string(repository("docs/configuration.md")).unwrap()
}

/// The cells of each row of the table of keys.
fn rows(text: &str) -> Vec<Vec<String>> {
    let section = text.split("\n## ").find(|section| section.starts_with("Keys")).unwrap();
    let rows = section.lines().filter(|line| line.starts_with("| `"));
    rows.map(|row| row.split('|').map(|cell| cell.trim().to_owned()).collect()).collect()
}

fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

#[test]
fn every_key_is_documented_and_nothing_else() {
    let text = documentation();
    let rows = rows(&text);
    let documented: Vec<_> = rows.iter().map(|row| row[1].trim_matches('`')).collect();
    assert_eq!(documented, SUPPORTED);
    let section = text.split("\n## ").find(|section| section.starts_with("Not yet")).unwrap();
    let lists = section.split("\n\n").find(|part| part.starts_with("* ")).unwrap();
    let refused: BTreeSet<_> = quoted(lists).collect();
    assert_eq!(refused, NOT_YET.into_iter().collect());
}

/// Writes each key with the value that `value` takes from its row, and reads the file.
fn file_of(value: impl Fn(&[String]) -> Option<String>) -> config::Config {
    let mut text = String::new();
    let mut section = String::new();
    for row in rows(&documentation()) {
        let key = row[1].trim_matches('`');
        let Some(value) = value(&row) else { continue };
        let (table, name) = key.split_once('.').unwrap_or(("", key));
        if table != section {
            let header = if table == "listener" { "[[listener]]" } else { &format!("[{table}]") };
            text.push_str(&format!("{header}\n"));
            section = table.to_owned();
        }
        text.push_str(&format!("{name} = {value}\n"));
    }
    let root = tempfile::tempdir().unwrap();
    let file = root.path().join("pennypost.toml");
    fs::write(&file, &text).unwrap();
    let config = load(None, Some(&file)).map_err(|report| format!("{report}\n{text}")).unwrap();
    config::Config { paths: config::Paths { file: PathBuf::new(), ..config.paths }, ..config }
}

#[test]
fn the_documented_defaults_are_the_defaults() {
    let hostname = |row: &[String]| (row[1] == "`hostname`").then(|| "\"x.test\"".to_owned());
    let stated = file_of(|row| {
        hostname(row).or_else(|| quoted(&row[2]).next().map(str::to_owned)).filter(|_| {
            // A listener has no default as a whole.
            !row[1].starts_with("`listener.")
        })
    });
    assert_eq!(stated, file_of(hostname));
}

#[test]
fn the_examples_are_read_and_say_something() {
    let example = |row: &[String]| quoted(&row[4]).next().map(str::to_owned);
    let all = file_of(example);
    for row in rows(&documentation()) {
        let changes = !row[1].starts_with("`listener.") && row[1] != "`log.format`";
        let without = |other: &[String]| example(other).filter(|_| other[1] != row[1]);
        if changes && row[1] != "`hostname`" {
            assert_ne!(file_of(without), all, "{} has no effect", row[1]);
        }
    }
}

#[test]
fn the_types_of_tables_are_documented() {
    let text = documentation();
    let (_, rows) = text.split_once("| table | types |\n|---|---|\n").unwrap();
    let rows: Vec<_> = rows.lines().take_while(|line| line.starts_with("| ")).collect();
    let types = |table: &str| {
        let row = rows
            .iter()
            .find(|row| row.split(" | ").next().unwrap().contains(&format!("`{table}`")));
        quoted(row.or(rows.last()).unwrap().rsplit(" | ").next().unwrap()).collect::<Vec<_>>()
    };
    for table in tables::SUPPORTED {
        let kinds: Vec<_> = tables::Kind::of_table(table).iter().map(ToString::to_string).collect();
        assert_eq!(types(table), kinds, "{table}");
    }
}

#[test]
fn the_installed_file_has_the_defaults() {
    let installed = load(None, Some(&repository("etc/mail/pennypost.toml"))).unwrap();
    let hostname = |row: &[String]| (row[1] == "`hostname`").then(|| "\"mail.example.org\"".into());
    let paths = config::Paths { file: PathBuf::new(), ..installed.paths };
    assert_eq!(config::Config { paths, ..installed }, file_of(hostname));
}

#[test]
fn the_installed_tables_have_nothing_wrong() {
    // Also with their examples.
    for name in ["aliases", "local-host-names", "mailertable", "virtuser-domains", "virtusertable"]
    {
        let path = repository("etc/mail").join(name);
        let text = fs::read_to_string(&path).unwrap();
        let examples: Vec<_> = text.lines().map(without_mark).collect();
        for source in [text.clone(), examples.join("\n")] {
            let found = match name {
                "aliases" => tables::Aliases::read(name, source.as_bytes()).unwrap().findings,
                "mailertable" => {
                    tables::Mailertable::read(name, source.as_bytes()).unwrap().findings
                }
                "virtusertable" => {
                    tables::Virtusertable::read(name, source.as_bytes()).unwrap().findings
                }
                _ => tables::Names::read(name, source.as_bytes()).unwrap().findings,
            };
            assert_eq!(found, []);
        }
    }
}

/// An example with the mark of a comment taken off; other lines as they are.
fn without_mark(line: &str) -> &str {
    line.strip_prefix('#').filter(|rest| !rest.is_empty() && !rest.starts_with(' ')).unwrap_or(line)
}
