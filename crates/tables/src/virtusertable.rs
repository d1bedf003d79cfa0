//! `virtusertable`: who gets the mail of an address in a local or virtual domain (cf/README,
//! FEATURE(virtusertable); Parse1 in proto.m4).

use std::io::{self, Read as Source};

use envelope::{Address, Enhanced, domain_key};

use crate::aliases::{Target, local_name};
use crate::detail::split;
use crate::index::{Found, Index};
use crate::lines::{Continuation, Line, Wrong, each};
use crate::pattern::expand;
use crate::patterns::{Patterns, Written};
use crate::{Kind, Place, Read, Refusal};

/// Addresses (`user@domain`, `user+detail@domain`), patterns for details (`user++@`, `user+*@`,
/// `++@`, `+*@`) and whole domains (`@domain`), compared without case.
#[derive(Debug, Clone, Default)]
pub struct Virtusertable {
    index: Index,
    /// Asked with the address as it is.
    patterns: Patterns<()>,
}

/// What an address stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Virtual {
    pub meaning: Meaning,
    pub place: Place,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Meaning {
    Target(Target),
    /// `!`: the address itself, whatever less specific lines say.
    Itself,
    /// `error:…`
    Refused(Refusal),
}

impl Virtusertable {
    /// Reads `address<white space>meaning` lines.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn read(file: &str, source: impl Source) -> io::Result<Read<Self>> {
        let mut table = Self::default();
        let take = |line: &Line| {
            let text = line.text.trim();
            if line.kind == Kind::Regex {
                let written = Written::read(text)?;
                check(written.value)?;
                return table.patterns.insert((), &written, line);
            }
            let (key, value) = text
                .split_once(char::is_whitespace)
                .ok_or_else(|| Wrong::line("an entry is `user@domain  target`"))?;
            let value = value.trim();
            check(value)?;
            let index = &mut table.index;
            index
                .insert(&self::key(key)?, value, line)
                .map_err(|first| Wrong::line(format!("{key} is defined in line {first} already")))
        };
        let findings = each(file, source, Continuation::None, take)?;
        let Self { index, patterns } = table;
        Ok(Read { table: Self { index: index.finished(), patterns }, findings })
    }

    /// The value of a key as it is written.
    #[must_use]
    pub fn raw(&self, key: &str) -> Option<(&str, Place)> {
        self.index.raw(key)
    }

    /// The most specific entry for `address`, in the order of proto.m4. `separator` stands between
    /// user and detail; empty: nothing does. In the table it is always `+`.
    #[must_use]
    pub fn find(&self, address: &Address, separator: &str) -> Option<Virtual> {
        let (local, domain) = (address.local(), address.domain_key());
        if let Some(found) = self.whole(local, &domain) {
            return Some(found);
        }
        if self.index.len() == 0 {
            return None;
        }
        let mut key = String::with_capacity(local.len() + domain.len() + "++@".len());
        let mut look_up = |name: &str, mark: &str, arguments: [&str; 3]| {
            key.clear();
            [name, mark, "@", &domain].into_iter().for_each(|part| key.push_str(part));
            let found = self.index.get(&key)?;
            let [one, two, three] = arguments;
            Some(Virtual::new(found, &[&key, one, two, three]))
        };
        let Some((user, detail)) = split(local, separator) else {
            return look_up("", "", [local, "", ""]);
        };
        let plus = local.get(user.len()..).unwrap_or_default();
        let mut with_detail = |name: &str| {
            let marks = ["++", "+*", ""].into_iter().skip(usize::from(detail.is_empty()));
            marks.map(|mark| look_up(name, mark, [user, detail, plus])).find_map(|found| found)
        };
        with_detail(&user.to_lowercase()).or_else(|| with_detail(""))
    }

    /// The entry of the address as it is.
    fn whole(&self, local: &str, domain: &str) -> Option<Virtual> {
        let address = format!("{local}@{domain}");
        let key = address.to_lowercase();
        let keyed = self.index.get(&key);
        let matched = self.patterns.find((), &address);
        match (keyed, matched) {
            (Some(found), Some(matched)) if matched.found.source < found.source => {
                Some(Virtual::new(matched.found, &matched.arguments))
            }
            (None, Some(matched)) => Some(Virtual::new(matched.found, &matched.arguments)),
            (Some(found), _) => Some(Virtual::new(found, &[&key, local])),
            (None, None) => None,
        }
    }

    /// The domains of the entries, each with a line that has it.
    pub fn domains(&self) -> impl Iterator<Item = (&str, Place)> {
        self.index
            .entries()
            .filter_map(|(key, found)| Some((key.rsplit_once('@')?.1, found.place())))
    }
}

impl Virtual {
    fn new(found: Found<'_>, arguments: &[&str]) -> Self {
        Self { meaning: meaning(found.value, arguments), place: found.place() }
    }
}

