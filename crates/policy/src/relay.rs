//! The relay decision.

use envelope::Address;

use crate::verdict::{Step, Verdict};
use crate::{Client, Policy};

/// What can be said without asking for users.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ruling {
    Decided(Verdict),
    /// The recipient is accepted if this name is a user with a mailbox: see [`conclude`].
    Depends(String),
}

/// What is known of a user name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Account {
    /// A user with a mailbox.
    Exists,
    Unknown,
    /// The users cannot be looked up now.
    Unavailable,
}

/// The verdict on `recipient` once its user was looked up.
#[must_use]
pub fn conclude(recipient: &Address, account: Account, trace: &mut Vec<Step>) -> Verdict {
    trace.push(Step::User(account));
    match account {
        Account::Exists => Verdict::Accept,
        Account::Unknown => Verdict::unknown_user(recipient),
        // Any doubt defers.
        Account::Unavailable => Verdict::try_later(),
    }
}

impl Policy {
    /// A recipient of a local domain: `a%b`, `a!b` and `"a@b"` are names like any other, and none
    /// of them says where to relay.
    pub(crate) fn known(&self, recipient: &Address, trace: &mut Vec<Step>) -> Ruling {
        let local = recipient.local().to_lowercase();
        let user = self.user_of(&local);
        if let Some(alias) = self.aliases.get(&local).or_else(|| self.aliases.get(user)) {
            trace.push(Step::Alias(alias.line));
            return Ruling::Decided(Verdict::Accept);
        }
        // RFC 5321 §4.5.1: there is always a postmaster.
        if user == "postmaster" {
            trace.push(Step::Postmaster);
            return Ruling::Decided(Verdict::Accept);
        }
        Ruling::Depends(user.to_owned())
    }

    /// A recipient elsewhere.
    pub(crate) fn relayed(
        &self,
        client: Client,
        recipient: &Address,
        trace: &mut Vec<Step>,
    ) -> Ruling {
        let step = match client {
            Client::User => Step::Submission,
            Client::Network(address) => {
                let address = address.to_canonical();
                let network = self.networks.iter().find(|network| network.contains(&address));
                network.map_or(Step::MayNotRelay, |network| Step::Network(*network))
            }
        };
        trace.push(step);
        Ruling::Decided(match step {
            Step::MayNotRelay => Verdict::relaying_denied(recipient),
            _ => Verdict::Accept,
        })
    }

    /// The name before the detail; one that begins with the separator has none.
    fn user_of<'a>(&self, local: &'a str) -> &'a str {
        match local.split_once(&self.detail) {
            Some((user, _)) if !self.detail.is_empty() && !user.is_empty() => user,
            Some(_) | None => local,
        }
    }
}

#[cfg(test)]
mod tests;
