//! Dovecot has the mailboxes: LMTP (RFC 2033), and who is known there.

use std::collections::BTreeSet;

use support::{Client, Dovecot, System, SystemBuilder};

const SOCKET: &str = "run/dovecot/lmtp";

/// A system whose mailboxes Dovecot has, by its socket; and Dovecot.
fn start(config: &str) -> Option<(System, Dovecot)> {
    let builder = SystemBuilder::new().config(config);
    let dovecot = Dovecot::start(&builder.path(SOCKET))?;
    let lmtp = format!("lmtp:unix:/{SOCKET}");
    // What stands in the table `users` does not count.
    let system = builder.replace("maildir:{home}/Maildir", &lmtp).table("users", "carol:\n");
    Some((system.start(), dovecot))
}

/// Names a recipient, and returns the reply.
fn rcpt(system: &System, recipient: &str) -> String {
    let mut client = system.session();
    client.command("MAIL FROM:<sender@example.org>", "250");
    client.command(&format!("RCPT TO:<{recipient}>"), "").trim_end().to_owned()
}

#[test]
fn mail_goes_to_dovecot_and_only_whom_it_knows_is_known() {
    let Some((system, dovecot)) = start("") else { return };
    let mut client = system.session();
    let text = format!("Subject: by LMTP\n\n.\n..\n{}", "a line\n".repeat(20_000));
    let (alice, bob) = ("Alice+lists@local.test", "bob@local.test");
    client.transaction("sender@example.org", &[alice, bob], &text);
    for user in ["alice", "bob"] {
        let mail = dovecot.wait_mail(user, 1).remove(0);
        assert!(mail.starts_with("Return-Path: <sender@example.org>"), "{}", &mail[..500]);
        assert!(mail.contains("\n.\n..\na line\n"));
    }
    // As it was written: what follows the plus is for Dovecot's filters.
    let sent = |user: &str| {
        let parts = [
            &format!("to=<{user}>, delay=") as &str,
            ", mailer=lmtp, ",
            ", relay=mta.test [",
            &format!("stat=Sent (250 2.0.0 <{user}> "),
        ];
        system.wait_log(|line| parts.iter().all(|part| line.contains(part)));
    };
    sent(alice);
    sent(bob);
    for unknown in ["carol@local.test", "nobody-here@mta.test"] {
        let reply = rcpt(&system, unknown);
        assert!(reply.starts_with(&format!("550 5.1.1 <{unknown}>... ")), "{reply}");
        assert!(reply.contains("User doesn't exist"), "{reply}");
    }
}

#[test]
fn each_recipient_of_a_message_has_its_own_outcome() {
    let Some((system, dovecot)) = start("") else { return };
    std::fs::write(system.path("etc/mail/aliases"), "info: \\alice\ngone: nobody-here\n").unwrap();
    let reload = system.command("pennypost").arg("reload").output().unwrap();
    assert!(reload.status.success(), "{reload:?}");
    let mut client = system.session();
    let all = ["info@local.test", "full@local.test", "gone@local.test"];
    client.transaction("bob@local.test", &all, "Subject: for three\n\nx\n");
    assert_eq!(dovecot.wait_mail("alice", 1).len(), 1);
    let bounces = dovecot.wait_mail("bob", 1).join("\n");
    system.wait_log(|line| line.contains("to=<alice@mta.test>") && line.contains("dsn=2.0.0"));
    system.wait_log(|line| line.contains("to=<full@local.test>") && line.contains("dsn=5.2.2"));
    system
        .wait_log(|line| line.contains("to=<nobody-here@mta.test>") && line.contains("dsn=5.1.1"));
    assert!(bounces.contains("5.2.2") && bounces.contains("5.1.1"), "{bounces}");
    assert_eq!(dovecot.mail("full"), [""; 0]);
    // One transaction for all of them: `lmtp(alice)<pid><session>`, `lmtp(full)<pid><session:R2>`.
    let log = dovecot.log();
    let ours =
        log.lines().filter(|line| line.contains("lmtp(alice)") || line.contains("lmtp(full)"));
    let session = |line: &str| Some(line.split('<').nth(2)?.split([':', '>']).next()?.to_owned());
    let sessions: BTreeSet<_> = ours.map(session).collect();
    assert_eq!(sessions.len(), 1, "{log}");
}

