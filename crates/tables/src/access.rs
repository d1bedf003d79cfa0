//! `access`: who may connect, send and receive (sendmail's cf/README, "ANTI-SPAM CONFIGURATION
//! CONTROL").
//!
//! A key is looked up with its tag first and then without, at each step from the most specific
//! form on; only the first hit counts. Tags that came later than untagged keys have no such second
//! step. The names of the look-ups are those of sendmail's rulesets (proto.m4): A, D, F and U.
//!
//! **Invariant:** networks and names are kept apart, so that no name in the DNS can be taken for
//! the address of a network.

mod features;
mod key;
mod network;
mod tag;
mod value;

use std::fmt;
use std::io::{self, Read as Source};
use std::net::IpAddr;

use crate::index::{Found, Index};
use crate::lines::{Continuation, Line, Wrong, each};
use crate::networks::Networks;
use crate::patterns::{Patterns, Written};
use crate::{Kind, Place, Read};

pub use features::Features;
use key::{Key, key};
pub(crate) use network::{Group, groups};
pub use tag::Tag;
use value::understand;
pub use value::{Value, Wish};

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
    greets_by_name: bool,
    wish: Option<Wish>,
    /// There are `Srv_Features:` lines.
    withholds: bool,
    /// The first of them that is about AUTH or TLS.
    early: Option<Place>,
}

/// The line that decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hit<V = Value> {
    pub place: Place,
    /// As found, `from:example.org`.
    pub key: String,
    pub value: V,
}

