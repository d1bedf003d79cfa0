//! Where mail goes, and by which lines: virtusertable and aliases for the domains of this host, then
//! mailertable, the smarthost, and the domain itself.
//!
//! **Invariant:** pure. The queue asks at each attempt, so that queued mail follows corrected
//! tables; whether a recipient is known is asked of the same tables in the same order.

mod admission;
mod border;
mod route;

use std::net::IpAddr;

use envelope::{Address, NextHop};
use tables::{Aliases, LocalDomains, Mailertable, Names, Source, Step, Virtusertable};

pub use admission::Admission;
pub use border::{Border, Masquerade, Part, Taker};
pub use route::{Member, Route, Routed};

/// Everything that decides about routes.
#[derive(Debug, Clone, Default)]
pub struct Router {
    pub local: LocalDomains,
    pub virtusertable: Virtusertable,
    pub aliases: Aliases,
    pub mailertable: Mailertable,
    /// Where all that is not local goes.
    pub smarthost: Option<NextHop>,
    /// What separates user and detail; empty: nothing does.
    pub detail: String,
}

/// What the configuration says about routes.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    pub hostname: String,
    pub addresses: Vec<IpAddr>,
    pub smarthost: Option<NextHop>,
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
        let Settings { hostname, addresses, smarthost, detail } = settings;
        let names = |name| tables.table(name, |file, source| Names::read(file, source));
        Ok(Self {
            local: LocalDomains {
                hostname,
                names: names("local-host-names")?,
                addresses,
                virtual_names: names("virtuser-domains")?,
            },
            virtusertable: tables
                .table("virtusertable", |file, source| Virtusertable::read(file, source))?,
            aliases: tables.table("aliases", |file, source| Aliases::read(file, source))?,
            mailertable: tables
                .table("mailertable", |file, source| Mailertable::read(file, source))?,
            smarthost,
            detail,
        })
    }

    /// Where `address` goes now. `expanded_from` are the lists that it came from, outermost first.
    #[must_use]
    pub fn route(&self, address: &Address, expanded_from: &[Address]) -> Routed {
        route::follow(self, address, expanded_from)
    }

    /// May `address` be named as a recipient? `trace` is told each rule that applied.
    #[must_use]
    pub fn admit(&self, address: &Address, trace: &mut Vec<Step>) -> Admission {
        admission::admit(self, address, trace)
    }
}