/// RFC 3464 §2.3.3: what an LMTP server has stored is delivered, and not relayed to somebody else.
#[test]
fn success_is_told_as_a_delivery() {
    let Some((system, dovecot)) = start("") else { return };
    let mut client = system.session();
    client.command("MAIL FROM:<bob@local.test>", "250");
    client.command("RCPT TO:<alice@local.test> NOTIFY=SUCCESS", "250");
    client.command("DATA", "354");
    client.command("Subject: tell me\r\n\r\nx\r\n.", "250");
    let told = dovecot.wait_mail("bob", 1).remove(0);
    assert!(told.contains("Action: delivered"), "{told}");
    assert!(!told.contains("Remote-MTA"), "{told}");
}

#[test]
fn while_dovecot_is_gone_nothing_is_lost_and_nobody_is_unknown() {
    let Some((system, mut dovecot)) = start("[queue]\nfirst_retry = \"1s\"\n") else { return };
    assert_eq!(rcpt(&system, "alice@local.test"), "250 2.1.5 Recipient ok");
    dovecot.stop();
    // It was there a moment ago.
    let mut client = system.session();
    client.transaction("sender@example.org", &["alice@local.test"], "Subject: later\n\nx\n");
    system.wait_log(|line| line.contains("to=<alice@local.test>") && line.contains("dsn=4.4.1"));
    let reply = rcpt(&system, "bob@local.test");
    assert!(reply.starts_with("451 4.3.0 "), "{reply}");
    dovecot.run();
    let retry = system.command("pennypost").args(["queue", "retry", "--to", "alice"]).output();
    assert!(retry.as_ref().unwrap().status.success(), "{retry:?}");
    assert!(dovecot.wait_mail("alice", 1)[0].contains("Subject: later"));
}

#[test]
fn a_domain_of_the_mailertable_goes_to_dovecot_by_tcp_and_is_verified_there() {
    let builder = SystemBuilder::new();
    let Some(dovecot) = Dovecot::start(&builder.path(SOCKET)) else { return };
    let tcp = format!("store.test lmtp:inet:127.0.0.1:{}\n", dovecot.address().port());
    let system = builder
        .table("mailertable", &format!("{tcp}socket.test lmtp:unix:/{SOCKET}\n"))
        .table("access", "To:store.test RELAY\nTo:socket.test RELAY\n")
        // The client is a stranger, whose domain nobody looks up.
        .config("[relay]\nnetworks = [\"192.0.2.0/24\"]\n[policy]\nrules = [\"access\"]\n")
        .start();
    let mut client = Client::connect(system.smtp());
    client.command("EHLO client.test", "250");
    let both = ["alice@store.test", "bob@socket.test"];
    client.transaction("sender@example.org", &both, "Subject: there\n\nx\n");
    for user in ["alice", "bob"] {
        assert!(dovecot.wait_mail(user, 1)[0].contains("Subject: there"));
    }
    for domain in ["store.test", "socket.test"] {
        let reply = rcpt(&system, &format!("nobody-here@{domain}"));
        assert!(reply.starts_with("550 5.1.1 "), "{reply}");
    }
    let explained = system
        .command("pennypost")
        .args(["explain", "--client", "203.0.113.9", "--from", "a@example.org"])
        .args(["--to", "nobody-here@store.test"])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&explained.stdout).into_owned();
    assert!(text.contains("takes no mail for it: 550 5.1.1"), "{text}");
    assert_eq!(explained.status.code(), Some(77));
}
