use super::*;

fn table(text: &str) -> Access {
    let read = Access::read("access", text.as_bytes()).unwrap();
    assert_eq!(read.findings, []);
    read.table
}

/// What is found, `connect:10.1 REJECT`.
fn shown(hit: Option<Hit>) -> Option<String> {
    hit.map(|hit| format!("{} {hit}", hit.place.line))
}

#[test]
fn an_address_is_looked_up_from_its_end() {
    let table = table(
        "Connect:10.1.2.3 OK\nConnect:10.1 REJECT\n10 SKIP\nConnect:IPv6:2001:0DB8 RELAY\n\
         Connect:IPv6:2001:db8:0:0:1::2 REJECT\n",
    );
    for (address, expected) in [
        ("10.1.2.3", Some("1 connect:10.1.2.3 OK")),
        ("10.1.2.33", Some("2 connect:10.1 REJECT")),
        ("10.12.0.1", Some("3 10 SKIP")),
        ("101.2.3.4", None),
        ("2001:db8:ff::1", Some("4 connect:ipv6:2001:db8 RELAY")),
        ("2001:db80::1", None),
        ("2001:db8::1:0:0:2", Some("5 connect:ipv6:2001:db8:0:0:1:0:0:2 REJECT")),
    ] {
        let hit = table.address(Tag::Connect, address.parse().unwrap());
        assert_eq!(shown(hit).as_deref(), expected, "{address}");
    }
    let other = table.address(Tag::From, "10.1.2.3".parse().unwrap());
    assert_eq!(shown(other).as_deref(), Some("3 10 SKIP"));
}

#[test]
fn no_name_is_taken_for_an_address() {
    let table = table("Connect:10.1 RELAY\nConnect:[10.1] OK\nConnect:a.test REJECT\n");
    assert_eq!(table.domain(Tag::Connect, "10.1"), None);
    assert_eq!(table.domain(Tag::Connect, "x.10.1"), None);
    let literal = table.domain(Tag::Connect, "[10.1.7.7]");
    assert_eq!(shown(literal).as_deref(), Some("2 connect:[10.1] OK"));
    let below = table.domain(Tag::Connect, "b.a.test");
    assert_eq!(shown(below).as_deref(), Some("3 connect:a.test REJECT"));
}

#[test]
fn only_some_tables_ask_for_names() {
    for (text, asks) in [
        ("Connect:a.test OK\n", true),
        ("Connect:[10.1] OK\n", true),
        ("a.test OK\n", true),
        (
            "From:a.test OK\nTo:a.test OK\nFrom:x@ OK\nx@a.test OK\nConnect:10.1 OK\n10.2 OK\n",
            false,
        ),
    ] {
        assert_eq!(table(text).asks_for_names(), asks, "{text}");
    }
}

