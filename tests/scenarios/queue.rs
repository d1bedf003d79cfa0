//! What is queued, seen and changed from the command line.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use support::{PATIENCE, Sink, System, SystemBuilder};

/// A system whose next hop nobody listens on yet.
fn stuck() -> (System, TcpListener) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let closed =
        Sink::scripted(|line| line.starts_with("MAIL").then(|| "451 4.3.2 closed".to_owned()));
    let system = SystemBuilder::new()
        .table(
            "mailertable",
            &format!(
                "far.test\tesmtp:[127.0.0.1]:{}\nopen.test\tesmtp:[127.0.0.1]:{}\n",
                closed.address().port(),
                address.port()
            ),
        )
        .start();
    (system, listener)
}

fn output(system: &System, arguments: &[&str]) -> String {
    let output = system.command("pennypost").args(arguments).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// Waits until the queue knows why the message waits, which the log tells a moment before.
fn wait_for_deferral(system: &System) -> String {
    let end = Instant::now() + PATIENCE;
    loop {
        let listing = system.command("mailq").output().unwrap().stdout;
        let listing = String::from_utf8(listing).unwrap();
        if listing.contains("closed") {
            return listing;
        }
        assert!(Instant::now() < end, "{listing}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn mailq_tells_what_waits_and_why() {
    let (system, _listener) = stuck();
    let empty = String::from_utf8(system.command("mailq").output().unwrap().stdout).unwrap();
    assert!(empty.contains("is empty"), "{empty}");
    system.session().transaction("alice@local.test", &["dave@far.test"], "Subject: x\n\nx\n");
    system.wait_log(|line| line.contains("stat=Deferred") && line.contains("closed"));
    let listing = wait_for_deferral(&system);
    for part in ["(1 request)", "<alice@local.test>", "<dave@far.test>", "Total requests: 1"] {
        assert!(listing.contains(part), "{part} is not in {listing}");
    }
    let json = output(&system, &["queue", "list", "--json"]);
    let line: serde_json::Value = serde_json::from_str(json.trim()).unwrap();
    assert!(json.contains("dave@far.test"), "{line}");
}

#[test]
fn messages_are_held_released_and_deleted() {
    let (system, _listener) = stuck();
    system.session().transaction("alice@local.test", &["dave@far.test"], "Subject: x\n\nx\n");
    wait_for_deferral(&system);
    output(&system, &["queue", "hold", "--all"]);
    assert!(output(&system, &["queue", "list"]).to_lowercase().contains("held"));
    output(&system, &["queue", "release", "--all"]);
    assert!(!output(&system, &["queue", "list"]).to_lowercase().contains("held"));
    assert!(
        !system.command("pennypost").args(["queue", "delete"]).output().unwrap().status.success()
    );
    output(&system, &["queue", "delete", "--to", "dave"]);
    let listing = String::from_utf8(system.command("mailq").output().unwrap().stdout).unwrap();
    assert!(listing.contains("is empty"), "{listing}");
    let by = format!("(uid {})", nix::unistd::getuid());
    for what in [": held by ", ": released by ", ": deleted by "] {
        system.wait_log(|line| line.contains(what) && line.contains(&by));
    }
}

#[test]
fn a_restart_finds_what_was_queued() {
    let sink = Sink::scripted({
        let refusals = std::sync::atomic::AtomicUsize::new(0);
        move |line| {
            let refuse = line.starts_with("MAIL")
                && refusals.fetch_add(1, std::sync::atomic::Ordering::Relaxed) < 1;
            refuse.then(|| "451 4.3.2 not yet".to_owned())
        }
    });
    let mut system = SystemBuilder::new().smarthost(sink.address()).start();
    system.session().transaction("alice@local.test", &["dave@far.test"], "Subject: x\n\nx\n");
    system.wait_log(|line| line.contains("stat=Deferred"));
    system.kill();
    system.start();
    output(&system, &["queue", "retry", "--all"]);
    sink.wait(|received| received.len() == 1);
    system.stop();
}
