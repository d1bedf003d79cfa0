//! Addresses and where they go, with the lines that say so.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "test code: what goes wrong is to stop the test"
)]

use envelope::{Address, Aliasing, Host, ReversePath, Server};
use proptest::prelude::*;
use routing::{Admission, Relays, Route, Routed, Router};
use tables::{Aliases, LocalDomains, Mailertable, Names, Virtusertable};

const ALIASES: &str = "\
postmaster: root
root: alice
team: alice, bob@far.test, friends
friends: \\carol
carol: dave@far.test
self: self, bob@far.test
round: about
about: round
lists+dev: bob
program: bob, \"|/bin/x\"
deep1: deep2
deep2: deep3
";

fn router() -> Router {
    let names = Names::read("local-host-names", "example.org\n".as_bytes()).unwrap().table;
    let mailertable = "inner.test\tesmtp:[10.0.0.1]:2525\n.sub.test\tlocal:alice\n\
                       gone.test\terror:5.1.2:moved away\nnull.test\tdiscard:\nodd.test\tuucp:x\n";
    Router {
        local: LocalDomains { hostname: "mx.example.org".into(), names, ..LocalDomains::default() },
        aliases: Aliases::read("aliases", ALIASES.as_bytes()).unwrap().table,
        mailertable: Mailertable::read("mailertable", mailertable.as_bytes()).unwrap().table,
        detail: "+".into(),
        ..Router::default()
    }
}

fn route(address: &str) -> Routed {
    router().route(&address.parse().unwrap(), &ReversePath(None), &[], Aliasing::Followed)
}

fn shown(address: &str) -> String {
    route(address).route.to_string()
}

#[test]
fn local_names_follow_the_aliases() {
    assert_eq!(shown("bob@example.org"), "local bob");
    assert_eq!(shown("Bob+List@EXAMPLE.org"), "local bob");
    assert_eq!(shown("postmaster@mx.example.org"), "local alice");
    assert_eq!(shown("lists+dev@localhost"), "local bob");
    assert_eq!(shown("carol+x@example.org"), "mx far.test");
    assert_eq!(shown("friends@example.org"), "local carol");
    let Route::Local { detail, .. } = route("bob+a+b@example.org").route else { panic!() };
    assert_eq!(detail.as_deref(), Some("a+b"));
}

#[test]
fn the_trace_tells_the_lines() {
    let trace: Vec<_> =
        route("postmaster@example.org").trace.iter().map(ToString::to_string).collect();
    let expected = [
        "local-host-names:1: example.org is local",
        "aliases:1: postmaster is root@mx.example.org",
        "aliases:2: root is alice@mx.example.org",
    ];
    assert_eq!(trace, expected);
}

#[test]
fn lists_become_recipients_and_end() {
    let Route::List { members, .. } = route("team@example.org").route else { panic!() };
    let shown: Vec<_> = members.iter().map(ToString::to_string).collect();
    assert_eq!(shown, ["alice@mx.example.org", "bob@far.test", "friends@mx.example.org"]);
    // The list names itself: the second time it is the user.
    let itself: Address = "self@mx.example.org".parse().unwrap();
    let Route::List { members, .. } = route("self@mx.example.org").route else { panic!() };
    assert_eq!(members[0].to_string(), itself.to_string());
    let again = router().route(
        &itself,
        &ReversePath(None),
        std::slice::from_ref(&itself),
        Aliasing::Followed,
    );
    assert_eq!(again.route.to_string(), "local self");
}

#[test]
fn what_cannot_be_done_waits() {
    assert_eq!(shown("x@odd.test"), "4.3.0 (uucp:x is not yet supported)");
}

