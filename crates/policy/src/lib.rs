//! Who may send what to whom, with the trace.
//!
//! **Relaying is not a rule that can be misordered**: a recipient is local and known, or the client
//! may relay, or it is refused; nothing comes before this and nothing overrules it.
//!
//! **Invariant:** pure. Whether a system user exists is asked for with [`Ruling::Depends`], and the
//! answer is given to [`conclude`].

mod relay;
mod verdict;

use std::net::IpAddr;

use envelope::Address;
use ipnet::IpNet;
use tables::{Aliases, Because, LocalDomains};

pub use relay::{Account, Ruling, conclude};
pub use verdict::{Step, Verdict};

/// Everything that decides about recipients.
#[derive(Debug, Clone, Default)]
pub struct Policy {
    pub local: LocalDomains,
    pub aliases: Aliases,
    /// What separates user and detail; empty: nothing does.
    pub detail: String,
    /// `relay.networks`: clients that may relay.
    pub networks: Vec<IpNet>,
}

/// Who sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Client {
    Network(IpAddr),
    /// A user of this machine, on the submission socket.
    User,
}

impl Policy {
    /// May `client` send to `recipient`? `trace` is told each rule that applied.
    #[must_use]
    pub fn recipient(&self, client: Client, recipient: &Address, trace: &mut Vec<Step>) -> Ruling {
        match self.local.find(recipient) {
            Some(why) => {
                trace.push(Step::Local(match why {
                    Because::Own => None,
                    Because::Line(line) => Some(line),
                }));
                self.known(recipient, trace)
            }
            None => self.relayed(client, recipient, trace),
        }
    }
}
