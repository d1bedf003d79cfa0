//! One address, followed to its destination.

use std::fmt;

use envelope::{Address, Detail, Enhanced, Host, NextHop, Server, Status};
use tables::{
    Alias, Because, Entry, Mailer, Meaning, Refusal, Step, Target, Virtual, literal, split_detail,
};

use crate::{MAX_DEPTH, Router};

/// Where it ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Route {
    Remote(NextHop),
    Local {
        user: String,
        detail: Option<String>,
    },
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

/// One target of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    pub address: Address,
    /// Written `\user`: its own alias does not count. Route it with its own address last in
    /// `expanded_from`.
    pub verbatim: bool,
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
    /// `mx example.net`, `host [mx.example.net]`, `local alice`, `list of 3`, or the status.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Remote(hop) => match &hop.first.host {
                Host::Domain(_) => write!(f, "mx {hop}"),
                Host::Exact(_) => write!(f, "host {hop}"),
            },
            Self::Local { user, .. } => write!(f, "local {user}"),
            Self::List { members, .. } => write!(f, "list of {}", members.len()),
            Self::Refused(refusal) => write!(f, "{}", refusal.status()),
            Self::Over(status) => write!(f, "{status}"),
        }
    }
}

pub(crate) fn follow(router: &Router, address: &Address, expanded_from: &[Address]) -> Routed {
    let mut way = Way::new(router, address, expanded_from);
    let route = loop {
        if let Some(route) = way.step() {
            break route;
        }
    };
    Routed { route, address: way.address, trace: way.trace }
}

