//! `aliases`: other names for local recipients (aliases(5), sendmail's op.me §4.5).

use std::io::{self, Read as Source};

use envelope::{Address, Member, Special};

use crate::index::Index;
use crate::lines::{Continuation, Line, Wrong, each};
use crate::{Place, Read};

/// Local names and what they stand for. Names are compared without case.
#[derive(Debug, Clone, Default)]
pub struct Aliases(Index);

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alias {
    /// At least one.
    pub targets: Vec<Target>,
    pub place: Place,
}

/// One thing that an alias stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A name without a domain: a user or another alias.
    Local(String),
    /// `\user`: this user, whatever the aliases say.
    User(String),
    /// `user@domain`
    Address(Address),
    /// `|program`, `/file` or `:include:/file`. One that [`Special::check`] refuses is told of; its
    /// mail waits until the line changes.
    Special(Special),
}

impl Target {
    /// Who that is on the host of this name.
    ///
    /// # Errors
    /// This name is none there.
    pub fn member(&self, hostname: &str) -> Result<Member, &str> {
        let here = |name| Address::new(name, hostname).map_err(|_| name);
        match self {
            Self::Address(address) => Ok(Member::Address(address.clone())),
            Self::Local(name) => here(name).map(Member::Address),
            Self::User(name) => here(name).map(Member::Mailbox),
            Self::Special(special) => Ok(Member::Special(special.clone())),
        }
    }
}

impl Aliases {
    /// Reads `name: target, target` entries.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn read(file: &str, source: impl Source) -> io::Result<Read<Self>> {
        let mut aliases = Index::default();
        let take = |line: &Line| {
            let (name, text) = split(&line.text)?;
            let read = targets(text).into_iter().map(target).collect::<Result<Vec<_>, _>>()?;
            if read.is_empty() {
                let text = format!("{name} stands for nothing; name a user or an address");
                return Err(Wrong::line(text));
            }
            aliases.insert(&name.to_lowercase(), text, line).map_err(|first| {
                Wrong::line(format!("{name} is defined in line {first} already"))
            })?;
            read.iter().try_for_each(check)
        };
        let findings = each(file, source, Continuation::Folded, take)?;
        Ok(Read { table: Self(aliases.finished()), findings })
    }

    /// The entry of `name`.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Alias> {
        let found = self.0.get(name).or_else(|| self.0.get(&name.to_lowercase()))?;
        let targets = targets(found.value).into_iter().filter_map(|text| target(text).ok());
        Some(Alias { targets: targets.collect(), place: found.place() })
    }

    /// The targets of a name as they are written.
    #[must_use]
    pub fn raw(&self, name: &str) -> Option<(&str, Place)> {
        self.0.raw(name)
    }

    /// Names in lower case with the text of their targets and their lines, in the order of the file.
    pub fn entries(&self) -> impl Iterator<Item = (&str, &str, Place)> {
        self.0.entries().map(|(name, found)| (name, found.value, found.place()))
    }

    /// How many entries there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.len() == 0
    }
}

/// The name, and the text of the targets.
fn split(text: &str) -> Result<(String, &str), Wrong> {
    let mut parts = split_outside_quotes(text, ':', 2).into_iter();
    let (Some(name), Some(targets)) = (parts.next(), parts.next()) else {
        return Err(Wrong::line("an alias is `name: target, target`; the colon is missing"));
    };
    let name = unquote(name.trim());
    if name.is_empty() || name.chars().any(char::is_control) {
        return Err(Wrong::line("the name before the colon is missing"));
    }
    Ok((name, targets.trim()))
}

/// Each target, without white space around it.
fn targets(text: &str) -> Vec<&str> {
    let targets = split_outside_quotes(text, ',', usize::MAX).into_iter();
    targets.map(str::trim).filter(|target| !target.is_empty()).collect()
}

/// Splits at `separator` where it is not between quotes, into at most `most` parts.
pub(crate) fn split_outside_quotes(text: &str, separator: char, most: usize) -> Vec<&str> {
    let (mut quoted, mut escaped, mut found) = (false, false, 1);
    text.split(move |c: char| {
        let here = c == separator && !quoted && !escaped && found < most;
        quoted ^= c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
        found += usize::from(here);
        here
    })
    .collect()
}

fn unquote(text: &str) -> String {
    match text.strip_prefix('"').and_then(|text| text.strip_suffix('"')) {
        Some(inner) => inner.replace("\\\"", "\""),
        None => text.to_owned(),
    }
}

