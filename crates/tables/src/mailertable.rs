//! `mailertable`: another way for mail to a domain (sendmail's cf/README, "USING MAILERTABLES").

use std::collections::BTreeSet;
use std::io::{self, Read as Source};

use envelope::{Address, NextHop, domain_key};

use crate::aliases::local_name;
use crate::index::{Found, Index};
use crate::lines::{Continuation, Line, Wrong, each};
use crate::pattern::expand;
use crate::patterns::{Patterns, Written};
use crate::{Kind, Place, Read, Refusal};

/// Domains (`example.org`), what is below domains (`.example.org`) and everything (`.`).
#[derive(Debug, Clone, Default)]
pub struct Mailertable {
    index: Index,
    /// Asked with the domain as it is.
    patterns: Patterns<()>,
    /// The Unix sockets that mail goes to.
    sockets: BTreeSet<String>,
}

/// One entry and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub mailer: Mailer,
    pub place: Place,
}

/// The way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mailer {
    /// `esmtp:host`, `smtp:`, `relay:`, or only a host; several hosts are tried in order. Or
    /// `lmtp:unix:path`, `lmtp:inet:host:port`.
    Remote(NextHop),
    /// `esmtp:user@host`: all of it is for this address.
    Redirected(NextHop, Address),
    /// `local:user`, or the user of the address.
    Local(Option<String>),
    /// `error:5.1.2:text` or `error:nohost:text`
    Refused(Refusal),
    /// `discard:`
    Discard,
    /// What this version cannot do: such mail waits until that works or the line changes.
    Unsupported(String),
}

impl Mailertable {
    /// Reads `domain<white space>mailer:host` lines.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn read(file: &str, source: impl Source) -> io::Result<Read<Self>> {
        let mut table = Self::default();
        let take = |line: &Line| {
            let text = line.text.trim();
            if line.kind == Kind::Regex {
                let written = Written::read(text)?;
                let mailer = mailer(&expand(written.value, &["x"; 10]))?;
                table.note_socket(&mailer, written.value)?;
                return table.patterns.insert((), &written, line);
            }
            let (key, value) = text
                .split_once(char::is_whitespace)
                .ok_or_else(|| Wrong::line("an entry is `domain  mailer:host`"))?;
            let (domain, value) = (domain(key)?, value.trim());
            let fault = match mailer(&expand(value, samples(&domain))) {
                Ok(mailer) => {
                    table.note_socket(&mailer, value)?;
                    None
                }
                Err(fault) if fault.is_unsupported() => Some(fault),
                Err(wrong) => return Err(wrong),
            };
            table.index.insert(&domain, value, line).map_err(|first| {
                Wrong::line(format!("{key} is defined in line {first} already"))
            })?;
            fault.map_or(Ok(()), Err)
        };
        let findings = each(file, source, Continuation::None, take)?;
        let Self { index, patterns, sockets } = table;
        Ok(Read { table: Self { index: index.finished(), patterns, sockets }, findings })
    }

    /// The value of a key as it is written.
    #[must_use]
    pub fn raw(&self, key: &str) -> Option<(&str, Place)> {
        self.index.raw(key)
    }

    /// The Unix sockets that mail goes to, in order.
    pub fn sockets(&self) -> impl Iterator<Item = String> {
        self.sockets.iter().cloned()
    }

    /// Whoever calls out must be able to say beforehand which sockets that are.
    fn note_socket(&mut self, mailer: &Mailer, written: &str) -> Result<(), Wrong> {
        let Mailer::Remote(hop) = mailer else { return Ok(()) };
        let Some(path) = hop.socket() else { return Ok(()) };
        if written.contains('%') {
            return Err(Wrong::line("the path of a socket is the same for all domains"));
        }
        self.sockets.insert(path.clone());
        Ok(())
    }

    /// The most specific entry for `domain` (lower case, no trailing dot): the domain itself, then
    /// `.suffix` keys from the longest on, then `.` (Mailertable in proto.m4). `%1` is what a
    /// `.suffix` leaves of the domain, and `%2` the last label of that; with `.` it is all of it.
    #[must_use]
    pub fn find(&self, domain: &str) -> Option<Entry> {
        let keyed = self.index.get(domain);
        if let Some(matched) = self.patterns.find((), domain)
            && keyed.is_none_or(|found| matched.found.source < found.source)
        {
            return Some(entry(matched.found, &matched.arguments));
        }
        if let Some(found) = keyed {
            return Some(entry(found, &[domain]));
        }
        if self.index.len() == 0 {
            return None;
        }
        let look_up = |key: &str, arguments: &[&str]| {
            self.index.get(key).map(|found| entry(found, arguments))
        };
        let below = |at: usize| {
            let (front, suffix) = domain.split_at_checked(at)?;
            let label = front.rsplit('.').next().unwrap_or(front);
            look_up(suffix, &[suffix, front, label])
        };
        let dots = domain.match_indices('.').find_map(|(at, _)| below(at));
        dots.or_else(|| look_up(".", &[".", domain]))
    }
}

fn entry(found: Found<'_>, arguments: &[&str]) -> Entry {
    let value = expand(found.value, arguments);
    let mailer = mailer(&value).unwrap_or(Mailer::Unsupported(value));
    Entry { mailer, place: found.place() }
}

