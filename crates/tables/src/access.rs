//! `access`: who may connect, send and receive (sendmail's cf/README, "ANTI-SPAM CONFIGURATION
//! CONTROL").
//!
//! A key is looked up with its tag first and then without, at each step from the most specific
//! form on; only the first hit counts. The names of the look-ups are those of sendmail's rulesets
//! (proto.m4): A, D, F and U.
//!
//! **Invariant:** networks and names are kept apart, so that no name in the DNS can be taken for
//! the address of a network.

mod key;
mod network;
mod value;

use std::fmt;
use std::io::{self, Read as Source};
use std::net::IpAddr;

use crate::index::{Found, Index};
use crate::lines::{Continuation, Line, Wrong, each};
use crate::networks::Networks;
use crate::patterns::{Patterns, Written};
use crate::{Kind, Place, Read};

use key::{Key, key};
pub(crate) use network::{Group, groups};
pub use value::Value;
use value::understand;

/// The table. Keys are in lower case, with their tag; a value is understood anew when it is hit.
#[derive(Debug, Clone, Default)]
pub struct Access {
    networks: Index,
    names: Index,
    /// Asked with whole addresses.
    lengths: Networks<Option<Tag>>,
    /// Asked with whole keys.
    patterns: Patterns<Option<Tag>>,
    asks_for_names: bool,
}

/// What a look-up is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Tag {
    /// The client.
    Connect,
    /// The reverse-path.
    From,
    /// A recipient.
    To,
}

/// The line that decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hit {
    pub place: Place,
    /// As found, `from:example.org`.
    pub key: String,
    pub value: Value,
}

impl Tag {
    const fn prefix(self) -> &'static str {
        match self {
            Self::Connect => "connect:",
            Self::From => "from:",
            Self::To => "to:",
        }
    }
}

impl fmt::Display for Hit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.key, self.value)
    }
}

