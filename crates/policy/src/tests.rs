use std::io;
use std::net::IpAddr;

use proptest::prelude::*;
use tables::{Domaintable, Reader, Source};

use super::*;

mod cases;
mod words;

const VIRTUAL: &str = "info@virt.test alice\nold@virt.test error:5.1.6:550 moved\ngone@virt.test bob\n\
                       far@virt.test x@far.test\nnever@far.test alice\n";
const MAILERS: &str = "closed.test error:4.3.2:450 closed\n";

/// Tables by their names.
struct Tables<'a>(&'a [(&'a str, &'a str)]);

impl Source for Tables<'_> {
    type Error = io::Error;

    fn table<T: Default>(&self, name: &str, read: Reader<T>) -> io::Result<T> {
        let text = self.0.iter().find(|(table, _)| *table == name).map_or("", |(_, text)| *text);
        let read = read(name, &mut text.as_bytes())?;
        assert_eq!(read.findings, []);
        Ok(read.table)
    }
}

fn policy() -> Policy {
    let tables = [
        ("local-host-names", "# ours\nexample.org\n"),
        ("virtuser-domains", "virt.test\n"),
        ("virtusertable", VIRTUAL),
        ("mailertable", MAILERS),
        ("aliases", "root: alice\nstaff: alice, bob@far.test\nlist+dev: bob\n"),
    ];
    read(&tables)
}

fn read(tables: &[(&str, &str)]) -> Policy {
    let routing = routing::Settings {
        hostname: "mx.example.org".into(),
        addresses: vec!["192.0.2.1".parse().unwrap()],
        detail: "+".into(),
        ..routing::Settings::default()
    };
    let settings = Settings {
        networks: vec!["10.0.0.0/8".parse().unwrap(), "2001:db8::/32".parse().unwrap()],
        rules: vec![Rule::Access],
        ..Settings::default()
    };
    Policy::read(routing, settings, &Tables(tables)).unwrap()
}

#[test]
fn only_what_asks_for_names_has_them_looked_up() {
    for (table, text, greets, asks) in [
        ("access", "Connect:10.1 OK\nGreetPause:10.1 5\n", false, false),
        ("access", "GreetPause:a.test 5\n", true, false),
        ("access", "Connect:a.test OK\n", false, true),
        ("relay-domains", "a.test\n", false, true),
        ("relay-domains", "10.1\n", false, false),
    ] {
        let policy = read(&[(table, text)]);
        assert_eq!((policy.greets_by_name(), policy.asks_for_names()), (greets, asks), "{text}");
    }
}

#[test]
fn the_dns_is_asked_about_the_new_name_of_a_domain_where_no_line_has_it() {
    let policy = Policy {
        rules: vec![Rule::Access, Rule::UnresolvableSender],
        ..read(&[("domaintable", "old.test new.test\n"), ("access", "From:joe@new.test OK\n")])
    };
    let asked = |from: &str| {
        let reverse_path = ReversePath(Some(from.parse().unwrap()));
        let asked = policy.asks_for_domain(&Sending::plain(stranger(), &reverse_path));
        asked.map(|address| address.to_string())
    };
    assert_eq!(asked("ann@old.test").as_deref(), Some("ann@new.test"));
    assert_eq!(asked("joe@old.test"), None);
}

fn stranger() -> Client<'static> {
    network("203.0.113.9")
}

fn network(address: &str) -> Client<'static> {
    let address = address.parse::<IpAddr>().unwrap();
    Client::Network { address, name: &ClientName::NotAsked }
}

fn rule(client: Client<'_>, recipient: &str) -> (Verdict, Vec<String>) {
    decide(&policy(), &from_nobody(client), recipient)
}

