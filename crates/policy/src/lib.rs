//! Who may send what to whom, with the trace.
//!
//! **Relaying is not a rule that can be misordered**: a recipient is local, or relayed for this
//! client or to this domain, or it is refused; nothing comes before this and nothing overrules it.
//! Then the reverse-path is looked at, then the rules speak in the administrator's order, and at
//! last the recipient must have a way: a local one is known, and no table refuses it.
//!
//! **Invariant:** pure. Whether a system user exists is asked for with [`Ruling::Depends`], and the
//! answer is given to [`conclude`]; whether a host knows a recipient, with [`Ruling::Asks`] and
//! [`Asked::conclude`]; the name of a client comes with the question.

mod access;
mod asked;
mod known;
mod relay;
mod sender;
mod verdict;

use std::net::IpAddr;

use envelope::{Address, ReversePath};
use ipnet::IpNet;
use routing::Router;
use tables::{Access, Because, RelayDomains};

pub use asked::{Asked, InDoubt};
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
}

/// One entry of `policy.rules`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// The access table.
    Access,
}

/// What is known of a transaction when a recipient is named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sending<'a> {
    pub client: Client<'a>,
    pub reverse_path: &'a ReversePath,
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
        let from = sending.reverse_path.0.as_ref();
        let from = from.map(|from| self.router.canonical(from, &mut renamed));
        let address = &self.router.canonical(recipient, &mut renamed);
        trace.extend(renamed.into_iter().map(Step::Route));
        let canonical = &Sending { reverse_path: &ReversePath(from), ..*sending };
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
        let refused = admitted
            .and_then(|()| self.sender(canonical, trace))
            .and_then(|()| self.rules(canonical, address, local.is_some(), trace))
            .err();
        match refused {
            Some(verdict) => Ruling::Decided(verdict),
            None => self.known(sending, recipient, trace),
        }
    }

    /// Does a decision depend on what clients are called?
    #[must_use]
    pub fn asks_for_names(&self) -> bool {
        self.access.asks_for_names() || self.relay_domains.asks_for_names()
    }

    fn rules(
        &self,
        sending: &Sending<'_>,
        recipient: &Address,
        local: bool,
        trace: &mut Vec<Step>,
    ) -> Result<(), Verdict> {
        for rule in &self.rules {
            match rule {
                Rule::Access => {
                    if access::rule(&self.access, sending, recipient, local, trace)? {
                        break;
                    }
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
