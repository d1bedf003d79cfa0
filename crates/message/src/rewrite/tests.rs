use proptest::prelude::*;

use super::*;

/// What is at `in.test`, or nowhere, goes to `out.test`; `joe` becomes `joe.smith`.
fn replace(written: Written<'_>) -> Option<Address> {
    let ours = written.domain.is_none_or(|domain| domain == "in.test");
    let local = if written.local == "joe" { "joe.smith" } else { written.local };
    ours.then(|| Address::new(local, "out.test").ok()).flatten()
}

fn header(content: &str) -> Option<String> {
    let rewritten = rewrite_header(content.as_bytes(), |_, written| replace(written));
    rewritten.map(|text| String::from_utf8(text).unwrap())
}

#[track_caller]
fn assert_value(value: &str, expected: &str) {
    let field = |value: &str| format!("Subject: x\r\nFrom:{value}\r\nTo: other@x.test\r\n");
    let rewritten = header(&format!("{}\r\nFrom: joe\r\n", field(value)));
    assert_eq!(rewritten, Some(field(expected)));
}

#[test]
fn every_form_of_an_address() {
    for (value, expected) in [
        (" alice@in.test", " alice@out.test"),
        ("alice@in.test", "alice@out.test"),
        (" alice", " alice@out.test"),
        (" <alice>", " <alice@out.test>"),
        (" alice (Alice, the one)", " alice@out.test (Alice, the one)"),
        (" joe@in.test", " joe.smith@out.test"),
        (" (a) joe (b) @ (c) in.test (d)", " (a) joe.smith (b) @ (c) out.test (d)"),
        (" Alice Smith <alice@in.test>", " Alice Smith <alice@out.test>"),
        (
            " \"Smith, Alice <x@in.test>\" <alice@in.test>",
            " \"Smith, Alice <x@in.test>\" <alice@out.test>",
        ),
        (" \"a \\\" b\" <a@in.test>", " \"a \\\" b\" <a@out.test>"),
        (" \"a b\"@in.test", " \"a b\"@out.test"),
        (" \"alice\"@in.test", " \"alice\"@out.test"),
        (" \"joe\"@in.test", " joe.smith@out.test"),
        (" =?utf-8?Q?J=C3=B6rg?= <j@in.test>", " =?utf-8?Q?J=C3=B6rg?= <j@out.test>"),
        (" J\u{f6}rg <j\u{f6}rg@in.test>", " J\u{f6}rg <j\u{f6}rg@out.test>"),
        (" a@in.test, b@x.test,, c", " a@out.test, b@x.test,, c@out.test"),
        (
            " a@in.test,\r\n\tB <b@in.test>\r\n ,\r\n c@x.test",
            " a@out.test,\r\n\tB <b@out.test>\r\n ,\r\n c@x.test",
        ),
        (" team: a@in.test, b;, c", " team: a@out.test, b@out.test;, c@out.test"),
        (" team:;, c", " team:;, c@out.test"),
        (" <@a.test,@in.test:b@in.test>", " <@a.test,@in.test:b@out.test>"),
        (" <>, a", " <>, a@out.test"),
        (" a@[192.0.2.1], b", " a@[192.0.2.1], b@out.test"),
        (" (nested (deep) \\) x) a", " (nested (deep) \\) x) a@out.test"),
    ] {
        assert_value(value, expected);
    }
}

#[test]
fn what_is_not_understood_stays() {
    for value in [
        "Alice Smith",
        "a@in.test b@in.test",
        "Alice Smith alice@in.test",
        "a@in.test, \"open",
        "a@in.test (open",
        "a@in.test)",
        "<a@in.test",
        "<a@in.test> x",
        "a@in.test>",
        "a@b@in.test",
        "a@in.test; b@in.test",
        "team: a@in.test",
        "a: b: c@in.test;",
        "a . b@in.test",
        "a@in (x) . test",
        "a@\"in.test\"",
        "@in.test",
        "a@in.test, =?utf-8?Q?a?=",
        "<@in.test>",
        "\\a@in.test",
        "a@in.test [x]",
        "a\u{7f}@in.test",
        "",
        "other@x.test",
        "team:;",
    ] {
        assert_eq!(header(&format!("From: {value}\r\n\r\n")), None, "{value}");
    }
    let bad = b"From: a\xff@in.test, b@in.test\r\n";
    assert_eq!(rewrite_header(bad, |_, written| replace(written)), None);
    // A field that is bad costs the others nothing.
    let mixed = header("From: a b\r\nSender: c\r\n\r\n");
    assert_eq!(mixed.as_deref(), Some("From: a b\r\nSender: c@out.test\r\n"));
}

#[test]
fn only_fields_of_addresses_and_each_for_its_party() {
    let mut seen = Vec::new();
    let content = "Received: from a@in.test\r\nresent-FROM : a\r\nCc: b\r\nMessage-ID: <c@in.test>\r\n\
                   Errors-To: d\r\nApparently-To: e\r\n\r\nFrom: body\r\n";
    let rewritten = rewrite_header(content.as_bytes(), |party, written| {
        seen.push((party, written.local.to_owned()));
        None
    });
    assert_eq!(rewritten, None);
    let expected = [
        (Party::Sender, "a"),
        (Party::Recipient, "b"),
        (Party::Sender, "d"),
        (Party::Recipient, "e"),
    ];
    assert_eq!(seen, expected.map(|(party, local)| (party, local.to_owned())));
}