fn from_nobody(client: Client<'_>) -> Sending<'_> {
    Sending::plain(client, &ReversePath::NULL)
}

/// `alice` is the only user.
fn decide(policy: &Policy, sending: &Sending<'_>, recipient: &str) -> (Verdict, Vec<String>) {
    let recipient = recipient.parse().unwrap();
    let mut trace = Vec::new();
    let verdict = match policy.recipient(sending, &recipient, &mut trace) {
        Ruling::Decided(verdict) => verdict,
        Ruling::Depends { user, then } => {
            let account = if user == "alice" { Account::Exists } else { Account::Unknown };
            conclude(&recipient, account, then, &mut trace)
        }
        Ruling::Asks(asked) => panic!("{asked:?}"),
    };
    (verdict, trace.iter().map(ToString::to_string).collect())
}

fn code(client: Client<'_>, recipient: &str) -> u16 {
    match rule(client, recipient).0 {
        Verdict::Accept(_) => 250,
        Verdict::Refuse { code, .. } => code,
    }
}

#[test]
fn who_is_local_and_known_is_accepted_from_anybody() {
    for known in [
        "alice@example.org",
        "Alice+lists@EXAMPLE.org.",
        "staff@mx.example.org",
        "STAFF+x@localhost",
        "list+dev@example.org",
        "alice@[192.0.2.1]",
        "postmaster@example.org",
        "Postmaster@[192.0.2.1]",
    ] {
        assert_eq!(code(stranger(), known), 250, "{known}");
    }
}

#[test]
fn who_is_local_and_unknown_is_refused_whoever_asks() {
    for unknown in [
        "bob@example.org",
        "list@example.org",
        "alice%far.test@example.org",
        "far.test!alice@example.org",
        "\"alice@far.test\"@example.org",
        "+alice@example.org",
    ] {
        for client in [stranger(), network("10.1.2.3"), Client::User] {
            assert_eq!(code(client, unknown), 550, "{unknown}");
        }
    }
    let (verdict, _) = rule(stranger(), "bob@example.org");
    let text = "5.1.1 <bob@example.org>... User unknown".to_owned();
    assert_eq!(verdict, Verdict::Refuse { code: 550, text });
}

#[test]
fn only_those_who_may_relay_do() {
    for may in
        [network("10.1.2.3"), network("::ffff:10.1.2.3"), network("2001:db8::5"), Client::User]
    {
        assert_eq!(code(may, "x@far.test"), 250, "{may:?}");
        assert_eq!(code(may, "x@[198.51.100.1]"), 250, "{may:?}");
    }
    for may_not in [stranger(), network("::1"), network("11.0.0.1")] {
        for recipient in ["x@far.test", "postmaster@far.test", "x@a.example.org", "x@[192.0.2.2]"] {
            assert_eq!(code(may_not, recipient), 550, "{may_not:?} {recipient}");
        }
    }
    let (verdict, _) = rule(stranger(), "x@far.test");
    let text = "5.7.1 <x@far.test>... Relaying denied".to_owned();
    assert_eq!(verdict, Verdict::Refuse { code: 550, text });
}

#[test]
fn virtual_users_are_known_by_their_table() {
    for (recipient, expected) in [
        ("info@virt.test", 250),
        ("INFO@Virt.test", 250),
        ("far@virt.test", 250),
        ("postmaster@virt.test", 250),
        ("gone@virt.test", 550),
        ("alice@virt.test", 550),
        ("never@far.test", 550),
    ] {
        assert_eq!(code(stranger(), recipient), expected, "{recipient}");
    }
    let (verdict, trace) = rule(stranger(), "old@virt.test");
    let text = "5.1.6 <old@virt.test>... moved".to_owned();
    assert_eq!(verdict, Verdict::Refuse { code: 550, text });
    let lines =
        ["virtuser-domains:1: the domain is local", "virtusertable:2: old@virt.test is refused"];
    assert_eq!(trace, lines);
}

/// Who may not relay does not learn what the mailertable says.
#[test]
fn what_the_mailertable_refuses_is_told_to_who_may_relay() {
    assert_eq!(code(network("10.1.2.3"), "x@closed.test"), 450);
    assert_eq!(code(Client::User, "x@closed.test"), 450);
    assert_eq!(code(stranger(), "x@closed.test"), 550);
}

#[test]
fn users_that_cannot_be_looked_up_are_deferred() {
    let recipient = "alice@example.org".parse().unwrap();
    let verdict = conclude(&recipient, Account::Unavailable, Disposition::Deliver, &mut Vec::new());
    assert!(matches!(verdict, Verdict::Refuse { code: 451, text } if text.starts_with("4.3.0 ")));
}

#[test]
fn the_trace_tells_the_lines() {
    for (client, recipient, trace) in [
        (
            stranger(),
            "staff@example.org",
            [
                "local-host-names:2: the domain is local",
                "aliases:2: staff is alice@mx.example.org, bob@far.test",
            ]
            .as_slice(),
        ),
        (network("10.0.0.1"), "x@far.test", &["relay.networks: 10.0.0.0/8 may relay"]),
        (
            stranger(),
            "bob@mx.example.org",
            &[
                "the domain is this host's own name or address",
                "there is no such user and no alias",
            ],
        ),
        (
            stranger(),
            "x@far.test",
            &["the domain is not local, and nothing relays for the client or to it"],
        ),
    ] {
        assert_eq!(rule(client, recipient).1, trace, "{recipient}");
    }
}

proptest! {
    /// Whatever the local part says, a stranger reaches no other system.
    #[test]
    fn nothing_in_a_local_part_relays(local in "[ -~]{1,40}") {
        let Ok(recipient) = Address::new(&local, "far.test") else { return Ok(()) };
        let ruling = policy().recipient(&from_nobody(stranger()), &recipient, &mut Vec::new());
        prop_assert_eq!(ruling, Ruling::Decided(Verdict::relaying_denied(&recipient)));
    }

    /// At a local domain, the name that is asked for is a part of the local part.
    #[test]
    fn a_user_name_comes_from_the_local_part(local in "\\PC{1,40}") {
        let Ok(recipient) = Address::new(&local, "example.org") else { return Ok(()) };
        match policy().recipient(&from_nobody(stranger()), &recipient, &mut Vec::new()) {
            Ruling::Depends { user, .. } => {
                prop_assert!(!user.is_empty() && local.to_lowercase().starts_with(&user));
            }
            Ruling::Asks(asked) => prop_assert!(false, "{:?}", asked),
            Ruling::Decided(verdict) => {
                prop_assert_eq!(verdict, Verdict::Accept(Disposition::Deliver));
            }
        }
    }
}