impl<V: fmt::Display> fmt::Display for Hit<V> {
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
        self.check(tag, false, (value, line))?;
        self.lengths.insert(tag, network, value, line);
        Ok(())
    }

    /// `From:/expression/  value`
    fn take_pattern(&mut self, line: &Line) -> Result<(), Wrong> {
        let written = Written::read(line.text.trim())?;
        let tag = key::tag_alone(written.before)?;
        self.check(tag, false, (written.value, line))?;
        self.patterns.insert(tag, &written, line)?;
        // It may be meant for the name.
        self.asks_for_names |= matches!(tag, None | Some(Tag::Connect));
        self.greets_by_name |= matches!(tag, Some(Tag::GreetPause | Tag::SrvFeatures));
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
        self.check(tag, key.is_address(), (value, line))?;
        let is_host = matches!(key, Key::Host(_));
        let (table, key) = match key {
            Key::Network(key) => (&mut self.networks, key),
            Key::Host(key) | Key::Mailbox(key) | Key::User(key) | Key::Pair(key) => {
                (&mut self.names, key)
            }
            Key::All => (&mut self.names, String::new()),
        };
        let key = format!("{}{key}", tag.map_or("", Tag::prefix));
        table
            .insert(&key, value, line)
            .map_err(|first| Wrong::line(format!("{text} is defined in line {first} already")))?;
        self.asks_for_names |= is_host && matches!(tag, None | Some(Tag::Connect));
        self.greets_by_name |= is_host && matches!(tag, Some(Tag::GreetPause | Tag::SrvFeatures));
        Ok(())
    }

    /// Is this a value for the tag?
    fn check(
        &mut self,
        tag: Option<Tag>,
        for_address: bool,
        (value, line): (&str, &Line),
    ) -> Result<(), Wrong> {
        match tag {
            None | Some(Tag::Connect | Tag::From | Tag::To) => {
                understand(value, for_address).map(drop)
            }
            Some(Tag::Spam) => {
                let wish = value::wish(value)?;
                match self.wish.get_or_insert(wish) {
                    first if *first == wish => Ok(()),
                    first => Err(Wrong::line(format!(
                        "there is {first} above: a table has either FRIEND or HATER"
                    ))),
                }
            }
            Some(Tag::Compat) => value::compat(value).map(drop),
            Some(Tag::ClientRate | Tag::ClientConn | Tag::GreetPause) => {
                value::number(value).map(drop)
            }
            Some(Tag::SrvFeatures) => {
                if Features::read(value)?.early {
                    self.early.get_or_insert_with(|| line.place());
                }
                self.withholds = true;
                Ok(())
            }
        }
    }

    /// Is there an entry for which the client's name matters?
    #[must_use]
    pub const fn asks_for_names(&self) -> bool {
        self.asks_for_names
    }

    /// The same before the greeting.
    #[must_use]
    pub const fn greets_by_name(&self) -> bool {
        self.greets_by_name
    }

    /// Does the table say which recipients want no checks, or which want them?
    #[must_use]
    pub const fn wish(&self) -> Option<Wish> {
        self.wish
    }

    /// The first `Srv_Features:` line with letters about AUTH or TLS, which there are not yet.
    #[must_use]
    pub const fn early(&self) -> Option<&Place> {
        self.early.as_ref()
    }

    /// A: the address of a client, then shorter and shorter networks.
    #[must_use]
    pub fn address(&self, tag: Tag, address: IpAddr) -> Option<Hit> {
        self.network(tag, address, known)
    }

    /// What a recipient wants: F, D, and for recipients of this host U.
    #[must_use]
    pub fn wish_of(&self, local: &str, domain: &str, ours: bool) -> Option<Hit<Wish>> {
        let wish = |text: &str| value::wish(text).ok();
        let user = || ours.then(|| self.local(Tag::Spam, local, "", wish)).flatten();
        self.local(Tag::Spam, local, domain, wish)
            .or_else(|| self.above(Tag::Spam, domain, wish))
            .or_else(user)
    }

    /// What is said of this reverse-path and this recipient together.
    #[must_use]
    pub fn pair(&self, from: (&str, &str), to: (&str, &str)) -> Option<Hit> {
        let key = key::pair(from, to);
        self.whole(&self.names, Tag::Compat, (&key, &key), None, |text| value::compat(text).ok())
    }

    /// The number for a client: by its name if that matters, by its address, and for all.
    #[must_use]
    pub fn number(&self, tag: Tag, name: Option<&str>, address: IpAddr) -> Option<Hit<u32>> {
        let number = |text: &str| value::number(text).ok();
        let named = name.and_then(|name| self.above(tag, name, number));
        named.or_else(|| self.network(tag, address, number))
    }

    /// What is not offered to a client: by its name, by its address, and to all.
    #[must_use]
    pub fn features(&self, name: Option<&str>, address: IpAddr) -> Option<Hit<Features>> {
        if !self.withholds {
            return None;
        }
        let (tag, read) = (Tag::SrvFeatures, |text: &str| Features::read(text).ok());
        name.and_then(|name| self.above(tag, name, read))
            .or_else(|| self.network(tag, address, read))
            .or_else(|| find(&self.names, tag, "", read))
    }

    /// The number for those that no other line names.
    #[must_use]
    pub fn number_for_all(&self, tag: Tag) -> Option<Hit<u32>> {
        find(&self.names, tag, "", |text| value::number(text).ok())
    }

    fn network<V>(
        &self,
        tag: Tag,
        address: IpAddr,
        read: impl Fn(&str) -> Option<V>,
    ) -> Option<Hit<V>> {
        let key = network::of_address(address);
        let shown = || address.to_canonical().to_string();
        let shown = if self.patterns.is_empty() { String::new() } else { shown() };
        self.whole(&self.networks, tag, (&key, &shown), Some(address), &read).or_else(|| {
            let mut shorter = network::shorter(&key).skip(1);
            shorter.find_map(|key| find(&self.networks, tag, key, &read))
        })
    }

    /// The value of a key as it is written.
    #[must_use]
    pub fn raw(&self, key: &str) -> Option<(&str, Place)> {
        self.names.raw(key).or_else(|| self.networks.raw(key))
    }

    /// The first step of a look-up: also the sources that know whole keys only are asked. With the
    /// tag, then perhaps without (deprecated, but what old tables hold).
    fn whole<V>(
        &self,
        table: &Index,
        tag: Tag,
        (key, shown): (&str, &str),
        address: Option<IpAddr>,
        read: impl Fn(&str) -> Option<V>,
    ) -> Option<Hit<V>> {
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
        let untagged = || tag.falls_back().then(|| look_up(None)).flatten();
        let (found, key) = look_up(Some(tag)).or_else(untagged)?;
        hit(found, key, read)
    }

    /// D: a host or domain (see [`envelope::domain_key`]), then those above it. A literal is
    /// looked up in its brackets, then without its last numbers.
    #[must_use]
    pub fn domain(&self, tag: Tag, domain: &str) -> Option<Hit> {
        self.above(tag, domain, known)
    }

    fn above<V>(&self, tag: Tag, domain: &str, read: impl Fn(&str) -> Option<V>) -> Option<Hit<V>> {
        if let Some(address) = crate::literal(domain) {
            let key = network::of_address(address);
            let shorter = || {
                let mut inner = network::shorter(&key).skip(1);
                inner.find_map(|key| find(&self.names, tag, &format!("[{key}]"), &read))
            };
            let whole = self.whole(&self.names, tag, (&format!("[{key}]"), domain), None, &read);
            return whole.or_else(shorter);
        }
        let mut above = domain.match_indices('.').filter_map(|(at, _)| domain.get(at + 1..));
        self.whole(&self.names, tag, (domain, domain), None, &read)
            .or_else(|| above.find_map(|key| find(&self.names, tag, key, &read)))
    }

    /// F: `user+detail@domain`, `user+*@domain`, `user@domain`.
    #[must_use]
    pub fn mailbox(&self, tag: Tag, local: &str, domain: &str) -> Option<Hit> {
        self.local(tag, local, domain, known)
    }

    /// U: `user+detail@`, `user+*@`, `user@`.
    #[must_use]
    pub fn user(&self, tag: Tag, local: &str) -> Option<Hit> {
        self.local(tag, local, "", known)
    }

    fn local<V>(
        &self,
        tag: Tag,
        local: &str,
        domain: &str,
        read: impl Fn(&str) -> Option<V>,
    ) -> Option<Hit<V>> {
        let address = format!("{}@{domain}", local.to_lowercase());
        self.whole(&self.names, tag, (&address, &address), None, &read).or_else(|| {
            let (user, _) = local.split_once('+').filter(|(user, _)| !user.is_empty())?;
            let user = user.to_lowercase();
            let look_up =
                |mark: &str| find(&self.names, tag, &format!("{user}{mark}@{domain}"), &read);
            look_up("+*").or_else(|| look_up(""))
        })
    }
}

fn known(text: &str) -> Option<Value> {
    understand(text, false).ok()
}

/// A further step, of what is less than the whole key.
fn find<V>(table: &Index, tag: Tag, key: &str, read: impl Fn(&str) -> Option<V>) -> Option<Hit<V>> {
    let look_up = |prefix| Some((table.get_of(prefix, key)?, [prefix, key].concat()));
    let untagged = || tag.falls_back().then(|| look_up("")).flatten();
    let (found, key) = look_up(tag.prefix()).or_else(untagged)?;
    hit(found, key, read)
}

/// A value was understood when it was read.
fn hit<V>(found: Found<'_>, key: String, read: impl Fn(&str) -> Option<V>) -> Option<Hit<V>> {
    Some(Hit { place: found.place(), key, value: read(found.value)? })
}

#[cfg(test)]
mod tests;