/// alias() in sendmail's alias.c asks for NoAlias; virtual users are the business of rulesets.
#[test]
fn a_message_without_aliases_follows_virtual_users_alone() {
    let table = "postmaster: bob\nowner-postmaster: bob\nroot: bob\nteam: bob, carl\nalice: bob\n";
    let aliases = Aliases::read("aliases", table.as_bytes()).unwrap().table;
    let virtuals = "info@example.org\talice\n";
    let virtusertable = Virtusertable::read("virtusertable", virtuals.as_bytes()).unwrap().table;
    let router = Router { aliases, virtusertable, ..router() };
    for (address, skipped, admitted) in [
        ("alice@example.org", "local alice", Admission::User("alice".into())),
        ("team@example.org", "local team", Admission::User("team".into())),
        ("alice+x@example.org", "local alice", Admission::User("alice".into())),
        ("info@example.org", "local alice", Admission::User("alice".into())),
        ("postmaster@example.org", "local root", Admission::Accept),
    ] {
        let address = &address.parse().unwrap();
        let way = |aliasing| router.route(address, &ReversePath(None), &[], aliasing);
        assert_eq!(way(Aliasing::Skipped).route.to_string(), skipped, "{address}");
        assert_ne!(way(Aliasing::Followed).route.to_string(), skipped, "{address}");
        let admission =
            router.admit(address, &ReversePath(None), Aliasing::Skipped, &mut Vec::new());
        assert_eq!(admission, admitted, "{address}");
    }
}

#[test]
fn circles_and_depth_are_bounded() {
    assert!(shown("round@mx.example.org").starts_with("5.4.6"));
    let from: Vec<Address> = (0..=routing::MAX_DEPTH)
        .map(|n| Address::new(&format!("l{n}"), "x.test").unwrap())
        .collect();
    let routed = router().route(
        &"deep1@example.org".parse().unwrap(),
        &ReversePath(None),
        &from,
        Aliasing::Followed,
    );
    assert!(routed.route.to_string().starts_with("5.4.6"));
    assert_eq!(shown("deep1@example.org"), "local deep3");
}

#[test]
fn other_domains_follow_mailertable_smarthost_and_dns() {
    assert_eq!(shown("x@inner.test"), "host [10.0.0.1]:2525");
    assert_eq!(shown("x@a.sub.test"), "local alice");
    assert_eq!(shown("x@gone.test"), "5.1.2 (moved away)");
    assert!(shown("x@null.test").starts_with("2.0.0"));
    assert_eq!(shown("x@Far.Test."), "mx far.test");
    assert_eq!(shown("x@[192.0.2.9]"), "host [192.0.2.9]");
    assert_eq!(shown("x@[IPv6:2001:DB8::9]"), "host [2001:db8::9]");
    let smarthost = Server { host: Host::Exact("smart.test".into()), port: 587 };
    let router = Router {
        relays: Relays { smarthost: Some(smarthost.into()), ..Relays::default() },
        ..router()
    };
    let shown = |address: &str| {
        router
            .route(&address.parse().unwrap(), &ReversePath(None), &[], Aliasing::Followed)
            .route
            .to_string()
    };
    assert_eq!(shown("x@far.test"), "host [smart.test]:587");
    assert_eq!(shown("x@inner.test"), "host [10.0.0.1]:2525");
    assert_eq!(shown("bob@example.org"), "local bob");
}

/// Members that are names alone have no virtual users: `@mx.example.org` must not catch them.
#[test]
fn members_of_lists_are_not_looked_up_as_virtual_users() {
    let text = "@mx.example.org\talice\n@example.org\tbob@far.test\n";
    let virtusertable = Virtusertable::read("virtusertable", text.as_bytes()).unwrap().table;
    let router = Router { virtusertable, ..router() };
    let from = ["team@example.org".parse().unwrap()];
    let shown = |address: &str| {
        router
            .route(&address.parse().unwrap(), &ReversePath(None), &from, Aliasing::Followed)
            .route
            .to_string()
    };
    assert_eq!(shown("carl@mx.example.org"), "local carl");
    assert_eq!(shown("carl@example.org"), "mx far.test");
}

