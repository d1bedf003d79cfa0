//! Where mail goes by the files as they are on disk, with the engine of `qmgr`, whether it runs or not.

use std::collections::HashSet;

use config::{Config, OnDisk};
use envelope::{Address, Detail, Enhanced, Status};
use nix::unistd::User;
use routing::{Member, Route, Routed, Router};
use tables::{Finding, Reader, Source, Users};

use crate::site::Site;
use crate::{Exit, Failure};

/// Addresses that one address may become, in a listing.
pub(crate) const MAX_WAYS: usize = 10_000;

/// The configuration with its tables.
#[derive(Debug)]
pub(crate) struct Routes {
    pub(crate) config: Config,
    pub(crate) router: Router,
    /// Under a root: who there is.
    users: Option<Users>,
}

/// An address on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Way {
    /// Lists that it came through.
    pub(crate) depth: usize,
    /// As it was asked for, or as the list has it.
    pub(crate) asked: Address,
    pub(crate) routed: Routed,
}

impl Way {
    /// Why it ends nowhere.
    pub(crate) fn dead_end(&self) -> Option<Status> {
        match &self.routed.route {
            Route::Refused(refusal) => Some(refusal.status()),
            Route::Over(status @ (Status::Failed(_) | Status::Deferred(_))) => Some(status.clone()),
            Route::Over(Status::Delivered(_))
            | Route::Remote(_)
            | Route::Local { .. }
            | Route::List { .. } => None,
        }
    }
}

impl Routes {
    /// Reads the files as the daemons do at their start; bad lines are skipped.
    ///
    /// # Errors
    /// Exit code 78: the configuration is wrong, or a table cannot be read.
    pub(crate) fn read(site: &Site) -> Result<Self, Failure> {
        let config = config::load(site.root(), None);
        let config = config.map_err(|report| Failure::new(Exit::Config, report.to_string()))?;
        let router = Router::read(config.routing(), &OnDisk(&config));
        let router = router.map_err(|finding| unreadable(&finding))?;
        let users = config.rooted.then(|| users(&config)).transpose()?;
        Ok(Self { config, router, users })
    }

    /// The way of `address`, and of each address that lists on it stand for.
    pub(crate) fn ways(&self, address: &Address) -> Vec<Way> {
        let mut walk = Walk { routes: self, seen: HashSet::new(), ways: Vec::new() };
        walk.go(address, &[], 0);
        walk.ways
    }

    /// A local user who does not exist is the end of the way.
    fn route(&self, address: &Address, expanded_from: &[Address]) -> Routed {
        let mut routed = self.router.route(address, expanded_from);
        if let Route::Local { user, .. } = &routed.route
            && let Some(status) = self.missing(user)
        {
            routed.route = Route::Over(status);
        }
        routed
    }

    fn missing(&self, user: &str) -> Option<Status> {
        let unknown = || Status::Failed(Detail::ours(Enhanced::BAD_MAILBOX, "User unknown"));
        if let Some(users) = &self.users {
            return (!users.contains(user)).then(unknown);
        }
        match User::from_name(user) {
            // Some user databases know no case; mailboxes do.
            Ok(Some(found)) if found.name == user => {
                let uid = found.uid;
                let mailbox = uid.is_root() || uid.as_raw() >= self.config.local.minimum_uid;
                (!mailbox).then(unknown)
            }
            Ok(_) => Some(unknown()),
            Err(error) => Some(Status::fault(format!("user {user}: {error}"))),
        }
    }
}

pub(crate) fn table<T: Default>(
    config: &Config,
    name: &str,
    read: Reader<T>,
) -> Result<T, Failure> {
    OnDisk(config).table(name, read).map_err(|finding| unreadable(&finding))
}

pub(crate) fn users(config: &Config) -> Result<Users, Failure> {
    table(config, "users", |file, source| Users::read(file, source))
}

/// A table that cannot be read.
pub(crate) fn unreadable(finding: &Finding) -> Failure {
    Failure::new(Exit::Config, finding.to_string())
}

/// Goes from list to list, into each address once.
struct Walk<'a> {
    routes: &'a Routes,
    seen: HashSet<Address>,
    ways: Vec<Way>,
}

impl Walk<'_> {
    fn go(&mut self, asked: &Address, expanded_from: &[Address], depth: usize) {
        let routed = self.routes.route(asked, expanded_from);
        let members = match &routed.route {
            Route::List { members, owner: _ } => members.clone(),
            Route::Remote(_) | Route::Local { .. } | Route::Refused(_) | Route::Over(_) => {
                Vec::new()
            }
        };
        let list = routed.address.clone();
        self.ways.push(Way { depth, asked: asked.clone(), routed });
        for Member { address, verbatim } in members {
            if self.ways.len() >= MAX_WAYS || !self.seen.insert(address.clone()) {
                continue;
            }
            let mut from = expanded_from.to_vec();
            from.push(asked.clone());
            if list != *asked {
                from.push(list.clone());
            }
            if verbatim && from.last() != Some(&address) {
                from.push(address.clone());
            }
            self.go(&address, &from, depth + 1);
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    /// A site with these files.
    pub(crate) fn site(root: &Path, files: &[(&str, &str)]) -> Site {
        let tables = root.join("etc/mail");
        fs::create_dir_all(&tables).unwrap();
        fs::write(tables.join("pennypost.toml"), "hostname = \"mta.test\"\n").unwrap();
        fs::write(tables.join("users"), "alice\nbob\ndaemon\n").unwrap();
        fs::write(tables.join("local-host-names"), "local.test\n").unwrap();
        for (name, text) in files {
            fs::write(tables.join(name), text).unwrap();
        }
        Site::new(Some(root.to_owned()))
    }

    fn ways(aliases: &str, address: &str) -> Vec<(usize, String, String)> {
        let root = tempfile::tempdir().unwrap();
        let routes = Routes::read(&site(root.path(), &[("aliases", aliases)])).unwrap();
        let shown = |way: &Way| (way.depth, way.asked.to_string(), way.routed.route.to_string());
        routes.ways(&address.parse().unwrap()).iter().map(shown).collect()
    }

    fn way(depth: usize, asked: &str, route: &str) -> (usize, String, String) {
        (depth, asked.to_owned(), route.to_owned())
    }

    #[test]
    fn lists_are_opened_and_each_address_is_seen_once() {
        let aliases = "all: team, bob, x@far.test\nteam: \\alice, bob\nboss: alice\n";
        let expected = [
            way(0, "all@local.test", "list of 3"),
            way(1, "team@mta.test", "list of 2"),
            way(2, "alice@mta.test", "local alice"),
            way(2, "bob@mta.test", "local bob"),
            way(1, "x@far.test", "mx far.test"),
        ];
        assert_eq!(ways(aliases, "all@local.test"), expected);
        assert_eq!(ways(aliases, "boss@local.test"), [way(0, "boss@local.test", "local alice")]);
    }

    #[test]
    fn a_circle_and_a_stranger_end() {
        let circle = ways("a: b\nb: a\n", "a@local.test");
        assert!(circle[0].2.contains("circle"), "{circle:?}");
        let stranger = ways("", "nobody-here@local.test");
        assert!(stranger[0].2.contains("User unknown"), "{stranger:?}");
    }
}
