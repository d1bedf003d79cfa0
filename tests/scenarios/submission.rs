//! Mail of users and programs of this machine.

use std::io::Read as _;
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::process::Stdio;

use support::SystemBuilder;

#[test]
fn sendmail_completes_the_header_and_takes_recipients_from_it() {
    let system = SystemBuilder::new().start();
    let message =
        "To: alice@local.test\nBcc: bob@local.test\nSubject: from cron\n\n.\nafter the dot\n";
    let output =
        system.sendmail(&["-t", "-i", "-f", "carol@example.org", "-F", "Carol Ö"], message);
    assert!(output.status.success(), "{output:?}");
    let alice = system.wait_mail("alice", 1).remove(0);
    let bob = system.wait_mail("bob", 1).remove(0);
    for mail in [&alice, &bob] {
        assert!(mail.starts_with("Return-Path: <carol@example.org>\n"), "{mail}");
        assert!(mail.contains("\nDate: ") && mail.contains("\nMessage-ID: <"), "{mail}");
        assert!(
            mail.contains("\nFrom: =?utf-8?") && mail.contains("<carol@example.org>"),
            "{mail}"
        );
        assert!(!mail.contains("Bcc"), "{mail}");
        assert!(mail.ends_with("\n.\nafter the dot\n"), "{mail}");
    }
}

#[test]
fn exit_codes_tell_what_happened() {
    let system = SystemBuilder::new().start();
    assert_eq!(system.sendmail(&["-i", "alice@local.test"], "x\n").status.code(), Some(0));
    assert_eq!(system.sendmail(&["-i", "nobody-here@local.test"], "x\n").status.code(), Some(67));
    assert_eq!(system.sendmail(&["-t"], "Subject: to nobody\n\nx\n").status.code(), Some(64));
    assert_eq!(system.sendmail(&[], "x\n").status.code(), Some(64));
    assert_eq!(system.sendmail(&["-N", "bogus", "alice"], "x\n").status.code(), Some(64));
}

#[test]
fn a_caller_who_does_not_listen_is_told_the_same() {
    let system = SystemBuilder::new().start();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = system.command("sendmail");
    command.args(["nobody-here@local.test", "a@b@c", "alice@local.test"]);
    let status = command.stdin(Stdio::null()).stderr(writer).status().unwrap();
    assert_eq!(status.code(), Some(67));
    system.wait_mail("alice", 1);
}

#[test]
fn a_bad_address_costs_the_good_ones_nothing() {
    let system = SystemBuilder::new().start();
    let message = "To: x y <@>, a@b@c, alice@local.test\n\nx\n";
    let output = system.sendmail(&["-t"], message);
    assert_eq!(output.status.code(), Some(65), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("To: \"a@b@c\": "), "{output:?}");
    system.wait_mail("alice", 1);
    let message = "To: nobody-here@local.test, a@b@c, alice@local.test\n\nx\n";
    assert_eq!(system.sendmail(&["-t"], message).status.code(), Some(67));
    system.wait_mail("alice", 2);
}

#[test]
fn what_was_never_queued_is_mailed_back_without_an_id() {
    let system = SystemBuilder::new().start();
    let arguments = ["-oem", "-f", "alice@local.test", "nobody-here@local.test"];
    let output = system.sendmail(&arguments, "Subject: x\n\nx\n");
    assert!(output.status.success(), "{output:?}");
    let notification = system.wait_mail("alice", 1).remove(0);
    assert!(notification.contains("Subject: Your message to nobody-here@local.test could not be"));
    assert!(notification.contains("Status: 5.1.1"), "{notification}");
    assert!(!notification.contains("Our id") && !notification.contains("Queue-Id"));
}