/// A key as it is looked up.
fn key(key: &str) -> Result<String, Wrong> {
    let bad = || Wrong::line(format!("{key} is not user@domain or @domain"));
    let (user, domain) = key.rsplit_once('@').ok_or_else(bad)?;
    let checked = if user.is_empty() { "x" } else { user };
    Address::new(checked, domain).map_err(|_| bad())?;
    Ok(format!("{}@{}", user.to_lowercase(), domain_key(domain)))
}

/// Can the value mean anything?
fn check(value: &str) -> Result<(), Wrong> {
    if value == "!" || error(value).is_some() {
        return Ok(());
    }
    let bad = || Wrong::line(format!("{value} is not an address, a user, `!` or error:…"));
    if value.starts_with(['|', '/', ':']) || value.contains(['"', ',', '<']) {
        return Err(bad());
    }
    let sample = expand(value, &["x"; 10]);
    let Some((_, domain)) = value.rsplit_once('@') else {
        return local_name(sample.strip_prefix('\\').unwrap_or(&sample)).map(drop);
    };
    // What a client writes before the @ must not decide alone to whom its mail is relayed.
    let fixed = domain.rsplit_once('%').map(|(_, fixed)| fixed);
    if fixed.is_some_and(|fixed| fixed.matches('.').count() < 2) {
        let text = format!("{value}: anybody could choose the domain; write its last two labels");
        return Err(Wrong::line(text));
    }
    sample.parse::<Address>().map(drop).map_err(|_| bad())
}

fn error(value: &str) -> Option<&str> {
    let (mailer, text) = value.split_once(':')?;
    mailer.eq_ignore_ascii_case("error").then_some(text)
}

/// What a value means for an address whose parts are the arguments.
fn meaning(value: &str, arguments: &[&str]) -> Meaning {
    if value == "!" {
        return Meaning::Itself;
    }
    if let Some(text) = error(value) {
        return Meaning::Refused(Refusal::read(&expand(text, arguments)));
    }
    match target(value, arguments) {
        Some(target) => Meaning::Target(target),
        None => Meaning::Refused(Refusal {
            code: 553,
            // RFC 3463 §3.2: X.1.3, bad destination mailbox address syntax.
            enhanced: Enhanced(1, 3),
            text: "this name makes no address here".to_owned(),
        }),
    }
}

/// The parts are told apart before anything is put into them: an `@` or `\` in a local part says
/// nothing.
fn target(value: &str, arguments: &[&str]) -> Option<Target> {
    let name = |text: &str| local_name(&expand(text, arguments)).ok().map(str::to_owned);
    match (value.rsplit_once('@'), value.strip_prefix('\\')) {
        (Some((user, domain)), _) => {
            let [user, domain] = [user, domain].map(|part| expand(part, arguments));
            Address::new(&user, &domain).ok().map(Target::Address)
        }
        (None, Some(user)) => name(user).map(Target::User),
        (None, None) => name(value).map(Target::Local),
    }
}

#[cfg(test)]
mod tests {
    use super::Virtusertable;

    #[test]
    fn bad_lines_are_told_and_skipped() {
        let text = "info@a.test alice\nINFO@A.test bob\nno-domain x\n@a..test x\nonly@a.test\n\
                    p@a.test |/bin/x\nf@a.test /var/x\ni@a.test :include:/x\nt@a.test a@b, c@d\n\
                    q@a.test \"a b\"@c.test\nw@a.test a b\nbad@a.test x@-\n";
        let read = Virtusertable::read("virtusertable", text.as_bytes()).unwrap();
        let lines: Vec<_> = read.findings.iter().map(|finding| finding.line).collect();
        assert_eq!(lines, (2..=12).collect::<Vec<_>>());
        assert!(read.findings.iter().all(|finding| !finding.unsupported));
        let first = "virtusertable:2: INFO@A.test is defined in line 1 already";
        assert_eq!(read.findings[0].to_string(), first);
        assert_eq!(read.table.find(&"info@a.test".parse().unwrap(), "+").unwrap().place.line, 1);
        let domains: Vec<_> = read.table.domains().map(|(name, at)| (name, at.line)).collect();
        assert_eq!(domains, [("a.test", 1)]);
    }

    #[test]
    fn the_last_at_sign_begins_the_domain() {
        let read = Virtusertable::read("t", &b"a@b@c.test x\n"[..]).unwrap();
        assert_eq!(read.table.domains().map(|(name, _)| name).collect::<Vec<_>>(), ["c.test"]);
        assert!(read.table.find(&"\"a@b\"@c.test".parse().unwrap(), "+").is_some());
    }

    #[test]
    fn nobody_outside_chooses_the_domain() {
        let text =
            "+*@a.test x@%2\n+*@b.test x@a.%2\n+*@c.test x@%2.test\n+*@d.test x@%2.in.test\n";
        let read = Virtusertable::read("t", text.as_bytes()).unwrap();
        assert_eq!(read.findings.iter().map(|finding| finding.line).collect::<Vec<_>>(), [1, 2, 3]);
    }
}