impl Access {
    /// Reads `Tag:key<white space>value` lines.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn read(file: &str, source: impl Source) -> io::Result<Read<Self>> {
        let mut access = Self::default();
        let findings = each(file, source, Continuation::None, |line| access.take(line))?;
        let Self { networks, names, .. } = access;
        let (networks, names) = (networks.finished(), names.finished());
        Ok(Read { table: Self { networks, names, ..access }, findings })
    }

    fn take(&mut self, line: &Line) -> Result<(), Wrong> {
        match line.kind {
            Kind::Text | Kind::Cdb => self.take_key(line),
            Kind::Cidr => self.take_network(line),
            Kind::Regex => self.take_pattern(line),
        }
    }

    /// `Connect:192.0.2.0/24  value`
    fn take_network(&mut self, line: &Line) -> Result<(), Wrong> {
        let entry = line.text.trim().split_once(char::is_whitespace);
        let (text, value) = entry
            .ok_or_else(|| Wrong::line("an entry is `network  value`, such as 192.0.2.0/24 OK"))?;
        let (tag, network) = key::with_length(text)?;
        let value = value.trim();
        understand(value, false)?;
        self.lengths.insert(tag, network, value, line);
        Ok(())
    }

    /// `From:/expression/  value`
    fn take_pattern(&mut self, line: &Line) -> Result<(), Wrong> {
        let written = Written::read(line.text.trim())?;
        let tag = key::tag_alone(written.before)?;
        understand(written.value, false)?;
        self.patterns.insert(tag, &written, line)?;
        // It may be meant for the name.
        self.asks_for_names |= matches!(tag, None | Some(Tag::Connect));
        Ok(())
    }

    /// `Tag:key  value`
    fn take_key(&mut self, line: &Line) -> Result<(), Wrong> {
        let entry = line.text.trim().split_once(char::is_whitespace);
        let (text, value) = entry.ok_or_else(|| {
            Wrong::line("an entry is `Tag:key  value`, such as From:a.test REJECT")
        })?;
        let (tag, key) = key(text)?;
        let value = value.trim();
        understand(value, key.is_address())?;
        let is_host = matches!(key, Key::Host(_));
        let (table, key) = match key {
            Key::Network(key) => (&mut self.networks, key),
            Key::Host(key) | Key::Mailbox(key) | Key::User(key) => (&mut self.names, key),
        };
        let key = format!("{}{key}", tag.map_or("", Tag::prefix));
        table
            .insert(&key, value, line)
            .map_err(|first| Wrong::line(format!("{text} is defined in line {first} already")))?;
        self.asks_for_names |= is_host && matches!(tag, None | Some(Tag::Connect));
        Ok(())
    }

    /// Is there an entry for which the client's name matters?
    #[must_use]
    pub const fn asks_for_names(&self) -> bool {
        self.asks_for_names
    }

    /// A: the address of a client, then shorter and shorter networks.
    #[must_use]
    pub fn address(&self, tag: Tag, address: IpAddr) -> Option<Hit> {
        let key = network::of_address(address);
        let shown = address.to_canonical().to_string();
        self.whole(&self.networks, tag, &key, &shown, Some(address)).or_else(|| {
            network::shorter(&key).skip(1).find_map(|key| find(&self.networks, tag, key))
        })
    }

    /// The value of a key as it is written.
    #[must_use]
    pub fn raw(&self, key: &str) -> Option<(&str, Place)> {
        self.names.raw(key).or_else(|| self.networks.raw(key))
    }

    /// The first step of a look-up: also the sources that know whole keys only are asked. With the
    /// tag, then without (deprecated, but what old tables hold).
    fn whole(
        &self,
        table: &Index,
        tag: Tag,
        key: &str,
        shown: &str,
        address: Option<IpAddr>,
    ) -> Option<Hit> {
        let look_up = |tag: Option<Tag>| {
            let prefix = tag.map_or("", Tag::prefix);
            let tagged = || [prefix, key].concat();
            let keyed = table.get_of(prefix, key).map(|found| (found, tagged()));
            let network = address.and_then(|address| self.lengths.find(tag, address));
            let network = network.map(|(network, found)| (found, format!("{prefix}{network}")));
            let matched = self.patterns.find(tag, shown);
            let matched = matched.map(|it| (it.found, format!("{prefix}/{}/", it.expression)));
            let all = [keyed, network, matched].into_iter().flatten();
            all.min_by_key(|(found, _)| found.source)
        };
        let (found, key) = look_up(Some(tag)).or_else(|| look_up(None))?;
        hit(found, key)
    }

    /// D: a host or domain (see [`envelope::domain_key`]), then those above it. A literal is
    /// looked up in its brackets, then without its last numbers.
    #[must_use]
    pub fn domain(&self, tag: Tag, domain: &str) -> Option<Hit> {
        if let Some(address) = crate::literal(domain) {
            let key = network::of_address(address);
            let shorter = || {
                let mut inner = network::shorter(&key).skip(1);
                inner.find_map(|key| find(&self.names, tag, &format!("[{key}]")))
            };
            let whole = self.whole(&self.names, tag, &format!("[{key}]"), domain, None);
            return whole.or_else(shorter);
        }
        let mut above = domain.match_indices('.').filter_map(|(at, _)| domain.get(at + 1..));
        self.whole(&self.names, tag, domain, domain, None)
            .or_else(|| above.find_map(|key| find(&self.names, tag, key)))
    }

    /// F: `user+detail@domain`, `user+*@domain`, `user@domain`.
    #[must_use]
    pub fn mailbox(&self, tag: Tag, local: &str, domain: &str) -> Option<Hit> {
        self.local(tag, local, domain)
    }

    /// U: `user+detail@`, `user+*@`, `user@`.
    #[must_use]
    pub fn user(&self, tag: Tag, local: &str) -> Option<Hit> {
        self.local(tag, local, "")
    }

    fn local(&self, tag: Tag, local: &str, domain: &str) -> Option<Hit> {
        let address = format!("{}@{domain}", local.to_lowercase());
        self.whole(&self.names, tag, &address, &address, None).or_else(|| {
            let (user, _) = local.split_once('+').filter(|(user, _)| !user.is_empty())?;
            let user = user.to_lowercase();
            let look_up = |mark: &str| find(&self.names, tag, &format!("{user}{mark}@{domain}"));
            look_up("+*").or_else(|| look_up(""))
        })
    }
}

/// A further step, of what is less than the whole key.
fn find(table: &Index, tag: Tag, key: &str) -> Option<Hit> {
    let look_up = |prefix| Some((table.get_of(prefix, key)?, [prefix, key].concat()));
    let (found, key) = look_up(tag.prefix()).or_else(|| look_up(""))?;
    hit(found, key)
}

fn hit(found: Found<'_>, key: String) -> Option<Hit> {
    // It was understood when it was read.
    let value = understand(found.value, false).ok()?;
    Some(Hit { place: found.place(), key, value })
}

#[cfg(test)]
mod tests;
