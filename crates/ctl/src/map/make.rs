//! `makemap`: writes a map's database from the text on stdin, or shows what is in one.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fs;
use std::io::{self, Read as _, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use config::{Config, check_tables};
use envelope::printable;
use tables::{Kind, MAX_FILE, cdb};

use super::line::{Grammar, Line};
use super::{TYPES, check_type, write};
use crate::getopt::{self, Word};
use crate::listing::Reader;
use crate::site::Site;
use crate::{Exit, Failure, complain};

const USAGE: &str = "\
Usage: makemap [-C cffile] [-N] [-c cachesize] [-D commentchar]
               [-d] [-e] [-f] [-i type] [-l] [-o] [-r] [-s] [-t delimiter]
               [-u] [-v] type mapname";

const HELP: &str = "\
makemap: check the text of a table, and write it as TABLE.db

Usage: makemap [OPTION]... TYPE MAP < TEXT

The mail system reads the text; the .db is for scripts that look for it, for -u, and for tables that
pennypost.toml has as cdb:. TYPE is one of sendmail's, and all write the same. Bad lines are shown,
and exit code 65 says that there are some.

  -e      a key may have no value
  -f      keys keep their case
  -o      what MAP.db has already stays
  -r      of a key that comes twice the last holds
  -t C    C stands between key and value, instead of blanks
  -u      print what MAP.db has
  -l      print the types
  -v      print each entry

Examples:
  makemap hash /etc/mail/access < /etc/mail/access
  makemap -u hash /etc/mail/access
";

/// The whole command.
#[must_use]
pub fn main() -> ExitCode {
    let words: Vec<_> = super::words().collect();
    let ended = if words.iter().any(|word| word == "--help") {
        io::stdout().write_all(HELP.as_bytes()).map(|()| Exit::Ok).map_err(Failure::from)
    } else {
        Job::parse(words.into_iter())
            .and_then(|job| job.run(Reader::of_stdout(), &mut io::stdout().lock()))
    };
    super::finish("makemap", ended)
}

/// One command line.
#[derive(Debug, Default)]
struct Job {
    grammar: Grammar,
    /// `-o`: what is there already stays.
    append: bool,
    /// `-r`: of a key that comes twice the last holds.
    replace: bool,
    /// `-u`
    dump: bool,
    /// `-l`
    list_types: bool,
    verbose: bool,
    kind: String,
    map: String,
}

impl Job {
    fn parse(words: impl Iterator<Item = String>) -> Result<Self, Failure> {
        let usage = |why: String| Failure::new(Exit::Usage, format!("{why}\n{USAGE}"));
        let mut job = Self::default();
        let mut plain = Vec::new();
        for word in getopt::read("C:Nc:D:defi:lorst:uv", words).map_err(|why| usage(why.text))? {
            match word {
                Word::Flag('e') => job.grammar.empty_values = true,
                Word::Flag('f') => job.grammar.keep_case = true,
                Word::Flag('l') => job.list_types = true,
                Word::Flag('o') => job.append = true,
                // -d would keep both, of which sendmail finds either; here the last.
                Word::Flag('r' | 'd') => job.replace = true,
                Word::Flag('u') => job.dump = true,
                Word::Flag('v') => job.verbose = true,
                Word::Option('t', text) => job.grammar.delimiter = text.chars().next(),
                Word::Option('D', text) => job.grammar.comment = text.chars().next().unwrap_or('#'),
                // -C -N -c -i -s: there is no sendmail.cf, no NUL, no cache, and no risk.
                Word::Flag(_) | Word::Option(..) => {}
                Word::Plain(word) => plain.push(word),
            }
        }
        if job.list_types {
            return Ok(job);
        }
        let [kind, map] = <[String; 2]>::try_from(plain)
            .map_err(|_| usage("a type and the name of a map are wanted".to_owned()))?;
        check_type(&kind, &map)?;
        Ok(Self { kind, map, ..job })
    }

    fn run(&self, reader: Reader, out: &mut impl Write) -> Result<Exit, Failure> {
        if self.list_types {
            writeln!(out, "{}", TYPES.join("\n"))?;
            return Ok(Exit::Ok);
        }
        if self.dump {
            let entries = self.existing()?;
            return Ok(dump(&entries, reader, out)?);
        }
        let mut text = Vec::new();
        let read = io::stdin().lock().take(MAX_FILE + 1).read_to_end(&mut text);
        let failed = |why: String| Failure::new(Exit::NoInput, format!("stdin: {why}"));
        read.map_err(|error| failed(error.to_string()))?;
        if u64::try_from(text.len()).unwrap_or(u64::MAX) > MAX_FILE {
            return Err(failed("the table is too large".to_owned()));
        }
        let before = if self.append { self.existing().unwrap_or_default() } else { Vec::new() };
        let mut made = Made { job: self, entries: before, places: HashMap::new(), wrong: 0, out };
        made.read(&text);
        self.write(&made.entries)?;
        let config = config::load(Site::from_environment().root(), None).ok();
        let bad = config.as_ref().map_or(0, |config| self.bad_lines_of_the_table(config));
        let wrong = made.wrong + bad;
        complain("makemap", self.explanation(config.as_ref()));
        Ok(if wrong == 0 { Exit::Ok } else { Exit::DataErr })
    }

    /// `access` is in `access.db`, and so is `access.db`.
    fn file(&self) -> PathBuf {
        format!("{}.db", self.text()).into()
    }

    fn existing(&self) -> Result<Vec<(String, String)>, Failure> {
        let file = self.file();
        let fail = |why: String| {
            let (kind, map) = (&self.kind, &self.map);
            Failure::new(Exit::CantCreat, format!("error opening type {kind} map {map}: {why}"))
        };
        let content = fs::read(&file).map_err(|error| fail(error.to_string()))?;
        cdb::decode(&content).ok_or_else(|| fail("it was not written by this makemap".to_owned()))
    }

    fn write(&self, entries: &[(String, String)]) -> Result<(), Failure> {
        let file = self.file();
        let written =
            cdb::encode(entries).and_then(|content| write::replace(&file, &file, &content));
        written
            .map_err(|error| Failure::new(Exit::CantCreat, format!("{}: {error}", file.display())))
    }

    /// If the map is a table of ours, says what is wrong with what is read of it.
    fn bad_lines_of_the_table(&self, config: &Config) -> usize {
        let read = if self.is_read(config) { self.file() } else { self.text().into() };
        let Ok(read) = fs::canonicalize(read) else { return 0 };
        let findings = check_tables(config);
        let of_it = |file: &str| fs::canonicalize(file).is_ok_and(|file| file == read);
        let findings = findings.iter().filter(|finding| of_it(&finding.file));
        findings.inspect(|finding| complain("makemap", finding)).count()
    }

    fn text(&self) -> &str {
        self.map.strip_suffix(".db").unwrap_or(&self.map)
    }

    /// Does a table have the database as a source?
    fn is_read(&self, config: &Config) -> bool {
        let Ok(file) = fs::canonicalize(self.file()) else { return false };
        let mut sources = config.paths.sources.values().flatten();
        sources.any(|it| {
            it.kind == Kind::Cdb && fs::canonicalize(&it.path).is_ok_and(|path| path == file)
        })
    }

    fn explanation(&self, config: Option<&Config>) -> String {
        let (file, text) = (self.file(), self.text());
        let file = file.display();
        if config.is_some_and(|config| self.is_read(config)) {
            return format!("Pennypost reads {file}, within a second of a change");
        }
        format!(
            "{file} is for tools that look for it; Pennypost reads the text {text}, within a second \
             of a change"
        )
    }
}

/// Entries in the order of their text.
struct Made<'a> {
    job: &'a Job,
    entries: Vec<(String, String)>,
    /// Where each key is.
    places: HashMap<String, usize>,
    wrong: usize,
    /// What `-v` shows goes there.
    out: &'a mut dyn Write,
}

