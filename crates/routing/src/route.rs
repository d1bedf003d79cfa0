//! One address, followed to its destination.

use std::fmt;

use envelope::{Address, Detail, Enhanced, Host, NextHop, Status};
use tables::{Alias, Because, Entry, Mailer, Step, Target, literal, split_detail};

use crate::{MAX_DEPTH, Router};

/// Where it ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Route {
    Remote(NextHop),
    Local {
        user: String,
        detail: Option<String>,
    },
    /// An alias with several targets: each is a recipient of its own from now on.
    List(Vec<Member>),
    /// Nowhere: refused, looping, or discarded.
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
    /// What the address has become: that of the last alias.
    pub address: Address,
    /// In the order in which they were applied.
    pub trace: Vec<Step>,
}

impl fmt::Display for Route {
    /// `mx example.net`, `host [mx.example.net]`, `local alice`, `list of 3`, or the status.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Remote(hop) => match &hop.host {
                Host::Domain(_) => write!(f, "mx {hop}"),
                Host::Exact(_) => write!(f, "host {hop}"),
            },
            Self::Local { user, .. } => write!(f, "local {user}"),
            Self::List(members) => write!(f, "list of {}", members.len()),
            Self::Over(status) => write!(f, "{status}"),
        }
    }
}

pub(crate) fn follow(router: &Router, address: &Address, expanded_from: &[Address]) -> Routed {
    let mut way = Way { router, seen: expanded_from.to_vec(), trace: Vec::new() };
    let mut address = address.clone();
    loop {
        match way.step(&address) {
            Next::Alias(next) => {
                way.seen.push(address);
                address = next;
            }
            Next::End(route) => return Routed { route, address, trace: way.trace },
        }
    }
}

/// The way so far.
struct Way<'a> {
    router: &'a Router,
    seen: Vec<Address>,
    trace: Vec<Step>,
}

enum Next {
    /// The single target of an alias.
    Alias(Address),
    End(Route),
}

impl<'a> Way<'a> {
    fn step(&mut self, address: &Address) -> Next {
        match self.router.local.find(address) {
            None => return Next::End(self.away(address)),
            Some(Because::Own) => {}
            Some(Because::Line(line)) => {
                self.note("local-host-names", Some(line), format!("{} is local", address.domain()));
            }
        }
        // `alice: \alice, bob` and `alice: alice, bob` mean the user the second time.
        let itself = self.seen.last() == Some(address);
        if !itself && self.seen.contains(address) || self.seen.len() > MAX_DEPTH {
            let text = format!("the aliases of {address} go round in a circle or too deep");
            return Next::End(Route::Over(Status::Failed(Detail::ours(Enhanced::LOOP, text))));
        }
        let local = address.local();
        if itself {
            return Next::End(self.user(local));
        }
        match self.alias(local) {
            Some((name, alias)) => self.apply(&name, alias),
            // RFC 5321 §4.5.1: postmaster is always there.
            None if split_detail(local, &self.router.detail).0 == "postmaster" => {
                let targets = vec![Target::Local("root".to_owned())];
                self.apply("postmaster", &Alias { targets, line: 0 })
            }
            None => Next::End(self.user(local)),
        }
    }

    /// The alias of the whole local part, or of the user without the detail.
    fn alias(&self, local: &str) -> Option<(String, &'a Alias)> {
        let router = self.router;
        let (user, _) = split_detail(local, &router.detail);
        let whole = router.aliases.get(local).map(|alias| (local.to_owned(), alias));
        whole.or_else(|| router.aliases.get(&user).map(|alias| (user, alias)))
    }

    fn apply(&mut self, name: &str, alias: &Alias) -> Next {
        let line = (alias.line > 0).then_some(alias.line);
        let mut members = Vec::with_capacity(alias.targets.len());
        for target in &alias.targets {
            match self.member(target) {
                Ok(member) => members.push(member),
                Err(what) => {
                    self.note("aliases", line, format!("{name} is {what}"));
                    return Next::End(not_yet(what));
                }
            }
        }
        let shown: Vec<_> = members.iter().map(|member| member.address.to_string()).collect();
        self.note("aliases", line, format!("{name} is {}", shown.join(", ")));
        match (members.pop(), members.is_empty()) {
            (Some(Member { address, verbatim: true }), true) => {
                Next::End(self.user(address.local()))
            }
            (Some(Member { address, verbatim: false }), true) => Next::Alias(address),
            (last, _) => {
                members.extend(last);
                Next::End(Route::List(members))
            }
        }
    }

    /// The recipient that a target stands for; or what cannot be done yet.
    fn member<'t>(&self, target: &'t Target) -> Result<Member, &'t str> {
        let here = |name: &'t str, verbatim| {
            let address = Address::new(name, &self.router.local.hostname).map_err(|_| name)?;
            Ok(Member { address, verbatim })
        };
        match target {
            Target::Address(address) => Ok(Member { address: address.clone(), verbatim: false }),
            Target::Local(name) => here(name, false),
            Target::User(name) => here(name, true),
            Target::Unsupported(text) => Err(text),
        }
    }

    fn user(&self, local: &str) -> Route {
        let (user, detail) = split_detail(local, &self.router.detail);
        Route::Local { user, detail }
    }

    /// Mail that is not for this host.
    fn away(&mut self, address: &Address) -> Route {
        let domain = address.domain_key();
        if let Some(Entry { mailer, line }) = self.router.mailertable.find(&domain) {
            self.note("mailertable", Some(*line), format!("{domain} goes its own way"));
            return self.by_mailer(mailer, address);
        }
        if let Some(hop) = &self.router.smarthost {
            self.note("relay.smarthost", None, hop.to_string());
            return Route::Remote(hop.clone());
        }
        let hop = match literal(&domain) {
            Some(ip) => Some(NextHop { host: Host::Exact(ip.to_string()), port: NextHop::SMTP }),
            None => NextHop::parse(&domain),
        };
        hop.map_or_else(|| over(5, Enhanced::BAD_SYSTEM, "bad destination domain"), Route::Remote)
    }

    fn by_mailer(&self, mailer: &Mailer, address: &Address) -> Route {
        match mailer {
            Mailer::Remote(hop) => Route::Remote(hop.clone()),
            Mailer::Local(Some(user)) => self.user(user),
            Mailer::Local(None) => self.user(address.local()),
            Mailer::Error { class, enhanced, text } => over(*class, *enhanced, text),
            Mailer::Unsupported(value) => not_yet(value),
            Mailer::Discard => over(2, Enhanced::UNDEFINED, "discarded by mailertable"),
        }
    }

    fn note(&mut self, file: &'static str, line: Option<usize>, text: String) {
        self.trace.push(Step { file, line, text });
    }
}

/// Any doubt defers: the table changed since it was checked.
fn not_yet(what: &str) -> Route {
    Route::Over(Status::fault(format!("{what} is not yet supported")))
}

fn over(class: u8, enhanced: Enhanced, text: &str) -> Route {
    let detail = Detail::ours(enhanced, text);
    Route::Over(match class {
        2 => Status::Delivered(detail),
        4 => Status::Deferred(detail),
        _ => Status::Failed(detail),
    })
}