#[test]
fn bad_lines_are_told_and_skipped() {
    for (line, text) in [
        ("From:a.test", "an entry is `Tag:key  value`"),
        ("From: OK", "after From: a host, network or address is missing"),
        ("Form:a.test OK", "Form: is no tag"),
        ("Connect:x@a.test OK", "Connect: takes hosts and networks"),
        ("Connect:x@ OK", "Connect: takes hosts and networks"),
        ("From:10.1 OK", "From: and To: take domains and addresses"),
        ("To:IPv6:2001:db8 OK", "From: and To: take domains and addresses"),
        ("Connect:10.1. OK", "is not a network"),
        ("Connect:1.2.3.4.5 OK", "is not a network"),
        ("Connect:1.2.3.400 OK", "is not a network"),
        ("Connect:10.0.0.0/8 OK", "write a network by its first numbers"),
        ("Connect:IPv6:2001:db8:: OK", "for a network leave out the ::"),
        ("Connect:IPv6:2001:dbxx OK", "is not an IPv6 network"),
        ("Connect:IPv6:2001:+db8 OK", "is not an IPv6 network"),
        ("Connect:IPv6:2001:00db8 OK", "is not an IPv6 network"),
        ("Connect:IPv6:1:2:3:4:5:6:7:8:9 OK", "is not an IPv6 network"),
        ("Connect:[a.test] OK", "an address is missing"),
        ("From:.a.test OK", "write a.test, which includes what is below it"),
        ("From:a..test OK", "is not a host"),
        ("From:@a.test OK", "is no address"),
        ("From:x@a..test OK", "is no address"),
        ("From:x@a.test SKIP", "SKIP is for hosts and networks"),
        ("From:a.test REJCT", "is not understood"),
        ("From:a.test 250 fine", "is not understood"),
        ("From:a.test 5500 x", "is not understood"),
        ("From:first.test REJECT", "is defined in line 1 already"),
        ("From:a.test QUARANTINE:", "a reason of at most 500 bytes is wanted"),
        ("ClientRate:a.test 5", "take networks, or nothing for all clients"),
        ("ClientConn:x@a.test 5", "take networks, or nothing for all clients"),
        ("ClientConn: many", "write a whole number"),
        ("ClientRate:10.1 -1", "write a whole number"),
        ("ClientRate:10.1 +1", "write a whole number"),
        ("ClientRate:10.1 5000000000", "write a whole number"),
        ("GreetPause:x@a.test 5", "GreetPause: takes hosts and networks"),
        ("GreetPause:a.test \"\"", "write a whole number"),
        ("Spam:10.1 FRIEND", "Spam: takes domains and addresses"),
        ("Spam:x@ OK", "write FRIEND or HATER"),
        ("Compat:a@b REJECT", "write Compat:sender<@>recipient"),
        ("Compat:a<@>c@d DISCARD", "write Compat:sender<@>recipient"),
        ("Compat:a@b<@>c@d REJECT", "write DISCARD, TEMP:450 or ERROR:550"),
        ("Compat:a@b<@>c@d TEMP:550", "write DISCARD, TEMP:450 or ERROR:550"),
        ("Compat:a@b<@>c@d ERROR:450", "write DISCARD, TEMP:450 or ERROR:550"),
        ("Try_TLS:a.test NO", "is not yet supported, the line is skipped: TLS is not tried"),
        ("QGRP:a.test x", "is not yet supported, the line is skipped: there is one queue"),
        ("AuthInfo:a.test x", "is not yet supported, the line is skipped: no password"),
        ("Clt_Features:10.1 M", "is not yet supported, the line is skipped"),
        ("Srv_Features:x@a.test P", "Srv_Features: takes hosts and networks"),
        ("Srv_Features:x@ P", "Srv_Features: takes hosts and networks"),
        ("Srv_Features: P x", "EXPN is offered to nobody"),
        ("Srv_Features:10.1 PD", "is not understood: write letters"),
    ] {
        let text_of_file = format!("From:first.test OK\n{line}\nTo:last.test OK\n");
        let read = Access::read("access", text_of_file.as_bytes()).unwrap();
        let [finding] = read.findings.as_slice() else { panic!("{line}: {:?}", read.findings) };
        assert!(finding.text.contains(text), "{line}: {finding}");
        assert_eq!((finding.line, finding.unsupported), (2, false), "{line}");
        let last = read.table.domain(Tag::To, "last.test");
        assert_eq!(shown(last).as_deref(), Some("3 to:last.test OK"));
    }
}

#[test]
fn what_cannot_be_done_yet_is_refused_by_its_line() {
    for line in [
        "TLS_Srv:a.test VERIFY",
        "TLS_Clt: ENCR:112",
        "tls_rcpt:a.test VERIFY",
        "Srv_Features:10 P l",
    ] {
        let read = Access::read("access", line.as_bytes()).unwrap();
        let [finding] = read.findings.as_slice() else { panic!("{line}: {:?}", read.findings) };
        assert!(finding.unsupported && finding.text.contains("not yet supported"), "{finding}");
    }
}

