//! Who may send what to whom, with the trace.
//!
//! **Relaying is not a rule that can be misordered**: a recipient is local, or relayed for this
//! client or to this domain, or it is refused; nothing comes before this and nothing overrules it.
//! Then the reverse-path is looked at, then the rules speak in the administrator's order, and at
//! last the recipient must have a way: a local one is known, and no table refuses it.
//!
//! **Invariant:** pure. Whether a system user exists is asked for with [`Ruling::Depends`], and the
//! answer is given to [`conclude`]; whether a host knows a recipient, with [`Ruling::Asks`] and
//! [`Asked::conclude`]; what the DNS says comes with the question, which is asked first what of it
//! matters: [`Policy::asks_for_names`], [`Policy::asks_for_domain`].

mod access;
mod asked;
mod connection;
mod hello;
mod known;
mod phases;
mod relay;
mod sender;
mod verdict;

use std::net::IpAddr;

use envelope::{Address, Aliasing, Disposition, ReversePath};
use ipnet::IpNet;
use routing::Router;
use serde::{Deserialize, Serialize};
use tables::{Access, Because, RelayDomains, Source};

pub use asked::{Asked, InDoubt};
pub use connection::Terms;
pub use known::{Account, Ruling, conclude};
pub use verdict::{Step, Verdict};

/// Everything that decides about recipients.
#[derive(Debug, Clone, Default)]
pub struct Policy {
    /// What is local, who is known there, and what a table refuses: as mail is delivered.
    pub router: Router,
    /// `relay.networks`: clients that may relay.
    pub networks: Vec<IpNet>,
    pub relay_domains: RelayDomains,
    /// Its RELAY entries are part of the relay decision, whatever the rules are.
    pub access: Access,
    /// `relay.verify_recipients`: a recipient of a domain for which mail is relayed must be known to
    /// its next hop.
    pub verify: bool,
    /// `policy.rules`, in order: the first that decides does.
    pub rules: Vec<Rule>,
    /// Other systems may leave the domain of a reverse-path out.
    pub accept_unqualified_senders: bool,
}

/// What the configuration says of it.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    pub networks: Vec<IpNet>,
    pub verify: bool,
    pub rules: Vec<Rule>,
    pub accept_unqualified_senders: bool,
}

/// One entry of `policy.rules`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Rule {
    /// The access table.
    Access,
    /// Refuses reverse-paths that nobody could answer: their domain is not in the DNS.
    UnresolvableSender,
    /// Refuses clients that call themselves by a name of ours, or by one without a domain.
    BadHelo,
}

/// What is known of a transaction when a recipient is named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sending<'a> {
    pub client: Client<'a>,
    /// What the client called itself; empty: not known.
    pub helo: &'a str,
    pub reverse_path: &'a ReversePath,
    /// It came without a domain, from another system, and was given that of this host.
    pub unqualified: bool,
    /// Of the reverse-path.
    pub domain: SenderDomain,
    pub aliasing: Aliasing,
}

impl<'a> Sending<'a> {
    /// Nothing else is known.
    #[must_use]
    pub const fn plain(client: Client<'a>, reverse_path: &'a ReversePath) -> Self {
        let domain = SenderDomain::NotAsked;
        let aliasing = Aliasing::Followed;
        Self { client, helo: "", reverse_path, unqualified: false, domain, aliasing }
    }
}

/// What the DNS says of the domain of a reverse-path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SenderDomain {
    /// It has an MX record or an address.
    Exists,
    Unknown,
    /// The DNS does not answer.
    InDoubt,
    /// Nobody looked, because nothing depends on it: see [`Policy::asks_for_domain`].
    NotAsked,
}

/// Who sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Client<'a> {
    Network {
        address: IpAddr,
        name: &'a ClientName,
    },
    /// A user of this machine, on the submission socket.
    User,
}

/// What a client is called in the DNS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientName {
    /// The name of its address, whose addresses include it; as a key (see
    /// [`envelope::domain_key`]).
    Confirmed(String),
    /// It has none, or one that is not confirmed.
    None,
    /// The DNS does not answer.
    Unknown,
    /// Nobody looked, because nothing asks for it: see [`Policy::asks_for_names`].
    NotAsked,
}

impl Policy {
    /// What the configuration and these tables say.
    ///
    /// # Errors
    /// A table cannot be read.
    pub fn read<S: Source>(
        routing: routing::Settings,
        settings: Settings,
        tables: &S,
    ) -> Result<Self, S::Error> {
        let Settings { networks, verify, rules, accept_unqualified_senders } = settings;
        Ok(Self {
            router: Router::read(routing, tables)?,
            networks,
            relay_domains: tables
                .table("relay-domains", |file, source| RelayDomains::read(file, source))?,
            access: tables.table("access", |file, source| Access::read(file, source))?,
            verify,
            rules,
            accept_unqualified_senders,
        })
    }

