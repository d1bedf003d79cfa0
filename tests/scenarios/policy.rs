//! The access table and relay-domains, from the file to the reply.

use std::fs;
use std::time::{Duration, Instant};

use support::{Client, PATIENCE, System, SystemBuilder};

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

    // What cannot be done yet changes nothing; what can be left out is skipped.
    replace(&system, "access", "From:a.test REJECT\nTLS_Clt: VERIFY\n");
    system.wait_log(|line| line.contains("access:2: TLS_Clt: is not yet supported"));
    assert!(rcpt(&mut client, "x@far.test", "alice@local.test").starts_with("550"));
    replace(&system, "access", "From:a.test REJECT\nTry_TLS: NO\n");
    system.wait_log(|line| line.contains("access:2: Try_TLS: is not yet supported, the line is"));
    system.wait_log(|line| line.contains("configuration 4 is in force: access changed"));
    assert!(rcpt(&mut client, "x@far.test", "alice@local.test").starts_with("250"));
}

fn shown(system: &System, program: &str, arguments: &[&str]) -> String {
    let output = system.command(program).args(arguments).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn id_of(reply: &str) -> &str {
    reply.trim_end().rsplit(' ').next().unwrap()
}

#[test]
fn what_is_discarded_is_accepted_and_gone_and_what_is_held_waits_for_its_release() {
    let table = "From:void.test DISCARD\nFrom:odd.test QUARANTINE:looks very odd\n\
                 Compat:x@a.test<@>bob@local.test DISCARD\n";
    let system = SystemBuilder::new().table("access", table).start();
    let mut client = system.session();
    let both = ["alice@local.test", "bob@local.test"];
    let reply = client.transaction("x@void.test", &both, "Subject: void\n\nx\n");
    let id = id_of(&reply);
    system.wait_log(|line| {
        line.contains(&format!("{id}: from=<x@void.test>")) && line.ends_with(", discarded")
    });
    let reply = client.transaction("x@odd.test", &both, "Subject: odd\n\nx\n");
    let held = id_of(&reply);
    system.wait_log(|line| {
        line.contains(&format!("{held}: ")) && line.ends_with("quarantine=looks very odd")
    });
    let reply = client.transaction("x@a.test", &both, "Subject: compat\n\nx\n");
    let id = id_of(&reply);
    system.wait_log(|line| line.contains(&format!("{id}: to=<bob@local.test>, discarded")));
    assert!(system.wait_mail("alice", 1)[0].contains("Subject: compat"));

    assert!(shown(&system, "mailq", &["-qQ"]).contains("QUARANTINE: looks very odd"));
    assert!(shown(&system, "pennypost", &["queue"]).contains("held (looks very odd)"));
    assert!(shown(&system, "pennypost", &["queue", "show", held]).contains("looks very odd"));
    let json = shown(&system, "pennypost", &["queue", "--json"]);
    assert!(json.contains("\"quarantine\":\"looks very odd\""), "{json}");
    assert!(system.mail("bob").is_empty());

    // As it is with a new process.
    system.kill_daemon("qmgr");
    system.wait_log(|line| line.contains("1 held"));
    shown(&system, "sendmail", &["-Q", &format!("-qI{held}")]);
    assert!(system.wait_mail("bob", 1)[0].contains("Subject: odd"));
    assert!(system.wait_mail("alice", 2).iter().all(|mail| !mail.contains("Subject: void")));

    let words = ["-f", "x@odd.test", "alice@local.test"];
    let submitted = system.sendmail(&words, "Subject: mine\n\nx\n");
    assert!(submitted.status.success(), "{submitted:?}");
    system.wait_log(|line| {
        line.contains("proto=ESMTP") && line.ends_with("quarantine=looks very odd")
    });
    shown(&system, "sendmail", &["-Q", "-qQ"]);
    system.wait_mail("alice", 3);
}

/// cf/README, "CONNECTION CONTROL" and FEATURE(`greet_pause'): on what terms a client is served.
#[test]
fn the_terms_of_a_client_take_effect_as_soon_as_they_are_written() {
    let system = SystemBuilder::new().table("access", "ClientConn:127.0.0.1 1\n").start();
    let first = system.session();
    let mut second = Client::dial(system.smtp()).unwrap();
    assert_eq!(second.expect("421").trim_end(), "421 4.3.2 Too many open connections.");
    drop(first);

    replace(&system, "access", "ClientRate:127.0.0.1 2\n");
    system.wait_log(|line| line.contains("configuration 2 is in force: access changed"));
    // What was said of a client holds for a second.
    let hears = |expected: &str| {
        until(|| {
            let mut client = Client::dial(system.smtp()).unwrap();
            client.set_patience(PATIENCE);
            client.reply().unwrap().unwrap().starts_with(expected).then_some(client)
        })
    };
    hears("421 4.3.2 Connection rate limit exceeded.");

    replace(&system, "access", "GreetPause:127.0.0.1 300000\n");
    system.wait_log(|line| line.contains("configuration 3 is in force: access changed"));
    // Nothing is said for longer than terms hold, and then nothing but what one is who speaks too soon.
    until(|| {
        let mut client = Client::dial(system.smtp()).unwrap();
        client.set_patience(Duration::from_millis(1500));
        if client.reply().is_ok() {
            return None;
        }
        client.set_patience(PATIENCE);
        client.send(b"EHLO early.test\r\n").unwrap();
        client.reply().unwrap().unwrap().starts_with("554 5.5.1 ").then_some(())
    });

    replace(&system, "access", "GreetPause:127.0.0.1 50\n");
    system.wait_log(|line| line.contains("configuration 4 is in force: access changed"));
    // Who came while the pause was long still waits.
    until(|| {
        let mut client = Client::dial(system.smtp()).unwrap();
        client.set_patience(Duration::from_millis(1500));
        client.reply().ok()??.starts_with("220 ").then_some(())
    });
}

/// Tries until it comes true.
fn until<T>(mut attempt: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = attempt() {
            return found;
        }
        assert!(Instant::now() < deadline, "it never came true");
    }
}

/// op.me, "srv_features": one client is offered less, and cannot use it either.
#[test]
fn a_client_is_not_offered_what_its_line_takes_away() {
    let lines = "Srv_Features:127.0.0.1 P D\nSrv_Features: chunking\n";
    let system = SystemBuilder::new().table("access", lines).start();
    let offered = |client: &mut Client| client.command("EHLO client.test", "250");
    let mut client = Client::connect(system.smtp());
    let offers = offered(&mut client);
    for (keyword, expected) in
        [("PIPELINING", false), ("DSN", false), ("CHUNKING", true), ("SMTPUTF8", true)]
    {
        assert_eq!(offers.contains(keyword), expected, "{offers}");
    }
    client.command("MAIL FROM:<a@far.test> RET=HDRS", "555 5.5.4 ");
    client.command("MAIL FROM:<a@far.test>", "250");
    client.command("RCPT TO:<alice@local.test> NOTIFY=NEVER", "555 5.5.4 ");
    client.command("RCPT TO:<alice@local.test>", "250");
    let mut other = Client::connect_from([127, 0, 0, 2].into(), system.smtp());
    let offers = offered(&mut other);
    assert!(offers.contains("PIPELINING") && !offers.contains("CHUNKING"), "{offers}");
    other.command("BDAT 6 LAST\r\nRSET", "502 5.5.1 ");
    other.command("NOOP", "250");
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