#[test]
fn values_are_read_in_any_case_and_shown() {
    let table = table(
        "From:g discard\nFrom:h Quarantine:\"odd one\"\nFrom:a ok\nFrom:b Relay\nFrom:c \"reject\"\nFrom:d skip\nFrom:e Error:5.7.9:551 no\n\
         From:f \"550 5.7.1 no\"\n",
    );
    for (domain, expected) in [
        ("g", "1 from:g DISCARD"),
        ("h", "2 from:h QUARANTINE:odd one"),
        ("a", "3 from:a OK"),
        ("b", "4 from:b RELAY"),
        ("c", "5 from:c REJECT"),
        ("d", "6 from:d SKIP"),
        ("e", "7 from:e ERROR:5.7.9:551 no"),
        ("f", "8 from:f ERROR:5.7.1:550 no"),
    ] {
        assert_eq!(shown(table.domain(Tag::From, domain)).as_deref(), Some(expected));
    }
}

#[test]
fn a_table_has_friends_or_haters() {
    let text = "Spam:a.test FRIEND\nSpam:b.test HATER\nSpam:c.test friend\n";
    let read = Access::read("access", text.as_bytes()).unwrap();
    let [finding] = read.findings.as_slice() else { panic!("{:?}", read.findings) };
    assert!(finding.line == 2 && finding.text.contains("there is FRIEND above"), "{finding}");
    assert_eq!(read.table.wish(), Some(Wish::Friend));
    assert_eq!(read.table.wish_of("x", "b.test", false), None);
    assert!(read.table.wish_of("x", "c.test", false).is_some());
    assert_eq!(table("From:a.test OK\n").wish(), None);
}

#[test]
fn only_some_tables_greet_by_name() {
    for (text, greets) in [
        ("GreetPause:a.test 5\n", true),
        ("GreetPause:[10.1] 5\n", true),
        ("GreetPause:10.1 5\n", false),
        ("GreetPause: 5\n", false),
        ("Connect:a.test OK\na.test OK\n", false),
        ("\u{1e}regex access\nGreetPause:/^a/ 5\n", true),
        ("\u{1e}regex access\nConnect:/^a/ OK\n/^a/ OK\n", false),
        ("\u{1e}regex access\nGreetPause:/^a/ 5\nConnect:/^a/ OK\n", true),
    ] {
        assert_eq!(table(text).greets_by_name(), greets, "{text}");
    }
}

#[test]
fn a_key_is_shown_as_it_is_written() {
    let table = table("From:A.test \"reject\"\nConnect:10.1 OK\n");
    let raw = |key| table.raw(key).map(|(text, place)| (text, place.line));
    assert_eq!(raw("from:a.test"), Some(("\"reject\"", 1)));
    assert_eq!(raw("connect:10.1"), Some(("OK", 2)));
    assert_eq!(raw("from:b.test"), None);
}

#[test]
fn the_first_line_about_what_there_is_not_yet_is_known() {
    let first = |text: &str| table(text).early().map(|place| place.line);
    assert_eq!(first("From:a.test OK\nSrv_Features:a.test P\n"), None);
    assert_eq!(first("Srv_Features:a.test P\nSrv_Features:10.1 P S\nSrv_Features: A\n"), Some(2));
}

#[test]
fn names_matter_before_the_greeting_where_a_line_has_one() {
    for (text, matters) in [
        ("Srv_Features:10.1 P\nSrv_Features: D\nConnect:a.test OK\n", false),
        ("Srv_Features:a.test P\n", true),
        ("Srv_Features:[10.1] P\n", true),
        ("GreetPause:a.test 5\n", true),
        ("GreetPause:10.1 5\nClientRate: 5\n", false),
    ] {
        assert_eq!(table(text).greets_by_name(), matters, "{text}");
    }
}
