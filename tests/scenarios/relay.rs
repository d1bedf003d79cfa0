//! Mail for other systems.

use std::net::TcpListener;
use std::sync::atomic::{AtomicUsize, Ordering};

use support::{Sink, SystemBuilder};

#[path = "../../crates/net/tests/support/dns.rs"]
pub(crate) mod dns;

#[test]
fn content_arrives_as_it_was_sent() {
    let sink = Sink::start();
    let system = SystemBuilder::new().smarthost(sink.address()).start();
    let mut client = system.session();
    let text = "Subject: dots\n\n.\n..\n.two\n\nend\n";
    client.transaction("carol@example.org", &["dave@far.test"], text);
    let received = sink.wait(|received| received.len() == 1).remove(0);
    assert!(received.mail.starts_with("MAIL FROM:<carol@example.org>"), "{}", received.mail);
    assert_eq!(received.rcpt, ["RCPT TO:<dave@far.test>"]);
    assert!(received.content.ends_with(&text.replace('\n', "\r\n")), "{}", received.content);
    let (_, queue_id) = received.content.split_once("id ").unwrap();
    system.wait_log(|line| line.contains(&queue_id[..11]));
}

#[test]
fn large_content_is_streamed_both_ways() {
    let sink = Sink::start();
    let system = SystemBuilder::new().smarthost(sink.address()).start();
    let mut client = system.session();
    let text = format!("Subject: large\n\n{}", "0123456789abcde\n".repeat(300_000));
    client.transaction("carol@example.org", &["dave@far.test"], &text);
    let received = sink.wait(|received| received.len() == 1).remove(0);
    assert!(received.content.ends_with(&text.replace('\n', "\r\n")));
    let spool = system.path("var/spool/pennypost/queue/content");
    system.wait_log(|line| line.contains("to=<dave@far.test>") && line.contains("stat=Sent"));
    let end = std::time::Instant::now() + support::PATIENCE;
    while std::fs::read_dir(&spool).unwrap().count() > 0 {
        assert!(std::time::Instant::now() < end, "the spool file stays");
        std::thread::yield_now();
    }
}

#[test]
fn recipients_of_one_next_hop_share_a_transaction_and_messages_a_connection() {
    let hellos = std::sync::Arc::new(AtomicUsize::new(0));
    let counter = hellos.clone();
    let sink = Sink::scripted(move |line| {
        if line.starts_with("EHLO") {
            counter.fetch_add(1, Ordering::Relaxed);
        }
        None
    });
    let system = SystemBuilder::new().smarthost(sink.address()).start();
    let mut client = system.session();
    for round in 1..=5 {
        client.transaction(
            "carol@example.org",
            &["d@far.test", "e@other.test"],
            "Subject: x\n\nx\n",
        );
        let received = sink.wait(|received| received.len() == round);
        assert_eq!(received[round - 1].rcpt.len(), 2);
    }
    assert_eq!(hellos.load(Ordering::Relaxed), 1, "the connection is kept for remote.idle");
}

#[test]
fn a_deferral_is_tried_again_until_it_succeeds() {
    let tries = AtomicUsize::new(0);
    let sink = Sink::scripted(move |line| {
        let first = line.starts_with("RCPT") && tries.fetch_add(1, Ordering::Relaxed) < 2;
        first.then(|| "450 4.2.0 come back later".to_owned())
    });
    let system = SystemBuilder::new()
        .smarthost(sink.address())
        .config("[queue]\nfirst_retry = \"1s\"\nmax_retry = \"1s\"\n")
        .start();
    system.session().transaction("carol@example.org", &["dave@far.test"], "Subject: x\n\nx\n");
    system.wait_log(|line| line.contains("dsn=4.2.0") && line.contains("come back later"));
    sink.wait(|received| received.len() == 1);
}

/// Two names of loopback with one port: the MX lookups end at servers of ours.
#[test]
fn the_dns_says_where_to_go() {
    let sink = Sink::on(TcpListener::bind("127.0.0.1:0").unwrap(), |_| None);
    let dns = dns::Dns::start(
        "far.test MX 10 dead.far.test\n\
         far.test MX 20 mx.far.test\n\
         dead.far.test A 127.0.0.9\n\
         mx.far.test A 127.0.0.1\n\
         direct.test A 127.0.0.1\n\
         null.test MX 0 .\n",
    );
    let resolver = dns.address;
    let system = SystemBuilder::new()
        .table("mailertable", &format!(
            "far.test\tesmtp:far.test:{0}\ndirect.test\tesmtp:direct.test:{0}\nnull.test\tesmtp:null.test:{0}\nnowhere.test\tesmtp:nowhere.test:{0}\n",
            sink.address().port()
        ))
        .config(&format!("[remote]\nresolver = [\"{resolver}\"]\nfamilies = \"ipv4\"\n"))
        .start();
    let mut client = system.session();
    client.transaction("alice@local.test", &["a@far.test"], "Subject: mx\n\nx\n");
    client.transaction("alice@local.test", &["b@direct.test"], "Subject: implicit mx\n\nx\n");
    sink.wait(|received| received.len() == 2);
    client.transaction("alice@local.test", &["c@null.test"], "Subject: null mx\n\nx\n");
    client.transaction("alice@local.test", &["d@nowhere.test"], "Subject: no domain\n\nx\n");
    let bounces = system.wait_mail("alice", 2);
    let all = bounces.concat();
    assert!(all.contains("Status: 5.1.10") && all.contains("Status: 5.1.2"), "{all}");
}
