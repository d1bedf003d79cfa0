//! Random daemons are killed while messages come in and go out.

use std::collections::{HashMap, HashSet};
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use support::{Client, PATIENCE, Sink, System, SystemBuilder};

/// Kills in all; `PENNYPOST_KILLS` asks for more.
const KILLS: usize = 200;
/// Systems side by side: a daemon that died within 10 s of its start is restarted later and later,
/// so that one system can be hurt only so often.
const SYSTEMS: usize = 4;
/// What is queued at least when a daemon is killed.
const QUEUED: usize = 100;
/// Deliveries in flight at most: 20 to the next hop, 20 local.
const IN_FLIGHT: usize = 40;
const MATURE: Duration = Duration::from_secs(11);

#[test]
fn every_acknowledged_message_arrives_whatever_is_killed() {
    let kills = std::env::var("PENNYPOST_KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(KILLS);
    let threads: Vec<_> =
        (0..SYSTEMS).map(|_| std::thread::spawn(move || hurt(kills.div_ceil(SYSTEMS)))).collect();
    let all: Vec<Report> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
    let sum = |count: fn(&Report) -> usize| all.iter().map(count).sum::<usize>();
    println!(
        "kills {}, acknowledged {}, lost {}, duplicates {} (bound {})",
        sum(|r| r.kills),
        sum(|r| r.acknowledged),
        sum(|r| r.lost),
        sum(|r| r.duplicates),
        sum(|r| r.kills) * IN_FLIGHT
    );
    for report in all {
        assert_eq!(report.lost, 0, "{report:?}");
        assert!(report.duplicates <= report.kills * IN_FLIGHT, "{report:?}");
    }
}

#[derive(Debug)]
struct Report {
    kills: usize,
    acknowledged: usize,
    lost: usize,
    duplicates: usize,
}

/// What the senders and the next hop share.
#[derive(Default)]
struct Load {
    acknowledged: Mutex<HashSet<String>>,
    arrived: AtomicUsize,
    sent: AtomicUsize,
    finishing: AtomicBool,
}

impl Load {
    fn queued(&self) -> usize {
        let acknowledged = self.acknowledged.lock().unwrap().len();
        acknowledged.saturating_sub(self.arrived.load(Ordering::Relaxed))
    }

    fn finishing(&self) -> bool {
        self.finishing.load(Ordering::Relaxed)
    }
}

fn hurt(kills: usize) -> Report {
    let load = Arc::new(Load::default());
    let gate = load.clone();
    let sink = Sink::scripted(move |line| {
        // The next hop is as slow as it takes to keep the queue filled.
        while line.starts_with("MAIL") && gate.queued() < QUEUED + IN_FLIGHT && !gate.finishing() {
            std::thread::sleep(Duration::from_millis(2));
        }
        if line == "." {
            gate.arrived.fetch_add(1, Ordering::Relaxed);
        }
        None
    });
    let system = SystemBuilder::new()
        .smarthost(sink.address())
        .config("[queue]\nfirst_retry = \"1s\"\nmax_retry = \"2s\"\nhost_status = \"1s\"\n")
        .start();
    let senders: Vec<_> = (0..4)
        .map(|_| {
            let (load, address) = (load.clone(), system.smtp());
            std::thread::spawn(move || {
                while !load.finishing() {
                    // A broken session is what this test is about: begin the next one.
                    let _ = send(&load, address);
                }
            })
        })
        .collect();
    let mut seen = HashMap::new();
    for _ in 0..kills {
        kill_one(&system, &load, &mut seen);
    }
    load.finishing.store(true, Ordering::Relaxed);
    for sender in senders {
        sender.join().unwrap();
    }
    settle(&system, &sink, &load, kills)
}

/// Kills a daemon that lives long enough to be restarted at once, while enough is queued.
fn kill_one(system: &System, load: &Load, seen: &mut HashMap<Pid, Instant>) {
    let end = Instant::now() + PATIENCE;
    loop {
        assert!(Instant::now() < end, "{} queued: {:#?}", load.queued(), system.log());
        let now = Instant::now();
        let mut daemons = system.daemons();
        fastrand::shuffle(&mut daemons);
        for (_, pid) in &daemons {
            seen.entry(*pid).or_insert(now);
        }
        let mature = daemons.iter().find(|(_, pid)| now - seen[pid] > MATURE);
        if let (Some((_, pid)), true) = (mature, load.queued() >= QUEUED) {
            kill(*pid, Signal::SIGKILL).unwrap();
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// One session; each message is named by its subject, and noted when it got 250.
fn send(load: &Load, address: SocketAddr) -> io::Result<()> {
    let mut client = Client::dial(address)?;
    let ok = |client: &mut Client, code: &str| match client.reply()? {
        Some(reply) if reply.starts_with(code) => Ok(()),
        other => Err(io::Error::other(format!("{other:?}"))),
    };
    ok(&mut client, "220")?;
    client.send(b"EHLO load.test\r\n")?;
    ok(&mut client, "250")?;
    while !load.finishing() {
        if load.queued() > 5 * QUEUED {
            std::thread::sleep(Duration::from_millis(5));
            continue;
        }
        let name = format!("n{}", load.sent.fetch_add(1, Ordering::Relaxed));
        let to = if fastrand::u8(..4) == 0 { "alice@local.test" } else { "dave@far.test" };
        client.send(format!("MAIL FROM:<>\r\nRCPT TO:<{to}>\r\nDATA\r\n").as_bytes())?;
        for code in ["250", "250", "354"] {
            ok(&mut client, code)?;
        }
        client
            .send(format!("Subject: {name}\r\n\r\n{}.\r\n", "x".repeat(70) + "\r\n").as_bytes())?;
        ok(&mut client, "250")?;
        load.acknowledged.lock().unwrap().insert(name);
        if to.starts_with("alice") {
            // Local mail does not pass the gate: it counts as arrived.
            load.arrived.fetch_add(1, Ordering::Relaxed);
        }
    }
    Ok(())
}

/// Waits until everything acknowledged has arrived, and counts.
fn settle(system: &System, sink: &Sink, load: &Load, kills: usize) -> Report {
    let acknowledged = load.acknowledged.lock().unwrap().clone();
    let end = Instant::now() + 2 * PATIENCE;
    loop {
        let mut arrivals: HashMap<String, usize> = HashMap::new();
        let relayed = sink.received().into_iter().map(|received| received.content);
        for text in relayed.chain(system.mail("alice")) {
            *arrivals.entry(subject(&text)).or_default() += 1;
        }
        let lost = acknowledged.iter().filter(|name| !arrivals.contains_key(*name)).count();
        if lost == 0 || Instant::now() > end {
            let duplicates = arrivals.values().map(|count| count - 1).sum();
            return Report { kills, acknowledged: acknowledged.len(), lost, duplicates };
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn subject(text: &str) -> String {
    let line = text.lines().find_map(|line| line.strip_prefix("Subject: "));
    line.unwrap_or("(no subject)").trim_end().to_owned()
}
