//! Mail for users of this machine.

use std::time::Instant;

use support::{PATIENCE, Sink, SystemBuilder};

#[test]
fn mail_reaches_the_mailbox_with_its_trace() {
    let system = SystemBuilder::new().start();
    let mut client = system.session();
    client.transaction("carol@example.org", &["alice@local.test"], "Subject: hi\n\n.dot\nbody\n");
    let mail = system.wait_mail("alice", 1);
    assert!(mail[0].starts_with("Return-Path: <carol@example.org>\n"), "{}", mail[0]);
    assert!(mail[0].contains("\nDelivered-To: alice@local.test\n"), "{}", mail[0]);
    assert!(mail[0].contains("Received: from client.test (["), "{}", mail[0]);
    assert!(mail[0].ends_with("Subject: hi\n\n.dot\nbody\n"), "{}", mail[0]);
    assert!(!mail[0].contains('\r'));
}

#[test]
fn aliases_reach_everybody_once() {
    let mut system = SystemBuilder::new()
        .table("aliases", "team: alice, bob, friends\nfriends: alice\npostmaster: bob\n")
        .start();
    let mut client = system.session();
    client.transaction("carol@example.org", &["team@local.test"], "Subject: all\n\nx\n");
    client.transaction("", &["postmaster"], "Subject: to the postmaster\n\nx\n");
    assert!(system.wait_mail("alice", 1)[0].contains("Subject: all"));
    system.wait_mail("bob", 2);
    // What it still does is done once it has drained.
    system.stop();
    assert_eq!(system.mail("alice").len(), 1);
}

/// However busy the user's mailbox is.
#[test]
fn a_user_who_is_no_more_gets_no_more_mail() {
    let system = SystemBuilder::new().table("aliases", "team: alice\n").start();
    let send = || {
        let output = system.sendmail(&["-f", "bob@local.test", "team"], "Subject: x\n\nx\n");
        assert!(output.status.success(), "{output:?}");
    };
    send();
    system.wait_mail("alice", 1);
    std::fs::write(system.path("etc/mail/users"), "bob:\n").unwrap();
    let end = Instant::now() + PATIENCE;
    let count = |log: &[String], text: &str| log.iter().filter(|line| line.contains(text)).count();
    for sent in 2.. {
        send();
        system.wait_logs(|log| (count(log, "to=<alice@") >= sent).then_some(()));
        if count(&system.log(), "dsn=5.1.1") > 0 {
            break;
        }
        assert!(Instant::now() < end, "alice still gets mail");
    }
    assert!(system.wait_mail("bob", 1)[0].contains("5.1.1"));
}

#[test]
fn strangers_and_unknown_users_are_refused() {
    let system =
        SystemBuilder::new().replace("[local]", "[relay]\nnetworks = []\n\n[local]").start();
    let mut client = system.session();
    client.command("MAIL FROM:<carol@example.org>", "250");
    client.command("RCPT TO:<nobody-here@local.test>", "550 5.1.1");
    client.command("RCPT TO:<dave@elsewhere.test>", "550 5.7.1");
    client.command("RCPT TO:<dave%elsewhere.test@local.test>", "550 5.1.1");
    client.command("RCPT TO:<alice@local.test>", "250");
}

#[test]
fn a_mailbox_may_be_an_mbox_or_a_command() {
    let system =
        SystemBuilder::new().replace("maildir:{home}/Maildir", "mbox:/var/mail/{user}").start();
    let mut client = system.session();
    client.transaction("carol@example.org", &["alice@local.test"], "Subject: one\n\nFrom here\n");
    system.wait_log(|line| line.contains("to=<alice@local.test>") && line.contains("stat=Sent"));
    let text = std::fs::read_to_string(system.path("var/mail/alice")).unwrap();
    assert!(text.starts_with("From carol@example.org "), "{text}");
    assert!(text.contains("\n>From here\n"), "{text}");

    let system =
        SystemBuilder::new().replace("maildir:{home}/Maildir", "command:tee {home}/copy").start();
    let mut client = system.session();
    client.transaction("carol@example.org", &["bob@local.test"], "Subject: two\n\nx\n");
    system.wait_log(|line| line.contains("to=<bob@local.test>") && line.contains("stat=Sent"));
    let text = std::fs::read_to_string(system.path("home/bob/copy")).unwrap();
    assert!(text.contains("Subject: two\n"), "{text}");
}

#[test]
fn a_failing_recipient_bounces_to_the_reverse_path_and_the_others_get_their_mail() {
    let sink = Sink::scripted(|line| {
        line.contains("<gone@").then(|| "550 5.1.1 no such user here".to_owned())
    });
    let system = SystemBuilder::new().smarthost(sink.address()).start();
    let mut client = system.session();
    client.transaction(
        "alice@local.test",
        &["gone@far.test", "here@far.test", "bob@local.test"],
        "Subject: to three\nX-Mark: kept\n\nbody\n",
    );
    sink.wait(|received| received.len() == 1);
    system.wait_mail("bob", 1);
    let bounce = system.wait_mail("alice", 1).remove(0);
    assert!(bounce.starts_with("Return-Path: <>\n"), "{bounce}");
    assert!(bounce.contains("multipart/report"), "{bounce}");
    assert!(
        bounce.contains("Final-Recipient: rfc822;gone@far.test")
            || bounce.contains("Final-Recipient: rfc822; gone@far.test"),
        "{bounce}"
    );
    assert!(bounce.contains("Action: failed"), "{bounce}");
    assert!(bounce.contains("Status: 5.1.1"), "{bounce}");
    assert!(bounce.contains("550 5.1.1 no such user here"), "{bounce}");
    assert!(bounce.contains("X-Mark: kept"), "{bounce}");
}

#[test]
fn eight_bit_content_that_nobody_declared_is_taken_and_told_in_the_log() {
    let system = SystemBuilder::new().start();
    let mut client = system.session();
    client.transaction("carol@example.org", &["alice@local.test"], "Subject: x\n\nümlaut\n");
    system.wait_log(|line| line.contains("nrcpts=1, bodytype=8BITMIME, proto=ESMTP"));
    assert!(system.wait_mail("alice", 1)[0].ends_with("ümlaut\n"));
}