impl Made<'_> {
    fn read(&mut self, text: &[u8]) {
        self.places =
            self.entries.iter().enumerate().map(|(at, (key, _))| (key.clone(), at)).collect();
        for (number, line) in text.split(|&byte| byte == b'\n').enumerate() {
            let line = String::from_utf8_lossy(line);
            let line = line.strip_suffix('\r').unwrap_or(&line);
            let wrong = match self.job.grammar.read(line) {
                Line::Nothing => continue,
                Line::Entry { key, value } => self.add(key, value),
                Line::Wrong(why) => Some(why),
            };
            if let Some(why) = wrong {
                self.wrong += 1;
                let text = format!("{}: line {}: {why}", self.job.map, number + 1);
                complain("makemap", printable(&text));
            }
        }
    }

    /// Says what is wrong.
    fn add(&mut self, key: String, value: &str) -> Option<String> {
        if self.job.verbose {
            let _ = writeln!(self.out, "key=`{}', val=`{}'", printable(&key), printable(value));
        }
        match self.places.entry(key) {
            Entry::Vacant(slot) => {
                self.entries.push((slot.key().clone(), value.to_owned()));
                slot.insert(self.entries.len() - 1);
            }
            Entry::Occupied(slot) if self.job.replace => {
                if let Some((_, old)) = self.entries.get_mut(*slot.get()) {
                    value.clone_into(old);
                }
            }
            Entry::Occupied(slot) => return Some(format!("key {}: duplicate key", slot.key())),
        }
        None
    }
}

