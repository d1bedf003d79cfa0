//! Addresses get the names by which they are known elsewhere.

use support::{Sink, System, SystemBuilder, run};

const MASQUERADE: &str = "[masquerade]\nas = \"example.test\"\nenvelope = true\n";

/// MAIL and content of the one message that came with this subject.
fn received(sink: &Sink, subject: &str) -> (String, String) {
    let line = format!("Subject: {subject}\r\n");
    let all = sink.wait(|all| all.iter().any(|one| one.content.contains(&line)));
    let one = all.into_iter().find(|one| one.content.contains(&line)).unwrap();
    (one.mail, one.content)
}

fn sendmail(system: &System, arguments: &[&str], message: &str) {
    let output = system.sendmail(arguments, message);
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn what_leaves_is_masqueraded_and_nothing_else_of_it_changes() {
    let sink = Sink::start();
    let system = SystemBuilder::new().smarthost(sink.address()).config(MASQUERADE).start();
    // A name alone, a long fold, words in quotes and in code; the recipients stay.
    let message = "Subject: one\nFrom: \"Smith, Alice\" <alice@mta.test>\nSender:\n\tbob (Bob,\n (the one))\n\
                   Reply-To: =?utf-8?Q?J=C3=B6rg?= <alice@local.test>,\n other@far.test\n\
                   To: team: dave@far.test, bob@local.test;, root\nX-From: alice@mta.test\n\n\
                   From: alice@mta.test\n";
    sendmail(&system, &["-f", "alice", "dave@far.test"], message);
    let (mail, content) = received(&sink, "one");
    assert!(mail.starts_with("MAIL FROM:<alice@example.test> "), "{mail}");
    let expected = "Subject: one\nFrom: \"Smith, Alice\" <alice@example.test>\nSender:\n\tbob@example.test (Bob,\n (the one))\n\
                    Reply-To: =?utf-8?Q?J=C3=B6rg?= <alice@example.test>,\n other@far.test\n\
                    To: team: dave@far.test, bob@local.test;, root@mta.test\nX-From: alice@mta.test\n\n\
                    From: alice@mta.test\n";
    assert!(content.ends_with(&expected.replace('\n', "\r\n")), "{content}");
    // Exposed, as EXPOSED_USER(root) has it.
    sendmail(&system, &["-f", "root", "dave@far.test"], "Subject: two\nFrom: root\n\nx\n");
    let (mail, content) = received(&sink, "two");
    assert!(mail.starts_with("MAIL FROM:<root@mta.test> "), "{mail}");
    assert!(content.contains("\r\nFrom: root@mta.test\r\n"), "{content}");
}

#[test]
fn a_large_message_has_its_size_and_all_of_its_body() {
    let sink = Sink::start();
    let system = SystemBuilder::new().smarthost(sink.address()).config(MASQUERADE).start();
    let body = "0123456789abcde\n".repeat(5 << 16);
    let mut client = system.session();
    let text = format!("Subject: large\nFrom: alice@local.test\n\n{body}");
    client.transaction("alice@local.test", &["dave@far.test"], &text);
    let (mail, content) = received(&sink, "large");
    let text = text.replace("local.test", "example.test").replace('\n', "\r\n");
    assert!(content.ends_with(&text));
    let size = format!("MAIL FROM:<alice@example.test> SIZE={}", content.len());
    assert!(mail.starts_with(&size), "{mail}, {size}");
}

#[test]
fn a_changed_table_names_the_next_message() {
    let sink = Sink::start();
    let system = SystemBuilder::new()
        .smarthost(sink.address())
        .table("generics-domains", "local.test\n")
        .table("genericstable", "alice Alice.Smith@example.test\n")
        .table("domaintable", "old.test new.test\n")
        .start();
    let message = |subject: &str| {
        format!("Subject: {subject}\nFrom: alice@local.test\nTo: x@old.test\n\nx\n")
    };
    let send = |subject: &str| {
        let mut client = system.session();
        client.transaction("alice@local.test", &["dave@far.test"], &message(subject));
        received(&sink, subject)
    };
    let (mail, content) = send("before");
    assert!(
        content.contains("\r\nFrom: Alice.Smith@example.test\r\nTo: x@new.test\r\n"),
        "{content}"
    );
    assert!(mail.starts_with("MAIL FROM:<alice@local.test> "), "{mail}");
    let table = system.path("etc/mail/genericstable");
    std::fs::write(table, "alice@local.test %1al@example.test\nbad\n").unwrap();
    let output = run(system.command("pennypost").arg("reload"), "");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("genericstable"), "{output:?}");
    let (_, content) = send("after");
    assert!(content.contains("\r\nFrom: al@example.test\r\n"), "{content}");
}

#[test]
fn mail_that_stays_is_masqueraded_unless_that_is_off() {
    for (more, from) in [("", "alice@example.test"), ("local = false\n", "alice@mta.test")] {
        let system = SystemBuilder::new().config(&format!("{MASQUERADE}{more}")).start();
        // Inline, and in a spool file.
        for (count, body) in [(1, "x\n".to_owned()), (2, "0123456789abcde\n".repeat(1 << 14))] {
            let text = format!("Subject: {count}\nFrom: alice\nTo: bob\n\n{body}");
            sendmail(&system, &["-f", "alice", "bob"], &text);
            let mails = system.wait_mail("bob", count);
            let line = format!("Subject: {count}\n");
            let mail = mails.iter().find(|mail| mail.contains(&line)).unwrap();
            assert!(mail.starts_with(&format!("Return-Path: <{from}>\n")), "{mail}");
            let header = format!("\n{line}From: {from}\nTo: bob@mta.test\n\n{body}");
            assert!(mail.ends_with(&header), "{}", mail.get(..2000).unwrap_or(mail));
        }
    }
}
