//! Where mail goes, and by which lines: virtusertable and aliases for the domains of this host, then
//! mailertable, the smarthost, and the domain itself.
//!
//! **Invariant:** pure. The queue asks at each attempt, so that queued mail follows corrected
//! tables; whether a recipient is known is asked of the same tables in the same order.

mod admission;
mod route;

use envelope::{Address, NextHop};
use tables::{Aliases, LocalDomains, Mailertable, Step, Virtusertable};

pub use admission::Admission;
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

/// Aliases and virtual users on the way to one recipient (sendmail's MaxAliasRecursion).
pub const MAX_DEPTH: usize = 10;

impl Router {
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