/// Tables of a few names that lead to each other in all ways.
fn tangle() -> impl Strategy<Value = Router> {
    let name = || prop::sample::select(vec!["a", "b", "c", "d"]);
    let domain =
        || prop::sample::select(vec!["", "@v.test", "@w.test", "@mx.example.org", "@far.test"]);
    let target = || {
        (prop::bool::ANY, name(), domain()).prop_map(|(verbatim, name, domain)| {
            if verbatim && domain.is_empty() {
                format!("\\{name}")
            } else {
                format!("{name}{domain}")
            }
        })
    };
    let key = prop::sample::select(vec!["a", "b", "c", "+*", "++", ""]);
    let from = prop::sample::select(vec!["@v.test", "@w.test", "@mx.example.org"]);
    let virtual_users = prop::collection::vec((key, from, target()), 0..8);
    let aliases = prop::collection::vec((name(), prop::collection::vec(target(), 1..3)), 0..6);
    (virtual_users, aliases).prop_map(|(virtual_users, aliases)| {
        let lines = virtual_users.iter().map(|(key, from, to)| format!("{key}{from}\t{to}\n"));
        let virtual_users = lines.collect::<String>();
        let lines = aliases.iter().map(|(name, to)| format!("{name}: {}\n", to.join(", ")));
        let aliases = lines.collect::<String>();
        let mut router = router();
        let names = "v.test\n";
        router.local.names = Names::read("t", names.as_bytes()).unwrap().table;
        router.local.virtual_names = Names::read("t", "w.test\n".as_bytes()).unwrap().table;
        router.virtusertable = Virtusertable::read("t", virtual_users.as_bytes()).unwrap().table;
        router.aliases = Aliases::read("t", aliases.as_bytes()).unwrap().table;
        router
    })
}

proptest! {
    /// Every way ends, in a bounded number of steps, and what is admitted is what is delivered.
    #[test]
    fn every_way_ends(router in tangle(), name in "[a-d]([+][a-z]?)?", domain in "[vw][.]test|mx[.]example[.]org") {
        let address: Address = format!("{name}@{domain}").parse().unwrap();
        let routed = router.route(&address, &ReversePath(None), &[], Aliasing::Followed);
        prop_assert!(routed.trace.len() <= 3 * (routing::MAX_DEPTH + 2));
        let mut trace = Vec::new();
        let admission = router.admit(&address, &ReversePath(None), Aliasing::Followed, &mut trace);
        prop_assert_eq!(&routed.trace[..trace.len()], &trace[..]);
        match (admission, routed.route) {
            (Admission::User(user), Route::Local { user: same, .. }) => prop_assert_eq!(user, same),
            (Admission::User(_), other) => prop_assert!(false, "{}", other),
            (Admission::Refuse(_), Route::Refused(_) | Route::Over(_)) => {}
            (Admission::Refuse(_), other) => prop_assert!(false, "{}", other),
            (Admission::Leaves(hop, _), Route::Remote(same)) => prop_assert_eq!(hop, same),
            (Admission::Mailbox(..) | Admission::Leaves(..), other) => {
                prop_assert!(false, "{}", other);
            }
            (Admission::Accept, _) => {}
        }
    }

    /// Whatever a client writes before the `@`, the administrator says which domain it goes to.
    #[test]
    fn a_local_part_chooses_no_domain(local in "[ -~]{1,30}") {
        let text = "@v.test\t%1%3@example.net\n@w.test\t%1\n";
        let virtusertable = Virtusertable::read("t", text.as_bytes()).unwrap().table;
        let names = Names::read("t", "v.test\nw.test\n".as_bytes()).unwrap().table;
        let local_domains = LocalDomains { names, ..router().local };
        let router = Router { local: local_domains, virtusertable, ..Router::default() };
        for (domain, to) in [("v.test", "example.net"), ("w.test", "mx.example.org")] {
            let Ok(address) = Address::new(&local, domain) else { return Ok(()) };
            let routed = router.route(&address, &ReversePath(None), &[], Aliasing::Followed);
            if !matches!(routed.route, Route::Refused(_)) {
                prop_assert_eq!(routed.address.domain(), to);
            }
        }
    }
}
