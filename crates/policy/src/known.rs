//! Is there such a recipient?

use envelope::{Address, Disposition};
use routing::Admission;

use crate::asked::{Asked, InDoubt};
use crate::verdict::{Step, Verdict};
use crate::{Policy, Sending};

/// What can be said without asking for users.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ruling {
    Decided(Verdict),
    /// The recipient is accepted, and this becomes of it, if the name is a user with a mailbox: see
    /// [`conclude`].
    Depends {
        user: String,
        then: Disposition,
    },
    /// The recipient is accepted if this host takes mail for it: see [`Asked::conclude`].
    Asks(Asked),
}

/// What is known of a user name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Account {
    /// A user with a mailbox.
    Exists,
    Unknown,
    /// None, but `local.catch_all` takes the mail of such.
    Caught,
    /// The users cannot be looked up now.
    Unavailable,
}

/// The verdict on `recipient` once its user was looked up.
#[must_use]
pub fn conclude(
    recipient: &Address,
    account: Account,
    then: Disposition,
    trace: &mut Vec<Step>,
) -> Verdict {
    trace.push(Step::User(account));
    match account {
        Account::Exists | Account::Caught => Verdict::Accept(then),
        Account::Unknown => Verdict::unknown_user(recipient),
        // Any doubt defers.
        Account::Unavailable => Verdict::try_later(),
    }
}

impl Account {
    /// Nobody is unknown where somebody gets all such mail.
    #[must_use]
    pub fn caught(self, catches_all: bool) -> Self {
        match self {
            Self::Unknown if catches_all => Self::Caught,
            Self::Exists | Self::Unknown | Self::Caught | Self::Unavailable => self,
        }
    }
}

impl Policy {
    /// A recipient that may be sent to. In a local domain `a%b`, `a!b` and `"a@b"` are names like any
    /// other, and none of them says where to relay.
    pub(crate) fn known(
        &self,
        sending: &Sending<'_>,
        recipient: &Address,
        then: Disposition,
        trace: &mut Vec<Step>,
    ) -> Ruling {
        let mut steps = Vec::new();
        let Sending { reverse_path, aliasing, .. } = *sending;
        let admission = self.router.admit(recipient, reverse_path, aliasing, &mut steps);
        // Its new name, and that it is local, have been said.
        let said = trace
            .iter()
            .find_map(|step| if let Step::Local(place) = step { place.clone() } else { None });
        let is_said = |step: &tables::Step| {
            said.as_ref().is_some_and(|it| it.file == step.file && Some(it.line) == step.line)
                || trace.contains(&Step::Route(step.clone()))
        };
        let new: Vec<_> = steps.into_iter().skip_while(is_said).map(Step::Route).collect();
        trace.extend(new);
        match admission {
            Admission::Accept => Ruling::Decided(Verdict::Accept(then)),
            Admission::User(user) => Ruling::Depends { user, then },
            Admission::Mailbox(hop, address) => {
                Ruling::Asks(Asked { hop, address, in_doubt: InDoubt::Defer, then })
            }
            Admission::Leaves(hop, address) if self.verifies(sending) => {
                Ruling::Asks(Asked { hop, address, in_doubt: InDoubt::Accept, then })
            }
            Admission::Leaves(..) => Ruling::Decided(Verdict::Accept(then)),
            Admission::Refuse(refusal) => Ruling::Decided(Verdict::refusal(recipient, &refusal)),
        }
    }

    /// Is the next hop asked whether it knows a recipient? Not for our own clients, who may send
    /// anywhere. Nor about a bounce: it begets none if it fails, and as we ask with the null
    /// reverse-path ourselves, two hosts that relay to each other never ask in a circle.
    fn verifies(&self, sending: &Sending<'_>) -> bool {
        self.verify && sending.reverse_path.0.is_some() && self.relays_for(sending.client).is_none()
    }
}
