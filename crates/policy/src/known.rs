//! Is a local recipient known?

use envelope::Address;
use tables::split_detail;

use crate::Policy;
use crate::verdict::{Step, Verdict};

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
        let (user, _) = split_detail(recipient.local(), &self.detail);
        let alias = self.aliases.get(recipient.local()).or_else(|| self.aliases.get(&user));
        if let Some(alias) = alias {
            trace.push(Step::Alias(alias.line));
            return Ruling::Decided(Verdict::Accept);
        }
        // RFC 5321 §4.5.1: there is always a postmaster.
        if user == "postmaster" {
            trace.push(Step::Postmaster);
            return Ruling::Decided(Verdict::Accept);
        }
        Ruling::Depends(user)
    }
}
