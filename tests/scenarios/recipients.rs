//! A backup MX: who is known elsewhere is asked there, at RCPT, and no mail is taken that would have to go
//! back to a stranger.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use support::{Client, Sink, SystemBuilder};

/// A next hop that knows everybody but `unknown`, is busy for `later`, and what it was told.
fn next_hop() -> (Sink, Arc<Mutex<Vec<String>>>) {
    let said = Arc::<Mutex<Vec<String>>>::default();
    let heard = Arc::clone(&said);
    let sink = Sink::scripted(move |line| {
        heard.lock().unwrap().push(line.to_owned());
        match line {
            "RCPT TO:<unknown@backup.test>" => Some("550 5.1.1 nobody of this name".to_owned()),
            "RCPT TO:<later@backup.test>" => Some("450 4.2.0 greylisted".to_owned()),
            _ => None,
        }
    });
    (sink, said)
}

/// Relays for `backup.test` to this next hop, for everybody; loopback is a stranger.
fn backup(next_hop: SocketAddr, more: &str) -> SystemBuilder {
    let hop = format!("backup.test esmtp:[127.0.0.1]:{}\n", next_hop.port());
    SystemBuilder::new()
        .config(&format!(
            "[relay]\nnetworks = [\"192.0.2.0/24\"]\n{more}[policy]\nrules = [\"access\"]\n"
        ))
        .table("access", "To:backup.test RELAY\n")
        .table("mailertable", &hop)
}

fn rcpt(client: &mut Client, from: &str, to: &str) -> String {
    client.command(&format!("MAIL FROM:<{from}>"), "250");
    let reply = client.command(&format!("RCPT TO:<{to}>"), "");
    client.command("RSET", "250");
    reply.trim_end().to_owned()
}

fn asked(said: &Mutex<Vec<String>>, command: &str) -> usize {
    said.lock().unwrap().iter().filter(|line| line.starts_with(command)).count()
}

const FROM: &str = "stranger@example.org";

#[test]
fn a_backup_takes_no_mail_for_whom_nobody_knows() {
    let (sink, said) = next_hop();
    let system = backup(sink.address(), "").start();
    let mut client = system.session();
    for _ in 0..2 {
        let reply = rcpt(&mut client, FROM, "unknown@backup.test");
        assert_eq!(reply, "550 5.1.1 <unknown@backup.test>... nobody of this name");
        assert!(rcpt(&mut client, FROM, "known@backup.test").starts_with("250"));
        assert!(rcpt(&mut client, FROM, "later@backup.test").starts_with("250"));
    }
    // Once for each, with a null reverse-path, and never with a message.
    assert_eq!(asked(&said, "RCPT TO:<unknown@backup.test>"), 1);
    assert_eq!(asked(&said, "RCPT TO:<known@backup.test>"), 1);
    assert_eq!(asked(&said, "MAIL FROM:<>"), 3);
    assert_eq!(asked(&said, "DATA"), 0);

    // A bounce is never sent back, and so not asked about.
    assert!(rcpt(&mut client, "", "other@backup.test").starts_with("250"));
    assert_eq!(asked(&said, "RCPT TO:<other@backup.test>"), 0);
    // A user of this machine hears of it later.
    let output = system.sendmail(&["-f", "alice@local.test", "unknown@backup.test"], "x\n");
    assert!(output.status.success(), "{output:?}");
    system.wait_mail("alice", 1);
}

#[test]
fn what_is_pipelined_is_asked_on_one_connection() {
    let (sink, said) = next_hop();
    let system = backup(sink.address(), "").start();
    let mut client = system.session();
    let recipients = ["a", "unknown", "b"].map(|name| format!("RCPT TO:<{name}@backup.test>\r\n"));
    let group = format!("MAIL FROM:<{FROM}>\r\n{}NOOP\r\n", recipients.concat());
    client.send(group.as_bytes()).unwrap();
    for code in ["250", "250", "550", "250", "250"] {
        client.expect(code);
    }
    assert_eq!(asked(&said, "EHLO"), 1);
    assert_eq!(asked(&said, "RSET"), 3);
}

