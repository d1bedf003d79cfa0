//! What stands in a table is said to the client and done with the mail.

use std::net::TcpListener;

use support::{Sink, SystemBuilder};

#[test]
fn virtual_users_get_their_mail_and_others_are_refused() {
    let system = SystemBuilder::new()
        .table("virtuser-domains", "virt.test\n")
        .table(
            "virtusertable",
            "info@virt.test alice\nold@virt.test error:5.1.6:550 moved away\n\
             shop+*@local.test bob%3\n@local.test error:nouser 550 nobody of that name\n\
             bob@local.test !\n",
        )
        .start();
    let mut client = system.session();
    client.command("MAIL FROM:<carol@example.org>", "250");
    client.command("RCPT TO:<old@virt.test>", "550 5.1.6");
    client.command("RCPT TO:<nobody@virt.test>", "550 5.1.1");
    client.command("RCPT TO:<alice@local.test>", "550 5.1.1");
    client.command("RSET", "250");
    let to = ["info@virt.test", "Shop+order@local.test", "bob@local.test"];
    client.transaction("carol@example.org", &to, "Subject: virtual\n\nx\n");
    system.wait_mail("alice", 1);
    // Two names of one mailbox bring one copy for each detail.
    system.wait_mail("bob", 1);
}

#[test]
fn a_mailertable_has_several_hosts_and_refuses_at_once() {
    let sink = Sink::on(TcpListener::bind("127.0.0.1:0").unwrap(), |_| None);
    let port = sink.address().port();
    let table = format!(
        ".far.test relay:[127.0.0.9]:{port},[127.0.0.1]:{port}\n\
         gone.test error:5.1.6:550 moved away\n\
         one.test relay:bob@[127.0.0.1]:{port}\n"
    );
    let system = SystemBuilder::new().table("mailertable", &table).start();
    let mut client = system.session();
    client.command("MAIL FROM:<alice@local.test>", "250");
    client.command("RCPT TO:<x@gone.test>", "550 5.1.6");
    client.command("RSET", "250");
    client.transaction("alice@local.test", &["x@a.far.test"], "Subject: second host\n\nx\n");
    client.transaction("alice@local.test", &["x@one.test"], "Subject: redirected\n\nx\n");
    let received = sink.wait(|received| received.len() == 2);
    let rcpt = |to: &str| received.iter().any(|mail| mail.rcpt.concat().contains(to));
    assert!(rcpt("<x@a.far.test>") && rcpt("<bob@[127.0.0.1]>"), "{received:?}");
}

/// op.me §4.5.3: the list's owner, and not the one who wrote to it, is told what became of members.
#[test]
fn the_owner_of_a_list_is_told_of_failures() {
    let sink = Sink::on(TcpListener::bind("127.0.0.1:0").unwrap(), |line| {
        line.starts_with("RCPT TO:<lost@").then(|| "550 5.1.1 no such user".to_owned())
    });
    let system = SystemBuilder::new()
        .table("aliases", "list: x@far.test, lost@far.test\nowner-list: bob\n")
        .table("mailertable", &format!("far.test relay:[127.0.0.1]:{}\n", sink.address().port()))
        .start();
    let mut client = system.session();
    client.transaction("alice@local.test", &["list@local.test"], "Subject: list\n\nx\n");
    let bounce = system.wait_mail("bob", 1).concat();
    assert!(bounce.contains("Final-Recipient: rfc822; lost@far.test"), "{bounce}");
    let received = sink.wait(|received| received.len() == 1);
    assert!(received[0].mail.contains("FROM:<bob@"), "{received:?}");
    assert!(system.mail("alice").is_empty());
}
