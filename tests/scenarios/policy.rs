//! The access table and relay-domains, from the file to the reply.

use std::fs;

use support::{Client, System, SystemBuilder};

fn rcpt(client: &mut Client, from: &str, to: &str) -> String {
    client.command(&format!("MAIL FROM:<{from}>"), "250");
    let reply = client.command(&format!("RCPT TO:<{to}>"), "");
    client.command("RSET", "250");
    reply
}

fn replace(system: &System, name: &str, text: &str) {
    let new = system.path("etc/mail/new~");
    fs::write(&new, text).unwrap();
    fs::rename(new, system.path("etc/mail").join(name)).unwrap();
}

#[test]
fn a_line_of_access_decides_as_soon_as_it_is_written() {
    let system = SystemBuilder::new()
        .config("[relay]\nnetworks = []\n")
        .table("access", "From:spam.test REJECT\n")
        .start();
    let mut client = system.session();
    let spam = rcpt(&mut client, "x@a.spam.test", "alice@local.test");
    assert_eq!(spam.trim_end(), "550 5.7.1 <alice@local.test>... Access denied");
    assert!(rcpt(&mut client, "x@far.test", "alice@local.test").starts_with("250"));
    assert!(rcpt(&mut client, "x@far.test", "y@backup.test").starts_with("550 5.7.1"));

    replace(&system, "access", "From:far.test ERROR:5.7.1:\"550 Not from there\"\n");
    system.wait_log(|line| line.contains("configuration 2 is in force: access changed"));
    let far = rcpt(&mut client, "x@far.test", "alice@local.test");
    assert_eq!(far.trim_end(), "550 5.7.1 <alice@local.test>... Not from there");
    assert!(rcpt(&mut client, "x@a.spam.test", "alice@local.test").starts_with("250"));

    replace(&system, "relay-domains", "backup.test\n");
    system.wait_log(|line| line.contains("configuration 3 is in force: relay-domains changed"));
    assert!(rcpt(&mut client, "x@a.test", "y@mx.backup.test").starts_with("250"));
    assert!(rcpt(&mut client, "x@a.test", "y@other.test").starts_with("550 5.7.1"));

    // What cannot be done yet changes nothing.
    replace(&system, "access", "From:far.test DISCARD\n");
    system.wait_log(|line| line.contains("access:1: DISCARD is not yet supported"));
    assert!(rcpt(&mut client, "x@far.test", "alice@local.test").starts_with("550"));
}

#[test]
fn without_the_rule_the_table_relays_and_refuses_nobody() {
    let system = SystemBuilder::new()
        .config("[relay]\nnetworks = []\n[policy]\nrules = []\n")
        .table("access", "From:spam.test REJECT\nTo:backup.test RELAY\n")
        .start();
    let mut client = system.session();
    assert!(rcpt(&mut client, "x@spam.test", "alice@local.test").starts_with("250"));
    assert!(rcpt(&mut client, "x@spam.test", "y@backup.test").starts_with("250"));
    assert!(rcpt(&mut client, "x@spam.test", "y@far.test").starts_with("550 5.7.1"));
}