/// As Postfix does after twenty refusals.
#[test]
fn a_host_that_leaves_after_many_refusals_is_asked_anew() {
    let refused = Arc::new(Mutex::new(0));
    let count = Arc::clone(&refused);
    let sink = Sink::scripted(move |line| {
        let mut count = count.lock().unwrap();
        match line {
            "EHLO mta.test" => *count = 0,
            line if line.starts_with("RCPT") => *count += 1,
            _ => return None,
        }
        let reply = if *count > 3 { "421 4.7.0 too many errors" } else { "550 5.1.1 nobody" };
        (*count > 0).then(|| reply.to_owned())
    });
    let system = backup(sink.address(), "").start();
    let mut client = system.session();
    let recipients = (0..15).map(|number| format!("RCPT TO:<{number}@backup.test>\r\n"));
    let group = format!("MAIL FROM:<{FROM}>\r\n{}NOOP\r\n", recipients.collect::<String>());
    client.send(group.as_bytes()).unwrap();
    client.expect("250");
    for _ in 0..15 {
        client.expect("550 5.1.1 ");
    }
}

#[test]
fn while_the_next_hop_is_down_its_backup_takes_everything() {
    let closed = support::free_address();
    let system = backup(closed, "").start();
    let mut client = system.session();
    assert!(rcpt(&mut client, FROM, "unknown@backup.test").starts_with("250"));
    system.wait_log(|line| line.contains("does not answer about recipients"));
    assert!(rcpt(&mut client, FROM, "else@backup.test").starts_with("250"));
}

#[test]
fn it_can_be_turned_off() {
    let (sink, said) = next_hop();
    let system = backup(sink.address(), "verify_recipients = false\n").start();
    let mut client = system.session();
    assert!(rcpt(&mut client, FROM, "unknown@backup.test").starts_with("250"));
    assert_eq!(asked(&said, "RCPT"), 0);
}

/// Were each to ask the other, both would ask for ever.
#[test]
fn two_that_relay_to_each_other_do_not_ask_in_a_circle() {
    let one = backup(support::free_address(), "");
    let other = backup(one.smtp(), "");
    let hop = format!("backup.test esmtp:[127.0.0.1]:{}\n", other.smtp().port());
    let one = one.table("mailertable", &hop).start();
    let other = other.start();
    for system in [&one, &other] {
        assert!(rcpt(&mut system.session(), FROM, "x@backup.test").starts_with("250"));
        let silent = |line: &String| line.contains("does not answer about recipients");
        assert!(!system.log().iter().any(silent), "{:#?}", system.log());
    }
}

#[test]
fn nobody_asks_himself() {
    let builder = backup(support::free_address(), "");
    let hop = format!("backup.test esmtp:[127.0.0.1]:{}\n", builder.smtp().port());
    let system = builder.table("mailertable", &hop).start();
    let mut client = system.session();
    assert!(rcpt(&mut client, FROM, "x@backup.test").starts_with("250"));
    system.wait_log(|line| line.contains("mail for [127.0.0.1]") && line.contains("loops back"));
}

/// `policyd` cannot reach more than what it said before its sandbox.
#[test]
fn a_socket_that_nobody_declared_needs_a_restart() {
    let mut system = SystemBuilder::new().start();
    let table = system.path("etc/mail/mailertable");
    std::fs::write(&table, "store.test lmtp:unix:/store\n").unwrap();
    let reload = system.command("pennypost").arg("reload").output().unwrap();
    let said = String::from_utf8_lossy(&reload.stderr).into_owned();
    assert!(!reload.status.success(), "{reload:?}");
    assert!(said.contains("a socket outside of /run needs a restart"), "{said}");
    system.stop();
    system.start();
    // TCP is within reach anyhow.
    std::fs::write(&table, "store.test lmtp:inet:127.0.0.1:24\n").unwrap();
    let reload = system.command("pennypost").arg("reload").output().unwrap();
    assert!(reload.status.success(), "{reload:?}");
}
