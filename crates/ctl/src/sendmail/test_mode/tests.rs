use super::*;
use crate::routes::tests::site;

const MAILERTABLE: &str = ".far.test\tesmtp:[relay.example.net]\n\
                           gone.test\terror:5.1.2:550 gone away\n";

/// What is printed for these lines, without the banner.
fn said(lines: &str) -> String {
    let root = tempfile::tempdir().unwrap();
    let files = [("mailertable", MAILERTABLE), ("aliases", "alice: bob, x@y.test\n")];
    let routes = Routes::read(&site(root.path(), &files)).unwrap();
    let mut out = Vec::new();
    let exit = Bench::new(&routes).run(&mut lines.as_bytes(), &mut out).unwrap();
    assert_eq!(exit, Exit::Ok);
    let out = String::from_utf8(out).unwrap();
    let banner =
        "ADDRESS TEST MODE (ruleset 3 NOT automatically invoked)\nEnter <ruleset> <address>\n> ";
    let out = out.strip_prefix(banner).unwrap();
    out.strip_suffix("> ").unwrap_or(out).to_owned()
}

/// The lines of canonify and parse are those of sendmail 8.17.1 with these tables.
#[test]
fn rulesets_as_sendmail_shows_them() {
    for (line, returns) in [
        ("daemon@local.test", "canonify         returns: daemon < @ local . test . >"),
        ("daemon@local.test", "parse            returns: $# local $: daemon"),
        ("bob+x@local.test", "canonify           input: bob + x @ local . test"),
        ("bob+x@local.test", "parse            returns: $# local $: bob + x"),
        ("alice", "canonify         returns: alice"),
        ("alice", "parse            returns: $# local $: alice"),
        (
            "x@a.far.test",
            "parse            returns: $# esmtp $@ [ relay . example . net ] $: x < @ a . far . test . >",
        ),
        (
            "bob@[192.0.2.7]",
            "parse            returns: $# esmtp $@ [ 192 . 0 . 2 . 7 ] $: bob < @ [ 192 . 0 . 2 . 7 ] >",
        ),
        (
            "a.b+c/d@x-y.test",
            "parse            returns: $# esmtp $@ x-y . test . $: a . b + c / d < @ x-y . test . >",
        ),
        ("\"a b\"@c.test", "canonify         returns: \"a b\" < @ c . test . >"),
        ("x@gone.test", "parse            returns: $# error $@ 5 . 1 . 2 $: gone away"),
        ("x@gone.test", "  mailertable:2: "),
    ] {
        let said = said(&format!("3,0 {line}\n"));
        assert!(said.lines().any(|line| line.starts_with(returns)), "{line}: {said}");
    }
    let parsed = said("/parse x@a.far.test\n");
    let last = parsed.trim_end().lines().last().unwrap();
    assert_eq!(last, "mailer esmtp, host [relay.example.net], user x@a.far.test");
}

#[test]
fn names_of_this_host() {
    assert_eq!(said("$j\n$w\n$m\n$q\n"), "mta.test\n> mta\n> test\n> Undefined\n");
    let names = said("$=w\n");
    for name in ["mta.test", "localhost", "local.test"] {
        assert!(names.lines().any(|line| line == name), "{names}");
    }
}

#[test]
fn what_is_not_there_is_said() {
    assert_eq!(said("/foo\n"), "Unknown \"/\" command /foo\n");
    assert_eq!(said("/mx\n/parse\n"), "Usage: /mx address\n> Usage: /parse address\n");
    assert_eq!(said("3\n"), "No address!\n");
    assert!(said("5 x\n").contains("no ruleset 5"));
    assert!(said("0 x@y.test\n").contains("3,0 x@y.test"));
    assert!(said("/map access x\n").contains("not supported yet"));
    assert_eq!(said("# comment\n\n-d8.8\n"), "> > ");
    assert_eq!(said("/quit\n$j\n"), "");
}
