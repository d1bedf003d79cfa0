//! Is there such a recipient? Said when it is named, before there is any mail.

use envelope::{Address, Aliasing, NextHop, ReversePath, Status};
use tables::{Refusal, Step};

use crate::Router;
use crate::route::{Route, Way};

/// What can be said without asking for users.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Admission {
    /// It is an alias or a virtual user who is elsewhere, or nobody can be asked.
    Accept,
    /// It is known if this name is a user with a mailbox.
    User(String),
    /// It is known if the LMTP server that has the mailboxes takes mail for this address.
    Mailbox(NextHop, Address),
    /// Its mail leaves this machine for this address there: the next hop knows whether there is such a
    /// recipient.
    Leaves(NextHop, Address),
    Refuse(Refusal),
}

/// An alias is known, whatever it leads to: what is wrong there is not for the one who writes to it.
/// A line of virtusertable or mailertable that refuses is told at once.
pub(crate) fn admit(
    router: &Router,
    address: &Address,
    reverse_path: &ReversePath,
    aliasing: Aliasing,
    trace: &mut Vec<Step>,
) -> Admission {
    let mut way = Way::new(router, address, reverse_path, &[], aliasing);
    let admission = loop {
        let ended = way.step();
        if way.is_alias {
            break Admission::Accept;
        }
        if let Some(route) = ended {
            break at_the_end(&way, route);
        }
    };
    trace.append(&mut way.trace);
    admission
}

fn at_the_end(way: &Way<'_>, route: Route) -> Admission {
    let refuse = |code, status: &Status| {
        let detail = status.detail();
        Admission::Refuse(Refusal { code, enhanced: detail.enhanced, text: detail.text.clone() })
    };
    let address = || way.address.clone();
    match route {
        Route::Remote(hop) if way.router.store.as_ref() == Some(&hop) => {
            Admission::Mailbox(hop, address())
        }
        Route::Remote(hop) if way.is_straight() => Admission::Leaves(hop, address()),
        Route::Remote(_) | Route::List { .. } | Route::Special(_) => Admission::Accept,
        Route::Local { user, .. } => Admission::User(user),
        Route::Refused(refusal) => Admission::Refuse(refusal),
        Route::Over(Status::Delivered(_)) => Admission::Accept,
        Route::Over(status @ Status::Deferred(_)) => refuse(451, &status),
        Route::Over(status @ Status::Failed(_)) => refuse(550, &status),
    }
}