#[test]
fn a_line_that_grew_too_long_is_folded() {
    let list = |domain: &str| vec![format!("user@{domain}"); 80].join(", ");
    let text = header(&format!("To: {}\r\n\r\n", list("in.test"))).unwrap();
    assert!(text.lines().count() == 2 && text.lines().all(|line| line.len() <= MAX_LINE), "{text}");
    assert_eq!(text.replace("\r\n ", " "), format!("To: {}\r\n", list("out.test")));
    // It was so long before.
    let same = rewrite_header(format!("To: {}\r\n", list("in.test")).as_bytes(), |_, written| {
        Address::new(written.local, "ex.test").ok()
    });
    assert_eq!(same, Some(format!("To: {}\r\n", list("ex.test")).into_bytes()));
    // There is no place for it.
    let long = "x".repeat(MAX_LINE);
    assert_eq!(
        header(&format!("From:({long})a\r\n")),
        Some(format!("From:({long})a@out.test\r\n"))
    );
}

#[test]
fn the_header_of_any_content() {
    assert_eq!(header("From: a"), Some("From: a@out.test".to_owned()));
    assert_eq!(header("From: a\n\nb"), Some("From: a@out.test\n".to_owned()));
    assert_eq!(header("no header\r\n"), None);
    assert_eq!(header(""), None);
}

#[test]
fn addresses_are_read_in_order() {
    let mut seen = Vec::new();
    let value = "A <\"a b\"@x.test>, g: c;";
    let take = |written: Written<'_>| seen.push(format!("{} {:?}", written.local, written.domain));
    assert_eq!(written_addresses(value.as_bytes(), take), Ok(()));
    assert_eq!(seen, ["a b Some(\"x.test\")", "c None"]);
    assert_eq!(written_addresses(b"a b", |_| ()), Err(Unreadable));
}

#[test]
fn names_get_the_domain_of_the_host() {
    let content = b"From: root (Cron)\r\nTo: a@localhost, B <b>, x!y, c%d, e@x.test\r\nCc: a b\r\n\r\nTo: f\r\n";
    let expected = "From: root@here.test (Cron)\r\nTo: a@here.test, B <b@here.test>, x!y, c%d, e@x.test\r\nCc: a b\r\n";
    assert_eq!(qualify_header(content, "here.test"), Some(expected.as_bytes().to_vec()));
    assert_eq!(qualify_header(expected.as_bytes(), "here.test"), None);
}

#[test]
fn content_is_the_same_in_pieces() {
    let content =
        b"Received: x\r\n y\r\nFrom: a\r\nTo:\r\n b,\r\n\tc@in.test\r\nX: y\r\n\r\nTo: d\r\n";
    for content in [&content[..], &content[..content.len() - 9], b"From: a\r\nno field", b"From: a"]
    {
        let text = rewrite_header(content, |_, written| replace(written));
        for length in 1..=content.len() {
            let piece = |offset: u64| {
                let rest = &content[usize::try_from(offset).unwrap()..];
                Ok::<_, Unreadable>(Cow::Borrowed(&rest[..length.min(rest.len())]))
            };
            let new = rewrite_content(piece, |_, written| replace(written)).unwrap().unwrap();
            assert_eq!(Some(&new.text), text.as_ref(), "{length}");
            assert_eq!(new.replaces, end_of_header(content) as u64);
        }
    }
}

#[test]
fn a_field_that_may_go_on_is_not_whole() {
    for (beginning, whole) in [
        ("A: b\r\nC: d\r\n", "A: b\r\n"),
        ("A: b\r\nC: d", "A: b\r\n"),
        ("A: b\r\nC: d\r\n\r\n", "A: b\r\nC: d\r\n"),
        ("A: b\r\nC: d\r\nbody", "A: b\r\nC: d\r\n"),
        ("A: b\r\n", ""),
        ("body", ""),
        ("", ""),
    ] {
        assert_eq!(whole_fields(beginning.as_bytes()), whole.as_bytes(), "{beginning:?}");
    }
}

proptest! {
    #[test]
    fn any_bytes_are_taken(value in prop::collection::vec(any::<u8>(), 0..200)) {
        let content = [b"To:", value.as_slice(), b"\r\n\r\n"].concat();
        let _ = rewrite_header(&content, |_, written| replace(written));
    }

    #[test]
    fn a_second_time_changes_nothing(value in prop::collection::vec(
        prop_oneof!["[ \t,;:<>@().\"\\\\\r\n]{1,2}", Just("in.test".to_owned()), Just("@in.test".to_owned()),
            "[ab]{1,3}", Just("joe".to_owned()), Just(", ".to_owned()), Just("\r\n ".to_owned())], 0..30)) {
        let content = format!("To: {}\r\n\r\n", value.concat());
        if let Some(once) = header(&content) {
            prop_assert_eq!(header(&once), None, "{}", once);
        }
    }

    /// Replaced by what cannot be told from the original, it is the original.
    #[test]
    fn nothing_else_changes(
        elements in prop::collection::vec((
            prop_oneof![Just(""), Just("Al "), Just("\"x, y\" "), Just("(c (d)) "), Just("\r\n\t")],
            prop_oneof![Just("a"), Just("a.b"), Just("\"a b\"")],
            prop_oneof![Just("in.test"), Just("x.test")],
            prop_oneof![Just(", "), Just(",\r\n "), Just(" ,")],
        ), 1..12),
    ) {
        let list = |domain: &str| -> String {
            elements.iter().map(|(name, local, at, comma)| {
                let at = if *at == "in.test" { domain } else { at };
                let bare = name.trim().is_empty() || name.starts_with('(');
                if bare { format!("{name}{local}@{at}{comma}") } else { format!("{name}<{local}@{at}>{comma}") }
            }).collect()
        };
        let field = |domain: &str| format!("A: b\r\nTo: {}\r\n", list(domain));
        let changed = elements.iter().any(|(_, _, at, _)| *at == "in.test");
        prop_assert_eq!(header(&field("in.test")), changed.then(|| field("out.test")));
    }
}
