//! Where mail goes, and by which lines: domaintable, virtusertable and aliases for the domains of this
//! host, then mailertable, senderrelay, the smarthost, and the domain itself.
//!
//! **Invariant:** pure. The queue asks at each attempt, so that queued mail follows corrected
//! tables; whether a recipient is known is asked of the same tables in the same order.

mod admission;
mod border;
mod route;

use std::net::IpAddr;

use envelope::{Address, Aliasing, NextHop, ReversePath};
use tables::{
    Aliases, Domaintable, LocalDomains, Mailertable, Names, Senderrelay, Source, Step,
    Virtusertable,
};

pub use admission::Admission;
pub use border::{Border, Masquerade, Part, Taker};
pub use route::{Route, Routed};

/// Everything that decides about routes.
#[derive(Debug, Clone, Default)]
pub struct Router {
    pub local: LocalDomains,
    pub domaintable: Domaintable,
    pub virtusertable: Virtusertable,
    pub aliases: Aliases,
    pub mailertable: Mailertable,
    pub senderrelay: Senderrelay,
    pub relays: Relays,
    /// The LMTP server that has the mailboxes of this host; without one they are written here.
    pub store: Option<NextHop>,
    /// What separates user and detail; empty: nothing does.
    pub detail: String,
}

/// The next hops that the configuration names. One that is this very host counts as none, so that all
/// hosts of a house may have the same configuration (MailerToTriple in proto.m4).
#[derive(Debug, Clone, Default)]
pub struct Relays {
    /// Where all that is not local goes.
    pub smarthost: Option<NextHop>,
    /// Asked after the hosts of a domain.
    pub fallback: Option<NextHop>,
    /// Where everything goes, whatever the tables say.
    pub null_client: Option<NextHop>,
    /// Where the mail of local names goes that no alias takes.
    pub hub: Option<NextHop>,
    /// Local names whose mail stays here all the same (sendmail's class L).
    pub hub_except: Vec<String>,
}

/// What the configuration says about routes.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    pub hostname: String,
    pub addresses: Vec<IpAddr>,
    pub relays: Relays,
    pub store: Option<NextHop>,
    pub detail: String,
}

/// Aliases and virtual users on the way to one recipient (sendmail's MaxAliasRecursion).
pub const MAX_DEPTH: usize = 10;

impl Router {
    /// The router of a configuration and its tables.
    ///
    /// # Errors
    /// A table cannot be read.
    pub fn read<S: Source>(settings: Settings, tables: &S) -> Result<Self, S::Error> {
        let Settings { hostname, addresses, relays, store, detail } = settings;
        let names = |name| tables.table(name, |file, source| Names::read(file, source));
        Ok(Self {
            local: LocalDomains {
                hostname,
                names: names("local-host-names")?,
                addresses,
                virtual_names: names("virtuser-domains")?,
            },
            domaintable: tables
                .table("domaintable", |file, source| Domaintable::read(file, source))?,
            virtusertable: tables
                .table("virtusertable", |file, source| Virtusertable::read(file, source))?,
            aliases: tables.table("aliases", |file, source| Aliases::read(file, source))?,
            mailertable: tables
                .table("mailertable", |file, source| Mailertable::read(file, source))?,
            senderrelay: tables
                .table("senderrelay", |file, source| Senderrelay::read(file, source))?,
            relays,
            store,
            detail,
        })
    }

    /// Where mail from `reverse_path` to `address` goes now. `expanded_from` are the lists that it came
    /// from, outermost first.
    #[must_use]
    pub fn route(
        &self,
        address: &Address,
        reverse_path: &ReversePath,
        expanded_from: &[Address],
        aliasing: Aliasing,
    ) -> Routed {
        route::follow(self, address, reverse_path, expanded_from, aliasing)
    }

    /// May `address` be named as a recipient of mail from `reverse_path`? `trace` is told each rule that
    /// applied.
    #[must_use]
    pub fn admit(
        &self,
        address: &Address,
        reverse_path: &ReversePath,
        aliasing: Aliasing,
        trace: &mut Vec<Step>,
    ) -> Admission {
        admission::admit(self, address, reverse_path, aliasing, trace)
    }

    /// `address` by the domain's new name, as it is looked at everywhere (sendmail's ruleset 3).
    #[must_use]
    pub fn canonical(&self, address: &Address, trace: &mut Vec<Step>) -> Address {
        let Some((renamed, place)) = self.domaintable.find(address) else {
            return address.clone();
        };
        trace.push(Step::at(&place, format!("{address} is {renamed}")));
        renamed
    }
}
