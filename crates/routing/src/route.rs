//! One address, followed to its destination.

use std::fmt;

use envelope::{Address, Aliasing, Host, Member, NextHop, Protocol, ReversePath, Special, Status};
use tables::{Refusal, Step};

use crate::Router;

mod aliases;
mod away;
mod relays;
mod virtual_users;
mod way;

pub(crate) use way::Way;

/// Where it ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Route {
    Remote(NextHop),
    Local {
        user: String,
        detail: Option<String>,
        /// Written `\user`: whatever the user's `.forward` says.
        verbatim: bool,
    },
    /// A program, a file or a list of names.
    Special(Special),
    /// An alias with several targets, or one with an owner: each target is a recipient of its own
    /// from now on.
    List {
        members: Vec<Member>,
        /// Who is told of failures in place of the reverse-path: `owner-NAME`.
        owner: Option<Address>,
    },
    /// A line of a table says no.
    Refused(Refusal),
    /// Nowhere: looping, impossible, or discarded.
    Over(Status),
}

/// The answer with its reasons.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Routed {
    pub route: Route,
    /// What the address has become: that of the last alias or virtual user.
    pub address: Address,
    /// In the order in which they were applied.
    pub trace: Vec<Step>,
}

impl fmt::Display for Route {
    /// `mx example.net`, `host [mx.example.net]`, `lmtp:unix:/path`, `local alice`, `list of 3`, or the status.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Remote(hop) => match &hop.first.host {
                Host::Domain(_) => write!(f, "mx {hop}"),
                Host::Exact(_) if hop.protocol == Protocol::Smtp => write!(f, "host {hop}"),
                Host::Exact(_) | Host::Socket(_) => write!(f, "{hop}"),
            },
            Self::Local { user, .. } => write!(f, "local {user}"),
            Self::Special(special) => write!(f, "{special}"),
            Self::List { members, .. } => write!(f, "list of {}", members.len()),
            Self::Refused(refusal) => write!(f, "{}", refusal.status()),
            Self::Over(status) => write!(f, "{status}"),
        }
    }
}

pub(crate) fn follow(
    router: &Router,
    address: &Address,
    reverse_path: &ReversePath,
    expanded_from: &[Address],
    aliasing: Aliasing,
) -> Routed {
    let mut way = Way::new(router, address, reverse_path, expanded_from, aliasing);
    let route = loop {
        if let Some(route) = way.step() {
            break route;
        }
    };
    Routed { route, address: way.address, trace: way.trace }
}