/// What a word of a list stands for.
pub(crate) fn target(text: &str) -> Result<Target, Wrong> {
    let plain = unquote(text);
    if let Some(special) = Special::read(&plain) {
        return Ok(Target::Special(special));
    }
    if let Some(user) = plain.strip_prefix('\\')
        && !user.contains('@')
    {
        return local_name(user).map(|user| Target::User(user.to_owned()));
    }
    let text = text.strip_prefix('\\').unwrap_or(text);
    let bare = text.strip_prefix('<').and_then(|t| t.strip_suffix('>')).unwrap_or(text);
    if bare.contains('@') {
        let address = bare.parse::<Address>();
        return address
            .map(Target::Address)
            .map_err(|error| Wrong::line(format!("{text}: {error}")));
    }
    local_name(&unquote(bare)).map(|name| Target::Local(name.to_owned()))
}

fn check(target: &Target) -> Result<(), Wrong> {
    match target {
        Target::Special(special) => {
            special.check().map_err(|why| Wrong::line(format!("{special}: {why}; its mail waits")))
        }
        Target::Local(_) | Target::User(_) | Target::Address(_) => Ok(()),
    }
}

/// A local part, checked as one.
pub(crate) fn local_name(name: &str) -> Result<&str, Wrong> {
    // A quote or bracket without its other half is a slip, and no part of a name.
    let odd = |c: char| c.is_whitespace() || "\"<>()".contains(c);
    let fits = Address::new(name, "localhost").is_ok() && !name.contains(odd);
    if fits { Ok(name) } else { Err(Wrong::line(format!("{name:?} is not a user or an address"))) }
}

#[cfg(test)]
mod tests {
    use envelope::Special;

    use super::{Aliases, Target};

    fn local(name: &str) -> Target {
        Target::Local(name.to_owned())
    }

    #[test]
    fn names_and_targets() {
        let text = "postmaster: root\nRoot:\talice,\n\tbob@example.org, \\carol\n\"a b\": x\n\
                    quoted: \"with,comma\"@example.org\n\"q\\\"b, c:d\": x\n";
        let read = Aliases::read("aliases", text.as_bytes()).unwrap();
        assert_eq!(read.findings, []);
        assert_eq!(read.table.get("POSTMASTER").unwrap().targets, [local("root")]);
        let root = read.table.get("root").unwrap();
        assert_eq!(root.place.line, 2);
        let bob = Target::Address("bob@example.org".parse().unwrap());
        assert_eq!(root.targets, [local("alice"), bob, Target::User("carol".to_owned())]);
        assert_eq!(read.table.get("a b").unwrap().targets, [local("x")]);
        assert_eq!(read.table.get("quoted").unwrap().targets.len(), 1);
        assert_eq!(read.table.get("q\"b, c:d").unwrap().targets, [local("x")]);
        assert_eq!((read.table.len(), read.table.get("nobody")), (5, None));
        let raw = read.table.raw("postmaster").map(|(text, place)| (text, place.line));
        assert_eq!((raw, read.table.raw("nobody")), (Some(("root", 1)), None));
        let entries: Vec<_> = read.table.entries().map(|(name, _, at)| (name, at.line)).collect();
        let names = [("postmaster", 1), ("root", 2), ("a b", 4), ("quoted", 5), ("q\"b, c:d", 6)];
        assert_eq!(entries, names);
        assert!(!read.table.is_empty() && Aliases::default().is_empty());
    }

    /// What has a domain is an address, and is asked about as one.
    #[test]
    fn a_backslash_before_a_user() {
        let text = "stay: \\carol, \"\\carol\", \\carol@example.org\n";
        let aliases = Aliases::read("aliases", text.as_bytes()).unwrap().table;
        let carol = || Target::User("carol".to_owned());
        let address = Target::Address("carol@example.org".parse().unwrap());
        assert_eq!(aliases.get("stay").unwrap().targets, [carol(), carol(), address]);
    }

    #[test]
    fn bad_lines_are_told_and_skipped() {
        let text = "good: alice\nno colon\ngood: bob\nempty:\nbad: a b\nprog: \"|/bin/x >y\"\n\
                    file: /var/../x\ninc: :include:list\nalso: carol\n: alice\n\"a\tb\": alice\n\
                    open: <alice\nround: (alice\nclosed: alice)\nquote: \"alice\nangle: <alice>\n";
        let read = Aliases::read("aliases", text.as_bytes()).unwrap();
        let lines: Vec<_> = read.findings.iter().map(|f| (f.line, f.unsupported)).collect();
        let expected = [2, 3, 4, 5, 6, 7, 8, 10, 11, 12, 13, 14, 15].map(|line| (line, false));
        assert_eq!(lines, expected);
        assert_eq!(read.findings[1].to_string(), "aliases:3: good is defined in line 1 already");
        for name in ["good", "angle"] {
            assert_eq!(read.table.get(name).unwrap().targets, [local("alice")], "{name}");
        }
        assert_eq!(read.table.get("also").unwrap().targets, [local("carol")]);
        let program = Target::Special(Special::Program("/bin/x >y".to_owned()));
        assert_eq!(read.table.get("prog").unwrap().targets, [program]);
        assert_eq!(read.table.get("bad"), None);
    }
}
