//! Whatever stands in a table file, reading it ends, and what was understood is found.

#![cfg(test)]

use proptest::prelude::*;
use tables::{
    Access, Aliases, Authinfo, Domaintable, Mailertable, Names, RelayDomains, Senderrelay, Tag,
    Target, TrustedUsers, Users, Virtusertable, members,
};

/// Lines that come near what is understood.
fn lines() -> impl Strategy<Value = String> {
    let words = [
        "a",
        "B",
        "a.test",
        ".a.test",
        ":",
        ",",
        "\"",
        "\\",
        "@",
        "#",
        "|x",
        "/",
        "%1",
        "<",
        ">",
        "(",
        ")",
        ":include:",
    ];
    let marks = [
        " ",
        "\t",
        "\n",
        "\r\n",
        "\0",
        "error:",
        "local:",
        "smtp:",
        "[",
        "]",
        "4.1.1:",
        "From:",
        "IPv6:",
        "10.1",
        "OK",
        "AuthInfo:",
        "\"U:",
        "\"P=",
    ];
    let piece = prop::sample::select([words.as_slice(), &marks].concat());
    prop::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat())
}

fn read_all(bytes: &[u8]) {
    Access::read("t", bytes).unwrap();
    RelayDomains::read("t", bytes).unwrap();
    Aliases::read("t", bytes).unwrap();
    Mailertable::read("t", bytes).unwrap();
    Names::read("t", bytes).unwrap();
    Virtusertable::read("t", bytes).unwrap();
    Users::read("t", bytes).unwrap();
    Authinfo::read("t", bytes).unwrap();
    Domaintable::read("t", bytes).unwrap();
    Senderrelay::read("t", bytes).unwrap();
    TrustedUsers::read("t", bytes).unwrap();
    read_members(&String::from_utf8_lossy(bytes));
}

/// What a list names can be done, and stands in a line of it.
fn read_members(text: &str) {
    for (line, member) in members(text) {
        assert!((1..=text.lines().count()).contains(&line));
        if let Ok(Target::Special(special)) = member {
            assert_eq!(special.check(), Ok(()));
        }
    }
}

proptest! {
    #[test]
    fn any_bytes_are_read(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        read_all(&bytes);
    }

    #[test]
    fn near_misses_are_read_and_told_by_their_lines(text in lines()) {
        read_all(text.as_bytes());
        let read = Mailertable::read("t", text.as_bytes()).unwrap();
        let last = text.lines().count();
        for finding in &read.findings {
            prop_assert!((1..=last).contains(&finding.line));
        }
        if let Some(entry) = read.table.find("x.a.test") {
            prop_assert!((1..=last).contains(&entry.place.line));
        }
        let read = Virtusertable::read("t", text.as_bytes()).unwrap();
        if let Some(entry) = read.table.find(&"a+b@a.test".parse().unwrap(), "+") {
            prop_assert!((1..=last).contains(&entry.place.line));
        }
    }

    /// Whatever else is in the table, the most specific key of a host is its own.
    #[test]
    fn the_nearest_key_wins(
        name in "[a-z]{1,5}(\\.[a-z]{1,5}){0,3}",
        others in prop::collection::vec("[a-z]{1,5}", 0..20),
    ) {
        let others = others.iter().filter(|other| **other != name);
        let text: String = others.map(|other| format!("From:{other} REJECT\n")).collect();
        let text = format!("{text}From:{name} OK\n");
        let table = Access::read("t", text.as_bytes()).unwrap().table;
        let below = format!("x.{name}");
        for domain in [&name, &below] {
            let hit = table.domain(Tag::From, domain).unwrap();
            prop_assert_eq!(hit.key, format!("from:{name}"));
        }
    }

    #[test]
    fn what_is_written_is_found(
        name in "[A-Za-z0-9.+-]{1,20}",
        targets in prop::collection::vec("[a-z0-9]{1,10}", 1..5),
        fold in any::<bool>(),
    ) {
        let separator = if fold { ",\n\t" } else { ", " };
        let text = format!("# x\n{name}: {}\n", targets.join(separator));
        let read = Aliases::read("t", text.as_bytes()).unwrap();
        prop_assert_eq!(&read.findings, &[]);
        let alias = read.table.get(&name.to_uppercase()).unwrap();
        let expected: Vec<_> = targets.into_iter().map(Target::Local).collect();
        prop_assert_eq!(&alias.targets, &expected);
        prop_assert_eq!(alias.place.line, 2);
    }
}
