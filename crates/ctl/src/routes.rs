//! Where mail goes by the files as they are on disk, with the engine of `qmgr`, whether it runs or not.

use std::collections::HashSet;
use std::fs::File;
use std::io::Read as _;

use config::{CatchAll, Config, OnDisk};
use envelope::{Address, Aliasing, Detail, Enhanced, Member, ReversePath, Special, Status};
use ipc::mailbox::{MAX_LIST, MAX_MEMBERS};
use nix::unistd::User;
use routing::{MAX_DEPTH, Route, Routed, Router};
use tables::{Finding, Reader, Source, Step, Users, members};

use crate::site::Site;
use crate::{Exit, Failure};

/// Addresses that one address may become, in a listing.
pub(crate) const MAX_WAYS: usize = 10_000;

/// The configuration with its tables.
#[derive(Debug)]
pub(crate) struct Routes {
    pub(crate) config: Config,
    pub(crate) router: Router,
    /// Of the message that goes there.
    aliasing: Aliasing,
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
            | Route::Special(_)
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
        Self::read_with(site, Aliasing::Followed)
    }

    /// The same, perhaps for a message without aliases.
    ///
    /// # Errors
    /// Exit code 78.
    pub(crate) fn read_with(site: &Site, aliasing: Aliasing) -> Result<Self, Failure> {
        let config = site.load();
        let config = config.map_err(|report| Failure::new(Exit::Config, report.to_string()))?;
        let router = Router::read(config.routing(), &OnDisk(&config));
        let router = router.map_err(|finding| unreadable(&finding))?;
        let users = config.rooted.then(|| users(&config)).transpose()?;
        Ok(Self { config, router, aliasing, users })
    }

    /// The way of `address` in mail from `reverse_path`, and of each address that lists on it stand for.
    pub(crate) fn ways(&self, address: &Address, reverse_path: &ReversePath) -> Vec<Way> {
        let (seen, ways) = (HashSet::new(), Vec::new());
        let mut walk = Walk { routes: self, reverse_path, seen, ways };
        walk.go(address, &[], 0);
        walk.ways
    }

    /// A local user who does not exist is the end of the way, unless somebody gets all such mail.
    fn route(
        &self,
        address: &Address,
        reverse_path: &ReversePath,
        expanded_from: &[Address],
    ) -> Routed {
        let mut routed = self.router.route(address, reverse_path, expanded_from, self.aliasing);
        if let Route::Local { user, .. } = &routed.route
            && let Some(status) = self.missing(user)
        {
            let caught = self.caught(&routed.address).filter(|_| status.class() == 5);
            if let Some(route) = caught {
                let text = format!("{user} is no user");
                routed.trace.push(Step::by("local.catch_all", text));
                routed.route = route;
            } else {
                routed.route = Route::Over(status);
            }
        }
        routed
    }

    /// Where mail for unknown users goes.
    fn caught(&self, address: &Address) -> Option<Route> {
        match self.config.local.catch_all.as_ref()? {
            CatchAll::Host(host) => Some(Route::Remote(host.clone())),
            CatchAll::To(name) => {
                let to = name.parse().or_else(|_| Address::new(name, &self.config.hostname));
                let to = to.ok().filter(|to| to != address)?;
                Some(Route::List { members: vec![Member::Address(to)], owner: None })
            }
        }
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

/// What an option `--no-aliases` means.
pub(crate) const fn aliasing(no_aliases: bool) -> Aliasing {
    if no_aliases { Aliasing::Skipped } else { Aliasing::Followed }
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
    reverse_path: &'a ReversePath,
    seen: HashSet<Member>,
    ways: Vec<Way>,
}

impl Walk<'_> {
    fn go(&mut self, asked: &Address, expanded_from: &[Address], depth: usize) {
        let routed = self.routes.route(asked, self.reverse_path, expanded_from);
        let members = match &routed.route {
            Route::List { members, owner: _ } => members.clone(),
            Route::Special(special) => self.named_by(special),
            Route::Remote(_) | Route::Local { .. } | Route::Refused(_) | Route::Over(_) => {
                Vec::new()
            }
        };
        let mut from = expanded_from.to_vec();
        from.push(asked.clone());
        if routed.address != *asked {
            from.push(routed.address.clone());
        }
        self.ways.push(Way { depth, asked: asked.clone(), routed });
        self.each(members, &from, depth + 1);
    }

    /// The members of a list, to which these addresses led.
    fn each(&mut self, members: Vec<Member>, from: &[Address], depth: usize) {
        for member in members {
            // `alice: alice, bob`: the second time it is the user.
            let itself = matches!(&member, Member::Address(it) if from.last() == Some(it));
            let is_new = self.seen.insert(member.clone()) || itself;
            if self.ways.len() >= MAX_WAYS || !is_new {
                continue;
            }
            match member {
                Member::Address(address) => self.go(&address, from, depth),
                Member::Mailbox(address) => {
                    let mut from = from.to_vec();
                    from.push(address.clone());
                    self.go(&address, &from, depth);
                }
                Member::Special(special) => self.end(special, from, depth),
            }
        }
    }

    /// What has no address goes by that of the list.
    fn end(&mut self, special: Special, from: &[Address], depth: usize) {
        let Some(list) = from.last() else { return };
        let members = if depth > MAX_DEPTH { Vec::new() } else { self.named_by(&special) };
        let route = Route::Special(special);
        let routed = Routed { route, address: list.clone(), trace: Vec::new() };
        self.ways.push(Way { depth, asked: list.clone(), routed });
        self.each(members, from, depth + 1);
    }

    /// Whom a list names, as far as the caller may read it; `deliver` has the last word.
    fn named_by(&self, special: &Special) -> Vec<Member> {
        let Special::Include(path) = special else { return Vec::new() };
        let Config { paths, hostname, .. } = &self.routes.config;
        let Ok(file) = File::open(paths.root.join(path.trim_start_matches('/'))) else {
            return Vec::new();
        };
        let mut text = String::new();
        if file.take(MAX_LIST).read_to_string(&mut text).is_err() {
            return Vec::new();
        }
        let targets = members(&text).filter_map(|(_, target)| target.ok());
        targets.filter_map(|target| target.member(hostname).ok()).take(MAX_MEMBERS).collect()
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
        routes.ways(&address.parse().unwrap(), &ReversePath(None)).iter().map(shown).collect()
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
        let expected = [
            way(0, "bob+@local.test", "list of 2"),
            way(1, "alice@mta.test", "local alice"),
            way(1, "bob@mta.test", "list of 2"),
            way(2, "bob@mta.test", "local bob"),
        ];
        assert_eq!(ways("bob: alice, bob\n", "bob+@local.test"), expected);
    }

    #[test]
    fn a_list_that_names_itself_is_a_user_too() {
        let aliases = "alice: alice, bob\n";
        let expected = [
            way(0, "alice@local.test", "list of 2"),
            way(1, "alice@mta.test", "list of 2"),
            way(2, "alice@mta.test", "local alice"),
            way(2, "bob@mta.test", "local bob"),
        ];
        assert_eq!(ways(aliases, "alice@local.test"), expected);
    }

    #[test]
    fn programs_files_and_those_whom_a_list_names_are_ends_too() {
        let aliases = "cmd: \"|x a\"\nall: cmd, /old, :include:/list\nin: :include:/list\n";
        let root = tempfile::tempdir().unwrap();
        let site = site(root.path(), &[("aliases", aliases)]);
        fs::write(root.path().join("list"), "alice\n:include:/list\n|y\n").unwrap();
        let routes = Routes::read(&site).unwrap();
        let shown = |address: &str| {
            let ways = routes.ways(&address.parse().unwrap(), &ReversePath(None));
            let shown = ways.iter().map(|way| format!("{} {}", way.depth, way.routed.route));
            shown.collect::<Vec<_>>()
        };
        let list = ["0 list of 3", "1 |x a", "1 /old", "1 :include:/list", "2 local alice", "2 |y"];
        assert_eq!(shown("all@local.test"), list);
        let list = ["0 :include:/list", "1 local alice", "1 :include:/list", "2 |y"];
        assert_eq!(shown("in@local.test"), list);
    }

    #[test]
    fn mail_of_strangers_goes_where_the_configuration_says() {
        let root = tempfile::tempdir().unwrap();
        let site = site(root.path(), &[]);
        let shown = |catch_all: &str, address: &str| {
            let text = format!("hostname = \"mta.test\"\n[local]\ncatch_all = \"{catch_all}\"\n");
            fs::write(root.path().join("etc/mail/pennypost.toml"), text).unwrap();
            let ways = Routes::read(&site).unwrap();
            let ways = ways.ways(&address.parse().unwrap(), &ReversePath(None));
            ways.iter().map(|way| way.routed.route.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(shown("bob", "nobody-here@local.test"), ["list of 1", "local bob"]);
        assert_eq!(shown("relay:[hub.test]", "nobody-here@local.test"), ["host [hub.test]"]);
        assert_eq!(shown("bob", "alice@local.test"), ["local alice"]);
        assert!(shown("lost", "lost@mta.test")[0].contains("User unknown"));
    }

    #[test]
    fn a_circle_and_a_stranger_end() {
        let circle = ways("a: b\nb: a\n", "a@local.test");
        assert!(circle[0].2.contains("circle"), "{circle:?}");
        let stranger = ways("", "nobody-here@local.test");
        assert!(stranger[0].2.contains("User unknown"), "{stranger:?}");
    }
}
