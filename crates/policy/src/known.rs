//! Is there such a recipient?

use envelope::Address;
use routing::Admission;

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
    /// A recipient that may be sent to. In a local domain `a%b`, `a!b` and `"a@b"` are names like any
    /// other, and none of them says where to relay.
    pub(crate) fn known(&self, recipient: &Address, trace: &mut Vec<Step>) -> Ruling {
        let mut steps = Vec::new();
        let admission = self.router.admit(recipient, &mut steps);
        // That the domain is local has been said.
        let said = trace.iter().find_map(|step| match step {
            Step::Local(place) => place.clone(),
            _ => None,
        });
        let is_domain = |step: &tables::Step| {
            said.as_ref().is_some_and(|it| it.file == step.file && Some(it.line) == step.line)
        };
        trace.extend(steps.into_iter().skip_while(is_domain).map(Step::Route));
        match admission {
            Admission::Accept => Ruling::Decided(Verdict::Accept),
            Admission::User(user) => Ruling::Depends(user),
            Admission::Refuse(refusal) => Ruling::Decided(Verdict::refusal(recipient, &refusal)),
        }
    }
}
