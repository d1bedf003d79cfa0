//! `mailertable`: another way for mail to a domain (sendmail's cf/README, "USING MAILERTABLES").

use std::collections::HashMap;
use std::collections::hash_map::Entry as Slot;
use std::io::{self, Read as Source};

use envelope::{Address, Enhanced, NextHop, domain_key};

use crate::Read;
use crate::lines::{Continuation, Line, Wrong, each};

/// Domains (`example.org`), domains with what is below them (`.example.org`) and everything (`.`).
#[derive(Debug, Clone, Default)]
pub struct Mailertable(HashMap<String, Entry>);

/// One entry and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub mailer: Mailer,
    /// From 1.
    pub line: usize,
}

/// The way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mailer {
    /// `esmtp:host`, `smtp:`, `relay:`, or only a host.
    Remote(NextHop),
    /// `local:user`, or the user of the address.
    Local(Option<String>),
    /// `error:5.1.2:text` or `error:nohost text`: the class (4 or 5), the code and the text.
    Error { class: u8, enhanced: Enhanced, text: String },
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
        let mut entries = HashMap::new();
        let take = |line: &Line| {
            let text = line.text.trim();
            let (key, value) = text
                .split_once(char::is_whitespace)
                .ok_or_else(|| Wrong::line("an entry is `domain  mailer:host`"))?;
            let (mailer, fault) = match mailer(value.trim()) {
                Err(fault) if fault.is_unsupported() => {
                    (Mailer::Unsupported(value.trim().to_owned()), Some(fault))
                }
                read => (read?, None),
            };
            match entries.entry(domain(key)?) {
                Slot::Vacant(slot) => {
                    slot.insert(Entry { mailer, line: line.number });
                    fault.map_or(Ok(()), Err)
                }
                Slot::Occupied(slot) => {
                    let first = slot.get().line;
                    Err(Wrong::line(format!("{key} is defined in line {first} already")))
                }
            }
        };
        let findings = each(file, source, Continuation::None, take)?;
        Ok(Read { table: Self(entries), findings })
    }

    /// The most specific entry for `domain` (lower case, no trailing dot): the domain itself, then
    /// `.suffix` keys from the longest on, then `.`.
    #[must_use]
    pub fn find(&self, domain: &str) -> Option<&Entry> {
        if self.0.is_empty() {
            return None;
        }
        let dots = domain.match_indices('.').filter_map(|(at, _)| domain.get(at..));
        std::iter::once(domain).chain(dots).chain(["."]).find_map(|key| self.0.get(key))
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

fn mailer(value: &str) -> Result<Mailer, Wrong> {
    if value.contains('%') {
        return Err(Wrong::unsupported("%1 and %2"));
    }
    let host = |host| next_hop(host).map(Mailer::Remote);
    let Some((name, rest)) = value.split_once(':').filter(|(name, _)| !name.starts_with('['))
    else {
        return host(value);
    };
    match name.to_ascii_lowercase().as_str() {
        "smtp" | "esmtp" | "smtp8" | "dsmtp" | "relay" => host(rest),
        "local" if rest.is_empty() => Ok(Mailer::Local(None)),
        "local" => Ok(Mailer::Local(Some(rest.to_owned()))),
        "error" => Ok(error(rest)),
        "discard" => Ok(Mailer::Discard),
        "prog" | "procmail" | "cyrus" | "cyrusv2" | "lmtp" | "uucp" | "uucp-dom" => {
            Err(Wrong::unsupported(format_args!("the mailer {name}")))
        }
        // `host:port`, or several hosts.
        _ if rest.bytes().all(|byte| byte.is_ascii_digit()) => host(value),
        _ => Err(Wrong::unsupported(format_args!("the mailer or list of hosts {value}"))),
    }
}

fn next_hop(host: &str) -> Result<NextHop, Wrong> {
    if host.contains(',') || host.split("]:").nth(2).is_some() {
        return Err(Wrong::unsupported("a list of hosts"));
    }
    if host.contains('@') {
        return Err(Wrong::unsupported("mailer:user@host"));
    }
    let hop = NextHop::parse(host);
    hop.ok_or_else(|| Wrong::line(format!("{host:?} is not a host, [host] or [host]:port")))
}

/// `D.S.N:text`, `keyword:text`, `keyword text` or `text`; an exit code of sysexits says as much.
fn error(value: &str) -> Mailer {
    let (code, text) = value.split_once([':', ' ']).unwrap_or(("", value));
    let numbers: Vec<u16> = code.split('.').filter_map(|number| number.parse().ok()).collect();
    let (class, enhanced, text) = match (numbers.as_slice(), code) {
        ([class @ (4 | 5), subject, detail], _) => {
            (u8::try_from(*class).unwrap_or(5), Enhanced(*subject, *detail), text)
        }
        (_, "nouser") => (5, Enhanced::BAD_MAILBOX, text),
        (_, "nohost") => (5, Enhanced::BAD_SYSTEM, text),
        (_, "tempfail") => (4, Enhanced::UNDEFINED, text),
        (_, "config") => (5, Enhanced(3, 5), text),
        (_, "usage" | "unavailable" | "software" | "protocol") => (5, Enhanced::UNDEFINED, text),
        _ => (5, Enhanced::UNDEFINED, value),
    };
    let (class, text) = without_code(class, text.trim().trim_matches('"').trim());
    let text = if text.is_empty() { "mail is not accepted for this domain" } else { text };
    Mailer::Error { class, enhanced, text: text.to_owned() }
}

/// A text may begin with the reply code, which then says the class: `550 User unknown`.
fn without_code(class: u8, text: &str) -> (u8, &str) {
    let Some((code, words)) = text.split_once(' ') else { return (class, text) };
    match code.parse::<u16>() {
        Ok(400..500) => (4, words),
        Ok(500..600) => (5, words),
        Ok(_) | Err(_) => (class, text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(text: &str) -> Mailertable {
        let read = Mailertable::read("mailertable", text.as_bytes()).unwrap();
        assert_eq!(read.findings, []);
        read.table
    }

    #[test]
    fn the_most_specific_key_wins() {
        let table = table(
            "a.example.org relay:one.test\n.example.org esmtp:[two.test]\n.org [192.0.2.3]:26\n. four.test\n",
        );
        let line = |domain| table.find(domain).map(|entry| entry.line);
        assert_eq!(line("a.example.org"), Some(1));
        assert_eq!(line("b.a.example.org"), Some(2));
        assert_eq!(line("example.org"), Some(3));
        assert_eq!(line("example.net"), Some(4));
        let hop = |domain| table.find(domain).unwrap().mailer.clone();
        let remote = |text| Mailer::Remote(NextHop::parse(text).unwrap());
        assert_eq!(hop("x.example.org"), remote("[two.test]"));
        assert_eq!(hop("x.org"), remote("[192.0.2.3]:26"));
    }

    #[test]
    fn other_mailers() {
        let table = table(
            "a local:bob\nb local:\nc error:5.1.2:gone away\nd error:nohost never was\n\
             e discard:\nf error:4.7.1:later\nI.test. error:\"450 busy\"\ng smtp:g.test:2525\nh h.test:26\n",
        );
        let mailer = |key: &str| table.find(key).unwrap().mailer.clone();
        assert_eq!(mailer("a"), Mailer::Local(Some("bob".into())));
        assert_eq!(mailer("b"), Mailer::Local(None));
        let error =
            |class, enhanced, text: &str| Mailer::Error { class, enhanced, text: text.into() };
        assert_eq!(mailer("c"), error(5, Enhanced(1, 2), "gone away"));
        assert_eq!(mailer("d"), error(5, Enhanced(1, 2), "never was"));
        assert_eq!(mailer("f"), error(4, Enhanced(7, 1), "later"));
        assert_eq!(mailer("i.test"), error(4, Enhanced::UNDEFINED, "busy"));
        assert_eq!(mailer("e"), Mailer::Discard);
        assert_eq!(mailer("g"), Mailer::Remote(NextHop::parse("g.test:2525").unwrap()));
        assert_eq!(mailer("h"), Mailer::Remote(NextHop::parse("h.test:26").unwrap()));
    }

    #[test]
    fn what_cannot_be_done_is_told() {
        let text = "a procmail:/etc/x\nb relay:%1.test\nc relay:[a.test],[b.test]\nd\ne relay:a b\nf..g h.test\n";
        let read = Mailertable::read("mailertable", text.as_bytes()).unwrap();
        let found: Vec<_> = read.findings.iter().map(|f| (f.line, f.unsupported)).collect();
        let expected = [(1, true), (2, true), (3, true), (4, false), (5, false), (6, false)];
        assert_eq!(found, expected);
        let unsupported = Mailer::Unsupported("procmail:/etc/x".to_owned());
        assert_eq!(read.table.find("a").unwrap().mailer, unsupported);
        assert_eq!(read.table.find("e"), None);
    }
}
