//! What is told, and what is asked for, where no reply depends on it.

use envelope::{Extension, Extensions};

use super::*;
use crate::{Account, Terms};

#[test]
fn terms_are_told_in_words() {
    let two = Extensions::NONE.with(Extension::Dsn).with(Extension::Pipelining);
    for (rate, sessions, pause, withheld, told) in [
        (None, None, None, Extensions::NONE, "greeted at once"),
        (None, None, None, two, "greeted at once; without PIPELINING DSN"),
        (Some(4), None, Some(0), Extensions::NONE, "4 connections a minute; greeted at once"),
        (
            Some(0),
            Some(7),
            Some(500),
            Extensions::NONE,
            "any connections a minute; 7 sessions at a time; greeted after 500 ms",
        ),
    ] {
        assert_eq!(Terms { rate, sessions, pause, withheld }.to_string(), told);
    }
}

#[test]
fn only_who_is_unknown_is_caught() {
    assert_eq!(Account::Unknown.caught(true), Account::Caught);
    assert_eq!(Account::Unknown.caught(false), Account::Unknown);
    for account in [Account::Exists, Account::Unavailable] {
        assert_eq!(account.caught(true), account);
    }
}

#[test]
fn a_name_of_this_host_shows_its_alias_and_who_is_spared() {
    let text = "Spam:staff@\tFRIEND\n";
    let access = Access::read("access", text.as_bytes()).unwrap().table;
    let policy = Policy { access, ..policy() };
    let trace = |to: &str| decide(&policy, &from_nobody(stranger()), to).1;
    let own = "the domain is this host's own name or address";
    let alias = "aliases:2: staff is alice@mx.example.org, bob@far.test";
    let staff = trace("staff@mx.example.org");
    assert_eq!(
        (staff.first().unwrap(), staff.last().unwrap()),
        (&own.to_owned(), &alias.to_owned())
    );
    assert!(staff.contains(&Step::Spared.to_string()), "{staff:?}");
    let list = trace("list+dev@mx.example.org");
    assert!(!list.contains(&Step::Spared.to_string()), "{list:?}");
}
