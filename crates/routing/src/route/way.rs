//! One address on its way, step by step.

use envelope::{Address, Detail, Enhanced, Status};
use tables::{Because, Place, Step, Target, split_detail};

use super::virtual_users::Stands;
use super::{Member, Route};
use crate::{MAX_DEPTH, Router};

/// The way so far.
pub(crate) struct Way<'a> {
    pub(super) router: &'a Router,
    /// Where it is now.
    pub(super) address: Address,
    /// The address was written as a name alone: virtusertable has nothing to say about it.
    pub(super) bare: bool,
    /// Where it was before.
    seen: Vec<Address>,
    /// An alias led here.
    pub(crate) is_alias: bool,
    pub(crate) trace: Vec<Step>,
}

impl<'a> Way<'a> {
    pub(crate) fn new(router: &'a Router, address: &Address, expanded_from: &[Address]) -> Self {
        // Members of lists that are names alone have got this domain.
        let bare = !expanded_from.is_empty() && address.domain_key() == router.local.hostname;
        let (address, seen) = (address.clone(), expanded_from.to_vec());
        Self { router, address, bare, seen, is_alias: false, trace: Vec::new() }
    }

    /// Goes on by one alias or virtual user; or says where the way ends.
    pub(crate) fn step(&mut self) -> Option<Route> {
        let Some(because) = self.router.local.find(&self.address) else {
            return self.away();
        };
        let says = |what: &str| format!("{} is {what}", self.address.domain());
        match because {
            Because::Own => {}
            Because::Line(ref place) => self.note(place, says("local")),
            Because::Virtual(ref place) => self.note(place, says("virtual")),
        }
        // `alice: \alice, bob` and `alice: alice, bob` mean the user the second time.
        let itself = self.seen.last() == Some(&self.address);
        if !itself && self.seen.contains(&self.address) || self.seen.len() > MAX_DEPTH {
            let address = &self.address;
            let text = format!("the aliases of {address} go round in a circle or too deep");
            return Some(Route::Over(Status::Failed(Detail::ours(Enhanced::LOOP, text))));
        }
        if itself {
            return Some(self.user(self.address.local()));
        }
        match self.virtual_user() {
            Stands::Elsewhere => None,
            Stands::Ended(route) => Some(route),
            Stands::Here => match because {
                Because::Own | Because::Line(_) => self.local_name(),
                Because::Virtual(_) => self.virtual_only(),
            },
        }
    }

    pub(super) fn user(&self, local: &str) -> Route {
        let (user, detail) = split_detail(local, &self.router.detail);
        Route::Local { user, detail }
    }

    pub(super) fn go_on(&mut self, address: Address, bare: bool) {
        self.seen.push(std::mem::replace(&mut self.address, address));
        self.bare = bare;
    }

    pub(super) fn note(&mut self, place: &Place, text: String) {
        self.trace.push(Step::at(place, text));
    }
}

/// The recipient that a target stands for; or what cannot be done yet.
pub(super) fn member<'t>(router: &Router, target: &'t Target) -> Result<Member, &'t str> {
    let here = |name: &'t str, verbatim| {
        let address = Address::new(name, &router.local.hostname).map_err(|_| name)?;
        Ok(Member { address, verbatim })
    };
    match target {
        Target::Address(address) => Ok(Member { address: address.clone(), verbatim: false }),
        Target::Local(name) => here(name, false),
        Target::User(name) => here(name, true),
        Target::Unsupported(text) => Err(text),
    }
}

/// Any doubt defers: the table changed since it was checked.
pub(super) fn not_yet(what: &str) -> Route {
    Route::Over(Status::fault(format!("{what} is not yet supported")))
}
