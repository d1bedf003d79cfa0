//! A long queue: restart after `kill -9`, memory, listings, the file.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use support::{PATIENCE, Sink, System, SystemBuilder};

/// Messages; `PENNYPOST_BACKLOG=100000` is what docs/reliability.md reports.
const MESSAGES: usize = 3_000;
const SESSIONS: usize = 10;
/// Bytes of content.
const SIZE: usize = 4096;
/// `qmgr` with all of them queued, at any moment.
const MAX_RSS_KIB: usize = 64 * 1024;
/// From the restart to the first delivery. The goal is 1 s; a debug build on a busy machine has
/// more.
const MAX_FIRST: Duration = Duration::from_secs(5);

#[test]
fn a_long_queue_costs_no_memory_and_no_time_at_the_restart() {
    let messages =
        std::env::var("PENNYPOST_BACKLOG").ok().and_then(|n| n.parse().ok()).unwrap_or(MESSAGES);
    let hop = Hop::start();
    let mut system = SystemBuilder::new()
        .smarthost(hop.sink.address())
        .config("[queue]\nfirst_retry = \"1h\"\nmax_retry = \"1h\"\n")
        .start();
    let begin = Instant::now();
    fill(&system, messages);
    tell("accepted", messages, begin);
    until("each was tried and deferred", || hop.refused.load(Ordering::Relaxed) >= messages);
    until("the queue is idle", || !has_active(&system));
    tell("accepted and deferred", messages, begin);
    let idle = Memory::of(&system);
    println!("queue file: {} bytes", file_size(&system));

    let begin = Instant::now();
    let listing = system.command("mailq").output().unwrap();
    let listing = String::from_utf8(listing.stdout).unwrap();
    assert!(listing.contains(&format!("Total requests: {messages}")), "{}", listing.len());
    tell("mailq lists", messages, begin);

    // All of them are due, and some are under way, when everything is killed.
    hop.set(Hop::HANGS);
    let begin = Instant::now();
    let retry = system.command("pennypost").args(["queue", "retry", "--all"]).output().unwrap();
    assert!(retry.status.success(), "{retry:?}");
    tell("made due", messages, begin);
    until("attempts are under way", || hop.hanging.load(Ordering::Relaxed) > 0);
    let busy = Memory::of(&system);
    system.kill();
    hop.set(Hop::ACCEPTS);
    let begin = Instant::now();
    system.start();
    let ready = begin.elapsed();
    hop.sink.wait(|received| !received.is_empty());
    let first = begin.elapsed();
    println!(
        "killed with all {messages} due: ready after {ready:?}, first delivery after {first:?}"
    );

    let begin = Instant::now();
    until("all are delivered", || count(&system) == 0);
    tell("delivered", messages, begin);
    let after = Memory::of(&system);
    println!("queue file, empty: {} bytes", file_size(&system));
    for (when, Memory { rss, pss, peak }) in
        [("all deferred", &idle), ("all due", &busy), ("after the restart", &after)]
    {
        println!("qmgr, {when}: {rss} KiB RSS, {pss:?} KiB PSS, at most {peak} KiB RSS");
    }
    let received = hop.sink.received();
    // What was under way at the kill had not been given to the next hop.
    assert_eq!(received.len(), messages);
    assert!(received.iter().all(|it| it.content.len() >= SIZE));
    for memory in [idle, busy, after] {
        assert!(memory.peak < MAX_RSS_KIB, "{memory:?}");
    }
    assert!(first < MAX_FIRST, "{first:?}");
}

/// A next hop that changes its mind.
struct Hop {
    sink: Sink,
    mode: Arc<AtomicU8>,
    refused: Arc<AtomicUsize>,
    hanging: Arc<AtomicUsize>,
}

impl Hop {
    const REFUSES: u8 = 0;
    const HANGS: u8 = 1;
    const ACCEPTS: u8 = 2;

    fn start() -> Self {
        let mode = Arc::new(AtomicU8::new(Self::REFUSES));
        let (refused, hanging) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
        let (mode_now, refusals, hangs) = (mode.clone(), refused.clone(), hanging.clone());
        let sink = Sink::scripted(move |line| {
            if !line.starts_with("MAIL") {
                return None;
            }
            if mode_now.load(Ordering::Relaxed) == Self::REFUSES {
                refusals.fetch_add(1, Ordering::Relaxed);
                return Some("451 4.3.2 not yet".to_owned());
            }
            hangs.fetch_add(1, Ordering::Relaxed);
            while mode_now.load(Ordering::Relaxed) == Self::HANGS {
                sleep(Duration::from_millis(5));
            }
            None
        });
        Self { sink, mode, refused, hanging }
    }

    fn set(&self, mode: u8) {
        self.mode.store(mode, Ordering::Relaxed);
    }
}

/// What the kernel says of `qmgr`, in KiB.
#[derive(Debug)]
struct Memory {
    /// Resident, now and at most so far.
    rss: usize,
    peak: usize,
    /// The same, shared pages in proportion; only root may see it.
    pss: Option<usize>,
}

impl Memory {
    fn of(system: &System) -> Self {
        let (_, pid) = system.daemons().into_iter().find(|(name, _)| name == "qmgr").unwrap();
        let read = |file: &str, key: &str| {
            let text = std::fs::read_to_string(format!("/proc/{pid}/{file}")).ok()?;
            let line = text.lines().find(|line| line.starts_with(key))?;
            line.split_whitespace().nth(1)?.parse().ok()
        };
        Self {
            rss: read("status", "VmRSS:").unwrap(),
            peak: read("status", "VmHWM:").unwrap(),
            pss: read("smaps_rollup", "Pss:"),
        }
    }
}

fn fill(system: &System, messages: usize) {
    let sender = |session: usize| {
        let mut client = system.session();
        let text = format!("Subject: backlog\n\n{}", "0123456789abcde\n".repeat(SIZE / 16));
        let count = messages / SESSIONS + usize::from(session < messages % SESSIONS);
        std::thread::spawn(move || {
            for _ in 0..count {
                client.transaction("", &["dave@far.test"], &text);
            }
        })
    };
    let senders: Vec<_> = (0..SESSIONS).map(sender).collect();
    for sender in senders {
        sender.join().unwrap();
    }
}

fn tell(what: &str, messages: usize, begin: Instant) {
    let took = begin.elapsed();
    let rate = messages as f64 / took.as_secs_f64();
    println!("{what}: {messages} in {took:.2?}, {rate:.0} a second");
}

/// Waits for something that goes on in the system.
fn until(what: &str, done: impl Fn() -> bool) {
    let end = Instant::now() + 10 * PATIENCE;
    while !done() {
        assert!(Instant::now() < end, "not in time: {what}");
        sleep(Duration::from_millis(50));
    }
}

fn count(system: &System) -> u64 {
    let output = system.command("pennypost").args(["queue", "count", "--json"]).output().unwrap();
    let count: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    count["messages"].as_u64().unwrap()
}

/// Is any message in a round of attempts?
fn has_active(system: &System) -> bool {
    let output = system.command("pennypost").args(["queue", "list", "--json"]).output().unwrap();
    String::from_utf8(output.stdout).unwrap().contains("\"state\":\"active\"")
}

fn file_size(system: &System) -> u64 {
    let file = system.path("var/spool/pennypost/queue/queue.redb");
    std::fs::metadata(file).unwrap().len()
}
