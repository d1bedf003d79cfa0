use super::*;
use crate::routes::tests::site;

const ACCESS: &str = "From:spammer@a.test\tREJECT\nConnect:192.0.2\tERROR:\"550 no mail from you\"\n\
                      To:relayed.test\tRELAY\nFrom:moved.test\tERROR:4.7.1:450 later\n\
                      ClientRate:192.0.2\t4\nCompat:odd@far.test<@>alice@local.test\tDISCARD\n\
                      Srv_Features:192.0.2.8\tP D\n";
const MAILERTABLE: &str = ".far.test\tesmtp:[relay.example.net]\n\
                           gone.test\terror:5.1.2:550 gone away\nhere.far.test\tlocal:bob\n";
const VIRTUSERTABLE: &str = "info@local.test\talice\n@virt.test\t%1@far.test\n";

/// What is printed for these lines at a terminal, without the banner.
fn said(lines: &str) -> String {
    let out = answers(Lines::Typed, lines);
    let banner =
        "ADDRESS TEST MODE (ruleset 3 NOT automatically invoked)\nEnter <ruleset> <address>\n> ";
    let out = out.strip_prefix(banner).unwrap();
    out.strip_suffix("> ").unwrap_or(out).to_owned()
}

fn answers(from: Lines, lines: &str) -> String {
    let root = tempfile::tempdir().unwrap();
    let files = [
        ("access", ACCESS),
        ("aliases", "alice: bob, x@y.test\n"),
        ("domaintable", "old.test\tnew.test\n"),
        ("mailertable", MAILERTABLE),
        ("relay-domains", "relay.test\n"),
        ("trusted-users", "uucp\nlist\n"),
        ("virtusertable", VIRTUSERTABLE),
        ("virtuser-domains", "virt.test\n"),
    ];
    let site = site(root.path(), &files);
    let routes = Routes::read(&site).unwrap();
    let mut out = Vec::new();
    let mut bench = Bench::new(&routes).unwrap();
    assert_eq!(bench.run(from, &mut lines.as_bytes(), &mut out).unwrap(), Exit::Ok);
    String::from_utf8(out).unwrap()
}

/// Whoever reads questions from a file has them before the answers, as sendmail's main.c has it.
#[test]
fn a_session_is_as_written() {
    let golden = include_str!("session.txt");
    let questions: String = golden
        .lines()
        .filter_map(|line| line.strip_prefix("> "))
        .flat_map(|it| [it, "\n"])
        .collect();
    let session = answers(Lines::Read, &questions);
    assert_eq!(session, golden, "{session}");
}

#[test]
fn the_way_to_what_parse_returns_is_shown() {
    let shown = said("-d8.11\n3,0 bob@[192.0.2.7]\n3 bob@[192.0.2.7]\n3,0 daemon\n");
    let (_, after) = shown.split_once("parse            returns: $# esmtp ").unwrap();
    assert_eq!(after.lines().nth(1), Some("dns: tries [192.0.2.7]:25"));
    assert_eq!(shown.matches("dns: ").count(), 1, "{shown}");
}

/// The triples of sendmail 8.17.1 with these tables.
#[test]
fn rulesets_as_sendmail_shows_them() {
    for (line, returns) in [
        ("daemon@local.test", "canonify         returns: daemon < @ local . test . >"),
        ("daemon@local.test", "parse            returns: $# local $: daemon"),
        ("bob+x@local.test", "canonify           input: bob + x @ local . test"),
        ("bob+x@local.test", "parse            returns: $# local $: bob + x"),
        ("alice", "canonify         returns: alice"),
        ("alice", "parse            returns: $# local $: alice"),
        ("Root@local.test", "parse            returns: $# local $: Root"),
        ("postmaster", "parse            returns: $# local $: postmaster"),
        (
            "x@a.far.test",
            "parse            returns: $# esmtp $@ [ relay . example . net ] $: x < @ a . far . test . >",
        ),
        (
            "bob@[192.0.2.7]",
            "parse            returns: $# esmtp $@ [ 192 . 0 . 2 . 7 ] $: bob < @ [ 192 . 0 . 2 . 7 ] >",
        ),
        ("x@[IPv6:2001:DB8::9]", "canonify         returns: x < @ [ IPv6 : 2001 : DB8 : : 9 ] >"),
        (
            "a.b+c/d@x-y.test",
            "parse            returns: $# esmtp $@ x-y . test . $: a . b + c / d < @ x-y . test . >",
        ),
        ("x@old.test", "canonify         returns: x < @ new . test . >"),
        ("x@old.test", "  domaintable:1: x@new.test"),
        (
            "x@old.test",
            "parse            returns: $# esmtp $@ new . test . $: x < @ new . test . >",
        ),
        ("\"a b\"@c.test", "canonify         returns: \"a b\" < @ c . test . >"),
        ("x@single", "canonify         returns: x < @ single >"),
        ("x@here.far.test", "parse            returns: $# local $@ x @ here . far . test $: bob"),
        ("x@gone.test", "parse            returns: $# error $@ 5 . 1 . 2 $: gone away"),
        ("x@gone.test", "  mailertable:2: "),
    ] {
        let said = said(&format!("3,0 {line}\n"));
        assert!(said.lines().any(|line| line.starts_with(returns)), "{line}: {said}");
    }
}

#[test]
fn names_of_this_host() {
    assert_eq!(said("$j\n$w\n$m\n$q\n"), "mta.test\n> mta\n> test\n> Undefined\n");
    let names = said("$=w\n");
    for name in ["mta.test", "localhost", "local.test"] {
        assert!(names.lines().any(|line| line == name), "{names}");
    }
    assert!(said("$=w\n").lines().count() > said("$=R\n").lines().count());
}

/// The names are asked of the DNS, which does not know these.
#[test]
fn the_dns_is_asked() {
    let routes = |lines: &str| said(lines);
    assert_eq!(routes("/canon a.invalid\n"), "getcanonname(a.invalid) returns a.invalid\n");
    assert!(routes("/dnslookup a.test TXT\n").starts_with("TXT: only A, AAAA and MX"));
    // A name that no DNS is asked for.
    let long = "x".repeat(64);
    let shown = routes(&format!("-d8.11\n/canon {long}\n-d8.0\n/canon {long}\n"));
    let line = format!("getcanonname({long}) returns {long}\n");
    let asked = format!("dns: {long} A? no such name (NXDOMAIN)\n");
    assert_eq!(shown, format!("> {asked}{line}> > {line}"));
}

#[test]
fn quit_ends_it() {
    assert_eq!(said("/quit\n$j\n"), "");
    assert_eq!(said("# comment\n\n-d8.8\n"), "> > ");
}
