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

use crate::index::Index;
use crate::lines::{Continuation, Line, Wrong, each};
use crate::{Place, Read};

use key::{Key, key};
pub(crate) use network::{Group, groups};
pub use value::Value;
use value::understand;

/// The table. Keys are in lower case, with their tag; a value is understood anew when it is hit.
#[derive(Debug, Clone, Default)]
pub struct Access {
    networks: Index,
    names: Index,
    asks_for_names: bool,
}

/// What a look-up is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
        let Self { networks, names, asks_for_names } = access;
        let (networks, names) = (networks.finished(), names.finished());
        Ok(Read { table: Self { networks, names, asks_for_names }, findings })
    }

    fn take(&mut self, line: &Line) -> Result<(), Wrong> {
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
        if self.networks.len() == 0 {
            return None;
        }
        let whole = network::of_address(address);
        network::shorter(&whole).find_map(|key| find(&self.networks, tag, key))
    }

    /// D: a host or domain (see [`envelope::domain_key`]), then those above it. A literal is
    /// looked up in its brackets, then without its last numbers.
    #[must_use]
    pub fn domain(&self, tag: Tag, domain: &str) -> Option<Hit> {
        if self.names.len() == 0 {
            return None;
        }
        if let Some(address) = crate::literal(domain) {
            let whole = network::of_address(address);
            let mut inner = network::shorter(&whole);
            return inner.find_map(|key| find(&self.names, tag, &format!("[{key}]")));
        }
        let above = domain.match_indices('.').filter_map(|(at, _)| domain.get(at + 1..));
        std::iter::once(domain).chain(above).find_map(|key| find(&self.names, tag, key))
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
        if self.names.len() == 0 {
            return None;
        }
        let local = local.to_lowercase();
        let look_up =
            |local: fmt::Arguments<'_>| find(&self.names, tag, &format!("{local}@{domain}"));
        look_up(format_args!("{local}")).or_else(|| {
            let (user, _) = local.split_once('+').filter(|(user, _)| !user.is_empty())?;
            look_up(format_args!("{user}+*")).or_else(|| look_up(format_args!("{user}")))
        })
    }
}

/// With the tag, then without (deprecated, but what old tables hold).
fn find(table: &Index, tag: Tag, key: &str) -> Option<Hit> {
    let mut tagged = String::with_capacity(tag.prefix().len() + key.len());
    tagged.push_str(tag.prefix());
    tagged.push_str(key);
    let (key, found) = match table.get(&tagged) {
        Some(found) => (tagged.as_str(), found),
        None => (key, table.get(key)?),
    };
    // It was understood when it was read.
    let value = understand(found.value, false).ok()?;
    Some(Hit { place: found.place(), key: key.to_owned(), value })
}

#[cfg(test)]
mod tests;