/// alias() in sendmail's alias.c asks for NoAlias, and nothing else does: not virtual users, and not
/// `.forward`. The message knows it, wherever it waits.
#[test]
fn without_aliases_a_message_finds_users_alone() {
    let aliases = "alice: bob\nteam: alice, bob\n";
    let virtuals = "info@local.test\talice\n";
    let builder = SystemBuilder::new().table("aliases", aliases).table("virtusertable", virtuals);
    let mut system = builder.table("users", "alice:\nbob:\ncarol:\n").start();
    let subject = |text: &str| format!("Subject: {text}\n\nx\n");
    let send = |arguments: &[&str], text: &str| system.sendmail(arguments, &subject(text));
    assert!(send(&["alice@local.test"], "followed").status.success());
    assert!(system.wait_mail("bob", 1)[0].contains("Subject: followed"));
    assert!(send(&["-n", "alice@local.test", "info@local.test"], "skipped").status.success());
    assert!(system.wait_mail("alice", 1)[0].contains("Subject: skipped"));
    let output = send(&["-n", "team@local.test"], "nobody");
    assert_eq!(output.status.code(), Some(67), "{output:?}");
    let bob = system.path("home/bob");
    std::fs::write(bob.join(".forward"), "carol\n").unwrap();
    assert!(send(&["-n", "bob@local.test"], "forwarded").status.success());
    assert!(system.wait_mail("carol", 1)[0].contains("Subject: forwarded"));

    system.stop();
    let output = system.sendmail(&["-n", "alice@local.test"], &subject("dropped"));
    assert!(output.status.success(), "{output:?}");
    system.start();
    let mail = system.wait_mail("alice", 2);
    assert!(mail.iter().any(|mail| mail.contains("Subject: dropped")), "{mail:?}");
    assert_eq!((system.mail("alice").len(), system.mail("bob").len()), (2, 1));
}

/// `-G`: another system's message is passed on as it is, by the daemon, too.
#[test]
fn the_header_of_another_systems_message_stays() {
    let system = SystemBuilder::new().start();
    let message = "Subject: passed on\nTo: bob\nBcc: carol\n\nx\n";
    assert!(system.sendmail(&["-G", "-i", "alice@local.test"], message).status.success());
    let mail = system.wait_mail("alice", 1).remove(0);
    assert!(mail.ends_with(message), "{mail}");
    assert!(!mail.contains("\nDate:") && !mail.contains("\nMessage-ID:"), "{mail}");
}

#[test]
fn without_a_daemon_the_message_waits_in_the_drop_directory() {
    let mut system = SystemBuilder::new().start();
    system.stop();
    let output = system.sendmail(&["-i", "alice@local.test"], "Subject: kept\n\nx\n");
    assert!(output.status.success(), "{output:?}");
    assert!(system.mail("alice").is_empty());
    system.start();
    assert!(system.wait_mail("alice", 1)[0].contains("Subject: kept"));
}

#[test]
fn bs_speaks_smtp_on_standard_input() {
    let system = SystemBuilder::new().start();
    let dialogue = "EHLO here\r\nMAIL FROM:<carol@example.org>\r\nRCPT TO:<alice@local.test>\r\n\
                    DATA\r\nSubject: bs\r\n\r\nx\r\n.\r\nQUIT\r\n";
    let output = system.sendmail(&["-bs"], dialogue);
    let replies = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && replies.contains("\r\n221 "), "{replies}");
    assert!(system.wait_mail("alice", 1)[0].contains("\nDate: "));
}

/// `sendmail -bs` in inetd.conf: who connects is no user of this machine, and may not relay.
#[test]
fn bs_takes_no_mail_from_the_network() {
    let system = SystemBuilder::new().start();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (connection, _) = listener.accept().unwrap();
    let mut command = system.command("sendmail");
    command.args(["-Am", "-bs"]).stdout(OwnedFd::from(connection.try_clone().unwrap()));
    command.stdin(OwnedFd::from(connection)).stderr(Stdio::null());
    let code = command.spawn().unwrap().wait().unwrap().code();
    drop(command);
    let mut said = String::new();
    client.read_to_string(&mut said).unwrap();
    assert_eq!((&*said, code), ("421 4.3.2 Mail from the network is not taken here\r\n", Some(69)));
}
