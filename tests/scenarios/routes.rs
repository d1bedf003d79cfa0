//! Where mail goes by relays, hubs and renamed domains.

use std::fs::{self, Permissions};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;

use support::{Received, Sink, SystemBuilder};

use crate::relay::dns;

const TEXT: &str = "Subject: x\n\nx\n";

fn host(sink: &Sink) -> String {
    format!("[{}]:{}", sink.address().ip(), sink.address().port())
}

fn rcpts(received: &[Received]) -> Vec<String> {
    let mut all: Vec<_> = received.iter().flat_map(|mail| mail.rcpt.clone()).collect();
    all.sort();
    all
}

#[test]
fn a_domain_has_a_new_name_and_users_have_a_hub() {
    let sink = Sink::start();
    let hub = host(&sink);
    let system = SystemBuilder::new()
        .replace("[local]\n", &format!("[local]\nhub = \"{hub}\"\nhub_except = [\"alice\"]\n"))
        .table("domaintable", "old.test\tlocal.test\nformer.test\tfar.test\n")
        .table("aliases", "team: alice, carol\n")
        .table("mailertable", &format!("far.test\tesmtp:{hub}\n"))
        .start();
    let mut client = system.session();
    let to = ["alice@old.test", "bob@old.test", "nobody-here@local.test", "x@former.test"];
    client.transaction("eve@former.test", &to, TEXT);
    client.transaction("eve@far.test", &["team@local.test"], TEXT);
    system.wait_mail("alice", 2);
    let received = sink.wait(|received| rcpts(received).len() == 4);
    let expected = [
        "RCPT TO:<bob@[127.0.0.1]>",
        "RCPT TO:<carol@[127.0.0.1]>",
        "RCPT TO:<nobody-here@[127.0.0.1]>",
        "RCPT TO:<x@far.test>",
    ];
    assert_eq!(rcpts(&received), expected);
}

#[test]
fn the_relay_depends_on_who_sends() {
    let [alice, ours, smart] = [Sink::start(), Sink::start(), Sink::start()];
    let table = format!("alice@one.test {}\n@one.test {}\n", host(&alice), host(&ours));
    let system =
        SystemBuilder::new().table("senderrelay", &table).smarthost(smart.address()).start();
    let mut client = system.session();
    for (from, sink) in
        [("alice@one.test", &alice), ("bob@one.test", &ours), ("bob@two.test", &smart)]
    {
        client.transaction(from, &["x@far.test"], TEXT);
        let received = sink.wait(|received| received.len() == 1);
        assert!(received[0].mail.contains(from), "{received:?}");
    }
    let route = |arguments: &[&str]| {
        let output = system.command("pennypost").arg("route").args(arguments).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let shown = route(&["--from", "alice@one.test", "x@far.test"]);
    assert!(shown.contains("  senderrelay:1: "), "{shown}");
    assert!(shown.contains(&format!("goes to host {}", host(&alice))), "{shown}");
    assert!(route(&["x@far.test"]).contains("  relay.smarthost: "));
}

#[test]
fn a_null_client_has_neither_users_nor_tables() {
    let sink = Sink::start();
    let system = SystemBuilder::new()
        .config(&format!("[relay]\nnull_client = \"{}\"\n", host(&sink)))
        .table("aliases", "alice: bob\n")
        .table("mailertable", "far.test\terror:5.1.2:no\n")
        .start();
    let mut client = system.session();
    client.transaction("x@local.test", &["alice@local.test", "x@far.test"], TEXT);
    let received = sink.wait(|received| received.len() == 1);
    assert_eq!(rcpts(&received), ["RCPT TO:<alice@[127.0.0.1]>", "RCPT TO:<x@far.test>"]);
    assert!(system.mail("alice").is_empty() && system.mail("bob").is_empty());
}

/// far.test has a host without an address, and of broken.test the DNS says nothing; null.test takes no mail
/// at all.
#[test]
fn a_fallback_takes_what_cannot_be_sent() {
    let sink = Sink::on(TcpListener::bind("127.0.0.1:0").unwrap(), |_| None);
    let dns = dns::Dns::start(
        "far.test MX 10 gone.far.test\nbroken.test SERVFAIL\n\
         null.test MX 0 .\n",
    );
    let system = SystemBuilder::new()
        .config(&format!(
            "[relay]\nfallback = \"{}\"\n\n[remote]\nresolver = [\"{}\"]\nfamilies = \"ipv4\"\n",
            host(&sink),
            dns.address
        ))
        .start();
    let mut client = system.session();
    for to in ["x@far.test", "x@broken.test", "x@null.test"] {
        client.transaction("alice@local.test", &[to], TEXT);
    }
    let received = sink.wait(|received| received.len() == 2);
    assert_eq!(rcpts(&received), ["RCPT TO:<x@broken.test>", "RCPT TO:<x@far.test>"]);
    assert!(system.wait_mail("alice", 1)[0].contains("Status: 5.1.10"));
}

/// What the table has is not for the eyes of others, and not for the wire without TLS.
#[test]
fn credentials_are_named_and_not_sent() {
    let sink = Sink::start();
    let table = "AuthInfo:127.0.0.1 \"U:alice\" \"P:very-secret\"\n";
    let output = SystemBuilder::new().table("authinfo", table).refused();
    assert_eq!(output.status.code(), Some(78));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("others can read it") && !said.contains("very-secret"), "{said}");

    let builder = SystemBuilder::new().smarthost(sink.address()).table("authinfo", table);
    let closed = Permissions::from_mode(0o640);
    fs::set_permissions(builder.path("etc/mail/authinfo"), closed).unwrap();
    let system = builder.start();
    system.session().transaction("alice@local.test", &["x@far.test"], TEXT);
    sink.wait(|received| received.len() == 1);
    let run = |arguments: &[&str]| {
        let output = system.command("pennypost").args(arguments).output().unwrap();
        String::from_utf8([output.stdout, output.stderr].concat()).unwrap()
    };
    let route = run(&["route", "x@far.test"]);
    assert!(route.contains("authinfo:1: for [127.0.0.1]"), "{route}");
    assert!(route.contains("\"U:alice\" \"I:alice\" \"P:***\"; not used yet"), "{route}");
    let check = run(&["check"]);
    assert!(check.contains("authinfo:1: notice: the credentials for 127.0.0.1"), "{check}");
    for said in [route, check, system.log().concat()] {
        assert!(!said.contains("very-secret"), "{said}");
    }
}
