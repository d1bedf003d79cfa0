//! `praliases`: prints aliases as `name:value` lines.

use std::fs::File;
use std::io::{self, Write};
use std::process::ExitCode;

use config::read_table;
use serde_json::json;
use tables::{Aliases, Read};

use crate::getopt::{self, Word};
use crate::listing::{Reader, json_line};
use crate::routes::unreadable;
use crate::site::Site;
use crate::{Exit, Failure, complain, finish};

const USAGE: &str = "Usage: praliases [-C cffile] [-f aliasfile] [--json] [key ...]";

const HELP: &str = "\
praliases: print the aliases

Usage: praliases [-f FILE] [--json] [NAME]...

NAME:VALUE for each alias, or for those that are named, in the order of the file.

Examples:
  praliases
  praliases root postmaster
  praliases --json | jq -r 'select(.value == \"root\").name'

The environment variable PENNYPOST_ROOT says where a system started with --root lives.
";

/// How an alias looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Layout {
    Colon(Reader),
    Json,
}

/// The whole command.
#[must_use]
pub fn main() -> ExitCode {
    let words = std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned());
    let (site, reader) = (Site::from_environment(), Reader::of_stdout());
    finish("praliases", run(words, &site, reader, &mut io::stdout().lock()))
}

fn run(
    words: impl Iterator<Item = String>,
    site: &Site,
    reader: Reader,
    out: &mut impl Write,
) -> Result<Exit, Failure> {
    let (mut file, mut keys) = (None, Vec::new());
    let words: Vec<_> = words.collect();
    if words.iter().any(|word| word == "--help") {
        out.write_all(HELP.as_bytes())?;
        return Ok(Exit::Ok);
    }
    let (json, words): (Vec<_>, Vec<_>) = words.into_iter().partition(|word| word == "--json");
    let layout = if json.is_empty() { Layout::Colon(reader) } else { Layout::Json };
    let usage = |_| Failure::new(Exit::Usage, USAGE);
    for word in getopt::read("C:f:", words).map_err(usage)? {
        match word {
            Word::Option('f', path) => file = Some(path),
            // -C: there is no sendmail.cf.
            Word::Flag(_) | Word::Option(..) => {}
            Word::Plain(key) => keys.push(key),
        }
    }
    let Read { table, findings } = read(file, site)?;
    findings.iter().for_each(|finding| complain("praliases", finding));
    if keys.is_empty() {
        table.entries().try_for_each(|(name, value, _)| layout.write(name, value, out))?;
    }
    for key in &keys {
        let key = key.to_lowercase();
        match table.entries().find(|(name, ..)| *name == key) {
            Some((name, value, _)) => layout.write(name, value, out)?,
            None if layout == Layout::Json => complain("praliases", format!("{key}: No such key")),
            None => writeln!(out, "{}: No such key", reader.show(&key))?,
        }
    }
    Ok(Exit::Ok)
}

impl Layout {
    fn write(self, name: &str, value: &str, out: &mut impl Write) -> io::Result<()> {
        match self {
            Self::Colon(reader) => writeln!(out, "{name}:{}", reader.show(value)),
            Self::Json => json_line(&json!({ "name": name, "value": value }), out),
        }
    }
}

/// `path`, with or without `.db`, or the table of the configuration.
fn read(path: Option<String>, site: &Site) -> Result<Read<Aliases>, Failure> {
    if let Some(path) = path {
        let path = path.strip_suffix(".db").unwrap_or(&path);
        let read = File::open(path).and_then(|file| Aliases::read(path, file));
        return read.map_err(|error| Failure::new(Exit::NoInput, format!("{path}: {error}")));
    }
    let config = site.load();
    let config = config.map_err(|report| Failure::new(Exit::Config, report.to_string()))?;
    let read = read_table(&config, "aliases", Aliases::read).map_err(|why| unreadable(&why))?;
    Ok(read.unwrap_or_else(|| Read { table: Aliases::default(), findings: Vec::new() }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routes::tests::site;

    const ALIASES: &str = "Root: alice\nlist: a,\n\tb\nbad line\n";

    fn printed(words: &[&str]) -> Result<String, Exit> {
        printed_of(ALIASES, words)
    }

    fn printed_of(aliases: &str, words: &[&str]) -> Result<String, Exit> {
        let root = tempfile::tempdir().unwrap();
        let site = site(root.path(), &[("aliases", aliases)]);
        let words: Vec<_> = words
            .iter()
            .map(|word| word.replace("ROOT", &root.path().display().to_string()))
            .collect();
        let mut out = Vec::new();
        run(words.into_iter(), &site, Reader::Program, &mut out).map_err(|failure| failure.exit)?;
        Ok(String::from_utf8(out).unwrap())
    }

    #[test]
    fn names_and_values() {
        let all = "root:alice\nlist:a,\tb\n";
        assert_eq!(printed(&[]).as_deref(), Ok(all));
        assert_eq!(printed(&["-f", "ROOT/etc/mail/aliases.db"]).as_deref(), Ok(all));
        assert_eq!(printed(&["ROOT", "list"]).unwrap().lines().count(), 2);
        assert_eq!(printed(&["LIST", "nope"]).as_deref(), Ok("list:a,\tb\nnope: No such key\n"));
        let json = "{\"name\":\"list\",\"value\":\"a,\\tb\"}\n";
        assert_eq!(printed(&["list", "--json"]).as_deref(), Ok(json));
        assert_eq!(printed(&["-f/nonexistent"]), Err(Exit::NoInput));
        assert_eq!(printed(&["--help"]).as_deref(), Ok(HELP));
        assert_eq!(printed(&["-x"]), Err(Exit::Usage));
    }

    /// None, one, two with one in UTF-8, and those that are named.
    #[test]
    fn listings() {
        let two = "Root: alice\nb\u{fc}ro: d\u{f6}rte,\n\t\"|cmd a\"\n";
        let shown = [("", ""), ("root: alice\n", ""), (two, ""), (two, "B\u{dc}RO nope root")].map(
            |(aliases, words)| {
                let words: Vec<_> = words.split_whitespace().collect();
                let plain = printed_of(aliases, &words).unwrap();
                let json = printed_of(aliases, &[&words[..], &["--json"]].concat()).unwrap();
                format!("-- {} --\n{plain}{json}", words.join(" "))
            },
        );
        insta::assert_snapshot!("praliases", shown.concat());
    }
}