/// What `%0` to `%2` may be.
fn samples(key: &str) -> &'static [&'static str] {
    match key {
        "." => &["x", "x.test"],
        key if key.starts_with('.') => &["x", "x", "x"],
        _ => &["x"],
    }
}

/// A key as it is looked up.
fn domain(key: &str) -> Result<String, Wrong> {
    let name = key.strip_prefix('.').unwrap_or(key);
    // The rules for a domain are those of an address.
    if !name.is_empty() && Address::new("x", name).is_err() {
        return Err(Wrong::line(format!("{key} is not a domain")));
    }
    let below = if name.len() < key.len() { "." } else { "" };
    Ok(format!("{below}{}", domain_key(name)))
}

/// Reads a value (MailerToTriple in proto.m4).
fn mailer(value: &str) -> Result<Mailer, Wrong> {
    let is_mailer = |name: &str| !name.starts_with('[') && !name.contains(',');
    let Some((name, rest)) = value.split_once(':').filter(|(name, _)| is_mailer(name)) else {
        return remote(value);
    };
    match name.to_ascii_lowercase().as_str() {
        "smtp" | "esmtp" | "smtp8" | "dsmtp" | "relay" => remote(rest),
        "lmtp" => lmtp(rest),
        "local" => local(rest.trim()),
        "error" => Ok(Mailer::Refused(Refusal::read(rest))),
        "discard" => Ok(Mailer::Discard),
        // `host:port`
        _ if rest.bytes().all(|byte| byte.is_ascii_digit()) => remote(value),
        _ => Err(Wrong::unsupported(format_args!("the mailer {name}"))),
    }
}

fn remote(text: &str) -> Result<Mailer, Wrong> {
    let (user, hosts) = match text.rsplit_once('@') {
        Some((user, hosts)) => (Some(user), hosts),
        None => (None, text),
    };
    let hop = NextHop::parse(hosts).ok_or_else(|| {
        Wrong::line(format!("{hosts:?} is not a host, [host] or [host]:port, or several of them"))
    })?;
    let Some(user) = user else { return Ok(Mailer::Remote(hop)) };
    let domain = hop.domain();
    let address = format!("{user}@{domain}").parse();
    let address = address.map_err(|error| Wrong::line(format!("{user}@{domain}: {error}")))?;
    Ok(Mailer::Redirected(hop, address))
}

fn lmtp(text: &str) -> Result<Mailer, Wrong> {
    let wrong = || Wrong::line("LMTP is `lmtp:unix:/path` or `lmtp:inet:host:port`, never port 25");
    NextHop::lmtp(text).map(Mailer::Remote).ok_or_else(wrong)
}

/// `user`, or `user@host`, whose host says nothing (CanonLocal in proto.m4).
fn local(text: &str) -> Result<Mailer, Wrong> {
    let user = text.split_once('@').map_or(text, |(user, _)| user);
    if user.is_empty() {
        return Ok(Mailer::Local(None));
    }
    local_name(user).map(|user| Mailer::Local(Some(user.to_owned())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_done_is_told() {
        let text = "a procmail:/etc/x\nb relay:a..b\nc uucp-new:h\nd\ne relay:a b\nf..g h.test\n\
                    a smtp:x\nh esmtp:\ni LMTP:unix:run\nj lmtp:inet:k:25\nl lmtp:unix:/run/%0/l\n\
                    m lmtp:unix:/run/m\nn lmtp:inet:[::1]:24\n";
        let read = Mailertable::read("mailertable", text.as_bytes()).unwrap();
        let found: Vec<_> = read.findings.iter().map(|f| (f.line, f.unsupported)).collect();
        let expected = [
            (1, true),
            (2, false),
            (3, true),
            (4, false),
            (5, false),
            (6, false),
            (7, false),
            (8, false),
            (9, false),
            (10, false),
            (11, false),
        ];
        assert_eq!(found, expected);
        assert_eq!(read.findings[6].to_string(), "mailertable:7: a is defined in line 1 already");
        let unsupported = Mailer::Unsupported("procmail:/etc/x".to_owned());
        assert_eq!(read.table.find("a").unwrap().mailer, unsupported);
        assert_eq!(read.table.find("e"), None);
        assert_eq!(read.table.sockets().collect::<Vec<_>>(), ["/run/m"]);
    }

    #[test]
    fn a_value_has_what_its_key_leaves() {
        for (line, fits) in [
            ("a relay:%0", true),
            ("a relay:%1", false),
            (".b relay:%2.%1", true),
            (". relay:%1", true),
            (". relay:%2", false),
        ] {
            let read = Mailertable::read("mailertable", line.as_bytes()).unwrap();
            assert_eq!(read.findings.is_empty(), fits, "{line}");
        }
    }

    #[test]
    fn a_colon_in_a_host_begins_no_mailer() {
        for hosts in ["[::1]", "[192.0.2.1]:26", "a.test,b.test:26", "a.test:26"] {
            let hop = NextHop::parse(hosts).unwrap();
            assert_eq!(mailer(hosts), Ok(Mailer::Remote(hop)), "{hosts}");
        }
        assert!(mailer("a.test:b.test").unwrap_err().is_unsupported());
    }
}