/// The way so far.
pub(crate) struct Way<'a> {
    router: &'a Router,
    /// Where it is now.
    address: Address,
    /// The address was written as a name alone: virtusertable has nothing to say about it.
    bare: bool,
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
            Because::Line(line) => self.note("local-host-names", Some(line), says("local")),
            Because::Virtual(line) => self.note("virtuser-domains", Some(line), says("virtual")),
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

    fn virtual_user(&mut self) -> Stands {
        if self.bare {
            return Stands::Here;
        }
        let router = self.router;
        let found = router.virtusertable.find(&self.address, &router.detail);
        let Some(Virtual { meaning, line }) = found else { return Stands::Here };
        let mut note = |what: &str| {
            let text = format!("{} {what}", self.address);
            self.trace.push(Step { file: "virtusertable", line: Some(line), text });
        };
        let target = match meaning {
            Meaning::Target(target) => target,
            Meaning::Itself => {
                note("is itself");
                return Stands::Here;
            }
            Meaning::Refused(refusal) => {
                note("is refused");
                return Stands::Ended(Route::Refused(refusal));
            }
        };
        let Ok(Member { address, verbatim }) = member(router, &target) else {
            return Stands::Ended(not_yet("this virtual user"));
        };
        note(&format!("is {address}"));
        if verbatim {
            return Stands::Ended(self.user(address.local()));
        }
        // One that leads to itself is no circle (cf/README knows no end of it).
        if address == self.address {
            return Stands::Here;
        }
        self.go_on(address, matches!(target, Target::Local(_)));
        Stands::Elsewhere
    }

    /// A name in a virtual domain that virtusertable does not know. There is always a postmaster
    /// (RFC 5321 §4.5.1).
    fn virtual_only(&mut self) -> Option<Route> {
        if self.is_postmaster() {
            return self.local_name();
        }
        if let Some(entry) = self.router.mailertable.find(&self.address.domain_key()) {
            return self.by_entry(entry);
        }
        let text = "User unknown".to_owned();
        Some(Route::Refused(Refusal { code: 550, enhanced: Enhanced::BAD_MAILBOX, text }))
    }

    fn local_name(&mut self) -> Option<Route> {
        let local = self.address.local();
        match self.alias(local) {
            Some((name, alias)) => self.apply(&name, &alias),
            // RFC 5321 §4.5.1: postmaster is always there.
            None if self.is_postmaster() => {
                let targets = vec![Target::Local("root".to_owned())];
                self.apply("postmaster", &Alias { targets, line: 0 })
            }
            None => Some(self.user(local)),
        }
    }

    fn is_postmaster(&self) -> bool {
        split_detail(self.address.local(), &self.router.detail).0 == "postmaster"
    }

    /// The alias of the whole local part, or of the user without the detail.
    fn alias(&self, local: &str) -> Option<(String, Alias)> {
        let router = self.router;
        let (user, _) = split_detail(local, &router.detail);
        let whole = router.aliases.get(local).map(|alias| (local.to_owned(), alias));
        whole.or_else(|| router.aliases.get(&user).map(|alias| (user, alias)))
    }

    fn apply(&mut self, name: &str, alias: &Alias) -> Option<Route> {
        self.is_alias = true;
        let line = (alias.line > 0).then_some(alias.line);
        let members = alias.targets.iter().map(|target| member(self.router, target));
        let mut members = match members.collect::<Result<Vec<_>, _>>() {
            Ok(members) => members,
            Err(what) => {
                self.note("aliases", line, format!("{name} is {what}"));
                return Some(not_yet(what));
            }
        };
        let shown: Vec<_> = members.iter().map(|member| member.address.to_string()).collect();
        self.note("aliases", line, format!("{name} is {}", shown.join(", ")));
        let owner = self.owner(name);
        match (alias.targets.as_slice(), members.pop()) {
            ([Target::User(user)], Some(_)) if owner.is_none() => Some(self.user(user)),
            ([target], Some(member)) if owner.is_none() => {
                self.go_on(member.address, matches!(target, Target::Local(_)));
                None
            }
            (_, last) => {
                members.extend(last);
                Some(Route::List { members, owner })
            }
        }
    }

    /// Who owns the list `name` (op.me §4.5, "List owners"): what `owner-NAME` points to if that is
    /// one, or else `owner-NAME` itself. Owners have `owner-owner` (alias() in alias.c).
    fn owner(&mut self, name: &str) -> Option<Address> {
        let name = name.to_lowercase();
        let name = if name.starts_with("owner-") { "owner" } else { &name };
        let owner = format!("owner-{name}");
        let Alias { targets, line } = self.router.aliases.get(&owner)?;
        let itself = Target::Local(owner.clone());
        let address = match targets.as_slice() {
            [Target::Unsupported(_)] => member(self.router, &itself),
            [single] => member(self.router, single),
            _ => member(self.router, &itself),
        };
        let address = address.ok()?.address;
        self.note("aliases", Some(line), format!("failures are told to {address}"));
        Some(address)
    }

    fn user(&self, local: &str) -> Route {
        let (user, detail) = split_detail(local, &self.router.detail);
        Route::Local { user, detail }
    }

    /// Mail that is not for this host.
    fn away(&mut self) -> Option<Route> {
        let domain = self.address.domain_key();
        // Parse1 in proto.m4: a literal does not ask the mailertable, but has a smarthost.
        let literal = literal(&domain);
        if literal.is_none()
            && let Some(entry) = self.router.mailertable.find(&domain)
        {
            return self.by_entry(entry);
        }
        if let Some(hop) = &self.router.smarthost {
            self.note("relay.smarthost", None, hop.to_string());
            return Some(Route::Remote(hop.clone()));
        }
        let server = |ip| Server { host: Host::Exact(ip), port: NextHop::SMTP };
        let hop = match literal {
            Some(ip) => Some(server(ip.to_string()).into()),
            None => NextHop::parse(&domain),
        };
        let nowhere = || {
            let detail = Detail::ours(Enhanced::BAD_SYSTEM, "bad destination domain");
            Route::Over(Status::Failed(detail))
        };
        Some(hop.map_or_else(nowhere, Route::Remote))
    }

    fn by_entry(&mut self, Entry { mailer, line }: Entry) -> Option<Route> {
        let domain = self.address.domain_key();
        self.note("mailertable", Some(line), format!("{domain} goes its own way"));
        let user = match mailer {
            Mailer::Remote(hop) => return Some(Route::Remote(hop)),
            Mailer::Redirected(hop, address) => {
                self.address = address;
                return Some(Route::Remote(hop));
            }
            Mailer::Refused(refusal) => return Some(Route::Refused(refusal)),
            Mailer::Discard => {
                let detail = Detail::ours(Enhanced::UNDEFINED, "discarded by mailertable");
                return Some(Route::Over(Status::Delivered(detail)));
            }
            Mailer::Unsupported(value) => return Some(not_yet(&value)),
            Mailer::Local(user) => user,
        };
        let user = user.unwrap_or_else(|| self.address.local().to_owned());
        match Address::new(&user, &self.router.local.hostname) {
            Ok(here) => {
                self.go_on(here, true);
                None
            }
            Err(_) => Some(self.user(&user)),
        }
    }

    fn go_on(&mut self, address: Address, bare: bool) {
        self.seen.push(std::mem::replace(&mut self.address, address));
        self.bare = bare;
    }

    fn note(&mut self, file: &'static str, line: Option<usize>, text: String) {
        self.trace.push(Step { file, line, text });
    }
}

/// What virtusertable says of an address.
enum Stands {
    /// For what it is.
    Here,
    /// For another one, which is the address now.
    Elsewhere,
    Ended(Route),
}

/// The recipient that a target stands for; or what cannot be done yet.
fn member<'t>(router: &Router, target: &'t Target) -> Result<Member, &'t str> {
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
fn not_yet(what: &str) -> Route {
    Route::Over(Status::fault(format!("{what} is not yet supported")))
}