fn dump(entries: &[(String, String)], reader: Reader, out: &mut impl Write) -> io::Result<Exit> {
    for (key, value) in entries {
        writeln!(out, "{}\t{}", reader.show(key), reader.show(value))?;
    }
    Ok(Exit::Ok)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    const TEXT: &str = "# c\nFoo.com\tREJECT\n\nbar   OK  ok \nnorhs\nfoo.com\tRELAY\n  lead x\n";

    fn made(options: &str, before: &[(&str, &str)]) -> (Vec<(String, String)>, usize) {
        let words = format!("{options} hash access");
        let job = Job::parse(words.split_whitespace().map(str::to_owned)).unwrap();
        let entries = before.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect();
        let out = &mut io::sink();
        let mut made = Made { job: &job, entries, places: HashMap::new(), wrong: 0, out };
        made.read(TEXT.as_bytes());
        (made.entries, made.wrong)
    }

    /// `-v`, and then `-u` into a pipe and on a terminal, of no entry, one, and more.
    #[test]
    fn listings() {
        let texts = ["", "Foo.com\tREJECT\n", "bar  550 \u{1b}[31m b\u{f6}se \nb\u{fc}ro OK\n"];
        let shown = texts.map(|content| {
            let job = Job::parse(["-v", "hash", "access"].map(str::to_owned).into_iter()).unwrap();
            let mut out = Vec::new();
            let (entries, places) = (Vec::new(), HashMap::new());
            let mut made = Made { job: &job, entries, places, wrong: 0, out: &mut out };
            made.read(content.as_bytes());
            let entries = made.entries;
            dump(&entries, Reader::Program, &mut out).unwrap();
            dump(&entries, Reader::Terminal, &mut out).unwrap();
            String::from_utf8(out).unwrap()
        });
        insta::assert_snapshot!("makemap_v_u", shown.join("--\n").replace('\u{1b}', "<ESC>"));
        let mut types = Vec::new();
        let job = Job { list_types: true, ..Job::default() };
        assert_eq!(job.run(Reader::Program, &mut types), Ok(Exit::Ok));
        insta::assert_snapshot!("makemap_l", String::from_utf8(types).unwrap());
    }

    fn entries(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    /// As makemap 8.17.1 makes them of the same text.
    #[test]
    fn good_lines_are_taken_and_bad_ones_counted() {
        let bar = ("bar", "OK  ok ");
        assert_eq!(made("", &[]), (entries(&[("foo.com", "REJECT"), bar]), 3));
        assert_eq!(made("-r", &[]), (entries(&[("foo.com", "RELAY"), bar]), 2));
        let with_empty = entries(&[("foo.com", "REJECT"), bar, ("norhs", "")]);
        assert_eq!(made("-e", &[]), (with_empty, 2));
        let kept = made("-o", &[("foo.com", "OK")]);
        assert_eq!(kept, (entries(&[("foo.com", "OK"), bar]), 4));
    }

    #[test]
    fn it_is_said_what_is_read() {
        let root = tempfile::tempdir().unwrap();
        let tables = root.path().join("etc/mail");
        fs::create_dir_all(&tables).unwrap();
        let file = tables.join("pennypost.toml");
        fs::write(&file, "hostname = \"x.test\"\n[tables]\naccess = [\"cdb:access.db\"]\n")
            .unwrap();
        let config = config::load(Some(root.path()), Some(&file)).unwrap();
        for (name, read) in [("access", "reads "), ("mailertable", "reads the text ")] {
            let map = tables.join(name).display().to_string();
            let job = Job::parse(["hash".to_owned(), map.clone()].into_iter()).unwrap();
            job.write(&entries(&[("a.test", "sideways")])).unwrap();
            let said = job.explanation(Some(&config));
            assert!(said.contains(&format!("Pennypost {read}{map}")), "{said}");
            let bad = usize::from(name == "access");
            assert_eq!(job.bad_lines_of_the_table(&config), bad, "{name}");
        }
    }

    #[test]
    fn command_lines() {
        let parse = |line: &str| Job::parse(line.split_whitespace().map(str::to_owned));
        assert_eq!(
            parse("hash /etc/mail/access").unwrap().file(),
            Path::new("/etc/mail/access.db")
        );
        assert_eq!(parse("-r -t: btree x.db").unwrap().file(), Path::new("x.db"));
        assert!(parse("-l").unwrap().list_types);
        for (line, exit) in [
            ("", Exit::Usage),
            ("hash", Exit::Usage),
            ("-x hash y", Exit::Usage),
            ("foo x", Exit::CantCreat),
        ] {
            assert_eq!(parse(line).unwrap_err().exit, exit, "{line}");
        }
    }
}
