//! A long queue: restart after `kill -9`, and memory.

use std::time::{Duration, Instant};

use support::{Sink, SystemBuilder};

/// Messages; `PENNYPOST_BACKLOG=100000` is what docs/reliability.md reports.
const MESSAGES: usize = 3_000;
/// `qmgr` with all of them queued.
const MAX_RSS_KIB: usize = 64 * 1024;

#[test]
fn a_long_queue_costs_no_memory_and_no_time_at_the_restart() {
    let messages =
        std::env::var("PENNYPOST_BACKLOG").ok().and_then(|n| n.parse().ok()).unwrap_or(MESSAGES);
    let closed = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(true));
    let gate = closed.clone();
    let sink = Sink::scripted(move |line| {
        let refuse = line.starts_with("MAIL") && gate.load(std::sync::atomic::Ordering::Relaxed);
        refuse.then(|| "451 4.3.2 not yet".to_owned())
    });
    let mut system = SystemBuilder::new()
        .smarthost(sink.address())
        .config("[queue]\nfirst_retry = \"5m\"\n")
        .start();
    let senders: Vec<_> = (0..10)
        .map(|_| {
            let mut client = system.session();
            let count = messages / 10;
            let text = format!("Subject: backlog\n\n{}", "0123456789abcde\n".repeat(256));
            std::thread::spawn(move || {
                for _ in 0..count {
                    client.transaction("", &["dave@far.test"], &text);
                }
            })
        })
        .collect();
    for sender in senders {
        sender.join().unwrap();
    }
    // One message whose turn comes right after the restart.
    let rss = resident_kib(&system);
    let file = file_size(&system);
    system.kill();
    closed.store(false, std::sync::atomic::Ordering::Relaxed);
    let begin = Instant::now();
    system.start();
    let ready = begin.elapsed();
    system.session().transaction("", &["alice@local.test"], "Subject: first\n\nx\n");
    system.wait_mail("alice", 1);
    let first = begin.elapsed();
    let count = system.command("pennypost").args(["queue", "count", "--json"]).output().unwrap();
    println!(
        "{messages} queued: ready after {ready:?}, first delivery after {first:?}, qmgr {rss} KiB, \
         then {} KiB, file {file} bytes, {}",
        resident_kib(&system),
        String::from_utf8_lossy(&count.stdout).trim()
    );
    assert!(rss < MAX_RSS_KIB && resident_kib(&system) < MAX_RSS_KIB, "{rss} KiB");
    assert!(first < Duration::from_secs(10), "{first:?}");
}

fn resident_kib(system: &support::System) -> usize {
    let (_, pid) = system.daemons().into_iter().find(|(name, _)| name == "qmgr").unwrap();
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn file_size(system: &support::System) -> u64 {
    let folder = std::fs::read_dir(system.path("var/spool/pennypost/queue")).unwrap();
    folder.map(|entry| entry.unwrap().metadata().unwrap().len()).max().unwrap()
}
