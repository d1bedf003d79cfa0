//! Addresses and where they go, with the lines that say so.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "test code: what goes wrong is to stop the test"
)]

use envelope::{Address, Host, NextHop};
use routing::{Route, Routed, Router};
use tables::{Aliases, LocalDomains, Mailertable, Names};

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
        local: LocalDomains { hostname: "mx.example.org".into(), names, addresses: Vec::new() },
        aliases: Aliases::read("aliases", ALIASES.as_bytes()).unwrap().table,
        mailertable: Mailertable::read("mailertable", mailertable.as_bytes()).unwrap().table,
        smarthost: None,
        detail: "+".into(),
    }
}

fn route(address: &str) -> Routed {
    router().route(&address.parse().unwrap(), &[])
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
    let Route::List(members) = route("team@example.org").route else { panic!() };
    let shown: Vec<_> = members.iter().map(|member| member.address.to_string()).collect();
    assert_eq!(shown, ["alice@mx.example.org", "bob@far.test", "friends@mx.example.org"]);
    // The list names itself: the second time it is the user.
    let itself: Address = "self@mx.example.org".parse().unwrap();
    let Route::List(members) = router().route(&itself, &[]).route else { panic!() };
    let again = router().route(&members[0].address, &[itself]);
    assert_eq!(again.route.to_string(), "local self");
}

#[test]
fn what_cannot_be_done_waits() {
    assert_eq!(shown("program@example.org"), "4.3.0 (|/bin/x is not yet supported)");
    assert_eq!(shown("x@odd.test"), "4.3.0 (uucp:x is not yet supported)");
}

#[test]
fn circles_and_depth_are_bounded() {
    assert!(shown("round@mx.example.org").starts_with("5.4.6"));
    let from: Vec<Address> = (0..=routing::MAX_DEPTH)
        .map(|n| Address::new(&format!("l{n}"), "x.test").unwrap())
        .collect();
    let routed = router().route(&"deep1@example.org".parse().unwrap(), &from);
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
    let smarthost = NextHop { host: Host::Exact("smart.test".into()), port: 587 };
    let router = Router { smarthost: Some(smarthost), ..router() };
    let shown = |address: &str| router.route(&address.parse().unwrap(), &[]).route.to_string();
    assert_eq!(shown("x@far.test"), "host [smart.test]:587");
    assert_eq!(shown("x@inner.test"), "host [10.0.0.1]:2525");
    assert_eq!(shown("bob@example.org"), "local bob");
}
