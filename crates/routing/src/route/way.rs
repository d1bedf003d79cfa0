//! One address on its way, step by step.

use envelope::{Address, Aliasing, Detail, Enhanced, ReversePath, Status};
use tables::{Because, Place, Step, split_detail};

use super::Route;
use super::virtual_users::Stands;
use crate::{MAX_DEPTH, Router};

/// The way so far.
pub(crate) struct Way<'a> {
    pub(crate) router: &'a Router,
    pub(super) reverse_path: &'a ReversePath,
    /// Where it is now.
    pub(crate) address: Address,
    /// The address was written as a name alone: virtusertable has nothing to say about it.
    pub(super) bare: bool,
    /// Where it was before.
    seen: Vec<Address>,
    pub(super) aliasing: Aliasing,
    /// An alias led here.
    pub(crate) is_alias: bool,
    pub(crate) trace: Vec<Step>,
}

impl<'a> Way<'a> {
    pub(crate) fn new(
        router: &'a Router,
        address: &Address,
        reverse_path: &'a ReversePath,
        expanded_from: &[Address],
        aliasing: Aliasing,
    ) -> Self {
        // Members of lists that are names alone have got this domain.
        let bare = !expanded_from.is_empty() && address.domain_key() == router.local.hostname;
        let (address, seen) = (address.clone(), expanded_from.to_vec());
        let trace = Vec::new();
        let is_alias = false;
        let mut way = Self { router, reverse_path, address, bare, seen, aliasing, is_alias, trace };
        way.rename();
        way
    }

    /// Goes on by one alias or virtual user; or says where the way ends.
    pub(crate) fn step(&mut self) -> Option<Route> {
        if let Some(route) = self.null_client() {
            return Some(route);
        }
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
            let local = self.address.local().to_owned();
            return Some(self.user(&local));
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

    /// A name that no alias takes.
    pub(super) fn user(&mut self, local: &str) -> Route {
        self.hub(local).unwrap_or_else(|| self.here(local, false))
    }

    /// `\user`: whatever aliases and `.forward` say.
    pub(super) fn mailbox(&mut self, local: &str) -> Route {
        self.hub(local).unwrap_or_else(|| self.here(local, true))
    }

    fn here(&mut self, local: &str, verbatim: bool) -> Route {
        let Some(store) = &self.router.store else {
            let (user, detail) = split_detail(local, &self.router.detail);
            return Route::Local { user, detail, verbatim };
        };
        self.trace.push(Step::by("local.mailbox", store.to_string()));
        // An alias `info: \alice` has led to another name than the one in the address.
        if local != self.address.local()
            && let Ok(address) = Address::new(local, &self.router.local.hostname)
        {
            self.address = address;
        }
        Route::Remote(store.clone())
    }

    /// No alias and no virtual user has led elsewhere.
    pub(crate) const fn is_straight(&self) -> bool {
        self.seen.is_empty()
    }

    pub(super) fn go_on(&mut self, address: Address, bare: bool) {
        self.seen.push(std::mem::replace(&mut self.address, address));
        self.bare = bare;
        self.rename();
    }

    /// Canonify2 in proto.m4: before anything else. A name alone has no domain to be renamed.
    fn rename(&mut self) {
        if !self.bare {
            self.address = self.router.canonical(&self.address, &mut self.trace);
        }
    }

    pub(super) fn note(&mut self, place: &Place, text: String) {
        self.trace.push(Step::at(place, text));
    }
}

/// Any doubt defers: the table changed since it was checked.
pub(super) fn not_yet(what: &str) -> Route {
    Route::Over(Status::fault(format!("{what} is not yet supported")))
}