    /// May this recipient be sent to? `trace` is told each rule that applied.
    #[must_use]
    pub fn recipient(
        &self,
        sending: &Sending<'_>,
        recipient: &Address,
        trace: &mut Vec<Step>,
    ) -> Ruling {
        // CanonAddr in proto.m4: domains go by their new names.
        let mut renamed = Vec::new();
        let from = self.canonical(sending, &mut renamed);
        let address = &self.router.canonical(recipient, &mut renamed);
        trace.extend(renamed.into_iter().map(Step::Route));
        let canonical = &Sending { reverse_path: &from, ..*sending };
        let local = self.router.local.find(address);
        let admitted = match local {
            Some(ref why) => {
                trace.push(Step::Local(match why {
                    Because::Own => None,
                    Because::Line(place) | Because::Virtual(place) => Some(place.clone()),
                }));
                Ok(())
            }
            None => self.relayed(sending.client, address, trace),
        };
        let heard = admitted.and_then(|()| self.hear(canonical, address, local.is_some(), trace));
        match heard {
            Err(verdict) => Ruling::Decided(verdict),
            // Nobody needs to be there.
            Ok(gone @ (Disposition::Discard | Disposition::Omit)) => {
                Ruling::Decided(Verdict::Accept(gone))
            }
            Ok(stays @ (Disposition::Deliver | Disposition::Quarantine(_))) => {
                self.known(sending, recipient, stays, trace)
            }
        }
    }

    /// The reverse-path with the new name of its domain.
    pub(crate) fn canonical(
        &self,
        sending: &Sending<'_>,
        renamed: &mut Vec<tables::Step>,
    ) -> ReversePath {
        let from = sending.reverse_path.0.as_ref();
        ReversePath(from.map(|from| self.router.canonical(from, renamed)))
    }

    /// Do the terms of a client depend on what it is called?
    #[must_use]
    pub const fn greets_by_name(&self) -> bool {
        self.access.greets_by_name()
    }

    /// Does a decision depend on what clients are called?
    #[must_use]
    pub fn asks_for_names(&self) -> bool {
        self.access.asks_for_names() || self.relay_domains.asks_for_names()
    }

    /// Has the client, by its address, a right to send through us, or is it ourselves?
    pub(crate) fn is_ours(&self, client: Client<'_>) -> bool {
        let Client::Network { address, .. } = client else { return true };
        let address = address.to_canonical();
        self.is_this_host(address)
            || self.networks.iter().any(|network| network.contains(&address))
            || self.relay_domains.address(address).is_some()
    }

    fn is_this_host(&self, address: IpAddr) -> bool {
        address.is_loopback() || self.router.local.addresses.contains(&address)
    }

    /// What everything else says of a recipient that may be sent to.
    fn hear(
        &self,
        sending: &Sending<'_>,
        recipient: &Address,
        local: bool,
        trace: &mut Vec<Step>,
    ) -> Result<Disposition, Verdict> {
        let checked = !self.spares(recipient, local, trace);
        if checked {
            self.sender(sending, trace)?;
        }
        let said = self.rules(sending, recipient, (local, checked), trace)?;
        match said.unwrap_or(Disposition::Deliver) {
            Disposition::Discard => Ok(Disposition::Discard),
            said @ (Disposition::Deliver | Disposition::Quarantine(_) | Disposition::Omit) => {
                Ok(self.together(sending, recipient, trace)?.unwrap_or(said))
            }
        }
    }

    /// The first rule that decides; `None`: none does. `checked`: who sends is looked at.
    fn rules(
        &self,
        sending: &Sending<'_>,
        recipient: &Address,
        (local, checked): (bool, bool),
        trace: &mut Vec<Step>,
    ) -> Result<Option<Disposition>, Verdict> {
        for rule in &self.rules {
            let decided = match rule {
                Rule::Access => self.listed(sending, recipient, (local, checked), trace)?,
                Rule::UnresolvableSender if checked => self.unresolvable(sending, trace)?,
                Rule::BadHelo if checked => self.bad_helo(sending, trace)?,
                Rule::UnresolvableSender | Rule::BadHelo => None,
            };
            if decided.is_some() {
                return Ok(decided);
            }
        }
        Ok(None)
    }

    pub(crate) fn has(&self, rule: Rule) -> bool {
        self.rules.contains(&rule)
    }
}

#[cfg(test)]
mod tests;
