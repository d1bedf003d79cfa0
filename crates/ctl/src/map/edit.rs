//! `editmap`: one entry of a map's text, asked for, changed, or taken out. Comments stay.

use std::fs;
use std::io::{self, Write};
use std::process::ExitCode;

use super::line::{Grammar, Line};
use super::{check_type, write};
use crate::getopt::{self, Word};
use crate::listing::Reader;
use crate::{Exit, Failure};

const USAGE: &str =
    "Usage: editmap [-C cffile] [-N] [-f] [-q|-u|-x] maptype mapname key [ \"value ...\" ]";

const HELP: &str = "\
editmap: ask for, change or take out one entry of a table

Usage: editmap [-f] -q|-u|-x TYPE MAP KEY [VALUE]

The text is changed, which is what the mail system reads; its comments stay. TYPE is one of sendmail's,
MAP the file, with or without .db.

  -q      print the value; exit code 69 if there is none
  -u      set it to VALUE
  -x      take the entry out
  -f      keys keep their case

Examples:
  editmap -q hash /etc/mail/mailertable example.org
  editmap -u hash /etc/mail/mailertable example.org 'esmtp:[192.0.2.1]'
  editmap -x hash /etc/mail/mailertable example.org
";

/// Tables whose lines are no keys with values.
const OTHERS: [&str; 2] = ["aliases", "pennypost.toml"];

/// The whole command.
#[must_use]
pub fn main() -> ExitCode {
    super::finish("editmap", run(super::words(), Reader::of_stdout(), &mut io::stdout().lock()))
}

/// What to do with the key.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Action {
    Query,
    Update(String),
    Delete,
}

fn run(
    words: impl Iterator<Item = String>,
    reader: Reader,
    out: &mut impl Write,
) -> Result<Exit, Failure> {
    let usage = || Failure::new(Exit::Usage, USAGE);
    let (mut letter, mut keep_case, mut plain) = (None, false, Vec::new());
    let words: Vec<_> = words.collect();
    if words.iter().any(|word| word == "--help") {
        out.write_all(HELP.as_bytes())?;
        return Ok(Exit::Ok);
    }
    for word in getopt::read("C:Nfqux", words).map_err(|_| usage())? {
        match word {
            Word::Flag('f') => keep_case = true,
            Word::Flag(flag @ ('q' | 'u' | 'x')) if letter.is_none() => letter = Some(flag),
            Word::Flag('q' | 'u' | 'x') => return Err(usage()),
            // -C -N: there is no sendmail.cf, and no NUL.
            Word::Flag(_) | Word::Option(..) => {}
            Word::Plain(word) => plain.push(word),
        }
    }
    let mut plain = plain.into_iter();
    let (Some(kind), Some(map), Some(key)) = (plain.next(), plain.next(), plain.next()) else {
        return Err(usage());
    };
    let action = match (letter, plain.next(), plain.next()) {
        (Some('q'), None, None) => Action::Query,
        (Some('x'), None, None) => Action::Delete,
        (Some('u'), Some(value), None) if !value.trim().is_empty() => Action::Update(value),
        _ => return Err(usage()),
    };
    check_type(&kind, &map)?;
    edit(&map, &key, &action, Grammar { keep_case, ..Grammar::default() }, (reader, out))
}

fn edit(
    map: &str,
    key: &str,
    action: &Action,
    grammar: Grammar,
    (reader, out): (Reader, &mut impl Write),
) -> Result<Exit, Failure> {
    let path = map.strip_suffix(".db").unwrap_or(map);
    let name = path.rsplit('/').next().unwrap_or(path);
    if OTHERS.contains(&name) {
        let text = format!("{name} has no keys and values of this kind: edit the file");
        return Err(Failure::new(Exit::Usage, text));
    }
    let fail = |exit, error: io::Error| Failure::new(exit, format!("{path}: {error}"));
    let text = fs::read_to_string(path).map_err(|error| fail(Exit::NoInput, error))?;
    let key = grammar.key(key);
    let changed = match action {
        Action::Query => {
            let missing = format!("couldn't find key {key} in map {map}");
            let value = find(&text, &key, grammar);
            let value = value.ok_or(Failure::new(Exit::Unavailable, missing))?;
            writeln!(out, "{}", reader.show(value))?;
            return Ok(Exit::Ok);
        }
        Action::Update(value) if !fits(&key, value) => {
            let text = "a key without white space and a value of one line are wanted";
            return Err(Failure::new(Exit::DataErr, text));
        }
        Action::Update(value) => update(&text, &key, value, grammar),
        Action::Delete if find(&text, &key, grammar).is_none() => {
            // As sendmail's: it is gone, which is what was wanted.
            crate::complain("editmap", format_args!("key {key} doesn't exist in map {map}"));
            return Ok(Exit::Ok);
        }
        Action::Delete => delete(&text, &key, grammar),
    };
    let path = std::path::Path::new(path);
    let written = write::replace(path, path, changed.as_bytes());
    written.map_err(|error| fail(Exit::CantCreat, error))?;
    Ok(Exit::Ok)
}

/// Would the line be read as this entry?
fn fits(key: &str, value: &str) -> bool {
    let line = format!("{key}\t{value}");
    !line.contains(['\n', '\r', '\0'])
        && !key.contains(char::is_whitespace)
        && !key.is_empty()
        && !key.starts_with('#')
}

/// The value of the first entry of `key`, which is the one that counts.
fn find<'a>(text: &'a str, key: &str, grammar: Grammar) -> Option<&'a str> {
    text.lines().find_map(|line| match grammar.read(line) {
        Line::Entry { key: found, value } if found == key => Some(value),
        Line::Entry { .. } | Line::Nothing | Line::Wrong(_) => None,
    })
}

fn update(text: &str, key: &str, value: &str, grammar: Grammar) -> String {
    let mut changed = String::with_capacity(text.len() + key.len() + value.len() + 2);
    let mut done = false;
    for line in text.split_inclusive('\n') {
        if !done && is_entry(line, key, grammar) {
            done = true;
            changed.push_str(&format!("{key}\t{value}\n"));
        } else {
            changed.push_str(line);
        }
    }
    if !done {
        if !changed.is_empty() && !changed.ends_with('\n') {
            changed.push('\n');
        }
        changed.push_str(&format!("{key}\t{value}\n"));
    }
    changed
}

fn delete(text: &str, key: &str, grammar: Grammar) -> String {
    text.split_inclusive('\n').filter(|line| !is_entry(line, key, grammar)).collect()
}

fn is_entry(line: &str, key: &str, grammar: Grammar) -> bool {
    let line = line.trim_end_matches(['\n', '\r']);
    matches!(grammar.read(line), Line::Entry { key: found, .. } if found == key)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn editmap(words: &[&str]) -> Result<Exit, Exit> {
        let words = words.iter().map(|word| (*word).to_owned());
        run(words, Reader::Program, &mut Vec::new()).map_err(|failure| failure.exit)
    }

    /// `-q` in a file with one entry, two, and one in UTF-8.
    #[test]
    fn values() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("access");
        let map = path.to_str().unwrap();
        fs::write(&path, "# why\nFoo.com\tREJECT\nbar  550 b\u{f6}se  x \nb\u{fc}ro OK\n").unwrap();
        let mut out = Vec::new();
        for key in ["foo.COM", "bar", "b\u{fc}ro"] {
            let words = ["-q", "hash", map, key].map(str::to_owned);
            assert_eq!(run(words.into_iter(), Reader::Program, &mut out), Ok(Exit::Ok));
        }
        insta::assert_snapshot!("editmap_q", String::from_utf8(out).unwrap());
    }

    /// The codes are those of editmap 8.17.1.
    #[test]
    fn an_entry_is_asked_for_changed_and_taken_out() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("access");
        let map = path.to_str().unwrap();
        let text = || fs::read_to_string(&path).unwrap();
        fs::write(&path, "# why\nFoo.com\tREJECT\nbar OK").unwrap();
        assert_eq!(editmap(&["-q", "hash", map, "BAR"]), Ok(Exit::Ok));
        assert_eq!(editmap(&["-q", "hash", map, "nix"]), Err(Exit::Unavailable));
        assert_eq!(editmap(&["-u", "hash", map, "foo.COM", "550 go away"]), Ok(Exit::Ok));
        assert_eq!(editmap(&["-u", "hash", &format!("{map}.db"), "new", "RELAY"]), Ok(Exit::Ok));
        assert_eq!(text(), "# why\nfoo.com\t550 go away\nbar OK\nnew\tRELAY\n");
        assert_eq!(editmap(&["-x", "hash", map, "bar"]), Ok(Exit::Ok));
        assert_eq!(editmap(&["-x", "hash", map, "bar"]), Ok(Exit::Ok));
        assert_eq!(text(), "# why\nfoo.com\t550 go away\nnew\tRELAY\n");
        assert_eq!(editmap(&["-u", "hash", map, "a b", "x"]), Err(Exit::DataErr));
        assert_eq!(editmap(&["-u", "hash", map, "a", "x\ny z"]), Err(Exit::DataErr));
        assert_eq!(editmap(&["-q", "hash", "/nonexistent/map", "a"]), Err(Exit::NoInput));
        assert_eq!(editmap(&["-q", "-x", "hash", map, "a"]), Err(Exit::Usage));
        assert_eq!(editmap(&["-u", "hash", map, "a"]), Err(Exit::Usage));
        assert_eq!(editmap(&["-u", "hash", "/etc/mail/aliases", "a", "b"]), Err(Exit::Usage));
        let left: Vec<_> = fs::read_dir(directory.path()).unwrap().collect();
        assert_eq!(left.len(), 1);
    }
}
