//! A process that does not answer costs time and no memory: clients wait, `smtpd` stays small, and
//! what was waited for is not lost.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::spawn;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use support::{Client, Sink, System, SystemBuilder};

/// Bytes of a message; the content is streamed to a spool file.
const SIZE: usize = 300 * 1024;
/// KiB that a waiting session may cost: two buffers of 64 KiB, their copies, and slack.
const SESSION: usize = 400;
/// Nothing has moved for so long: all clients wait.
const STILL: Duration = Duration::from_secs(1);
const LINE: &str =
    "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\r\n";

/// Sessions at a time; `PENNYPOST_SESSIONS` asks for more.
fn sessions() -> usize {
    std::env::var("PENNYPOST_SESSIONS").ok().and_then(|n| n.parse().ok()).unwrap_or(60)
}

#[test]
fn while_qmgr_stands_still_sessions_wait_in_little_memory() {
    stands_still("qmgr", "250");
}

#[test]
fn while_policyd_stands_still_sessions_wait_in_little_memory() {
    stands_still("policyd", "250");
}

/// RFC 5321 §4.5.3.2: before the client's patience ends it hears 451.
#[test]
fn who_waits_for_policyd_for_a_minute_is_deferred() {
    stands_still("policyd", "451 4.3.0");
}

/// As long as it takes `smtpd` to give up: five minutes.
#[test]
#[ignore = "takes five minutes"]
fn who_waits_for_qmgr_for_five_minutes_is_deferred() {
    stands_still("qmgr", "451 4.3.0");
}

/// Every client's answer begins with `answer`: 250 if the process goes on, 451 if it does not.
fn stands_still(name: &str, answer: &str) {
    let (sink, sessions) = (Sink::start(), sessions());
    let limits = format!("[limits]\nsessions = {}\n", 2 * sessions);
    let system = SystemBuilder::new().smarthost(sink.address()).config(&limits).start();
    let clients: Vec<_> = (0..sessions).map(|_| system.session()).collect();
    let before = system.peak_memory("smtpd mx");
    let stopped = Stopped::stop(&system, name);
    let begun = Instant::now();
    let moved = Arc::<AtomicUsize>::default();
    let (tell, told) = mpsc::channel();
    for (number, client) in clients.into_iter().enumerate() {
        let (moved, tell) = (moved.clone(), tell.clone());
        spawn(move || tell.send(send(client, number, &moved)).unwrap());
    }
    wait_until_still(&moved);
    let grown = system.peak_memory("smtpd mx").saturating_sub(before);
    println!(
        "{name} stands still: {sessions} sessions wait with {} KiB each, smtpd {} KiB more each",
        moved.load(Ordering::Relaxed) / 1024 / sessions,
        grown / sessions
    );
    assert!(grown < 8 * 1024 + SESSION * sessions, "{grown} KiB");
    let goes_on = answer == "250";
    if goes_on {
        assert!(told.try_recv().is_err(), "nobody has an answer yet");
        drop(stopped);
    }
    for reply in told.iter().take(sessions) {
        assert!(reply.starts_with(answer), "{reply}");
    }
    println!("{name}: every client heard {answer} within {:?}", begun.elapsed());
    if goes_on {
        sink.wait(|received| received.len() == sessions);
    }
}

/// One message; returns the first reply to a recipient or to the content that is no plain yes.
fn send(mut client: Client, number: usize, moved: &AtomicUsize) -> String {
    // Longer than anybody here waits for an answer of ours.
    client.set_patience(Duration::from_secs(600));
    client.command("MAIL FROM:<c@example.org>", "250");
    client.send(format!("RCPT TO:<to-{number}@far.test>\r\n").as_bytes()).unwrap();
    let reply = client.reply().unwrap().unwrap();
    if !reply.starts_with("250") {
        return reply;
    }
    client.command("DATA", "354");
    for _ in 0..SIZE / LINE.len() {
        client.send(LINE.as_bytes()).unwrap();
        moved.fetch_add(LINE.len(), Ordering::Relaxed);
    }
    client.send(b".\r\n").unwrap();
    client.reply().unwrap().unwrap()
}

fn wait_until_still(moved: &AtomicUsize) {
    let mut before = usize::MAX;
    loop {
        let now = moved.load(Ordering::Relaxed);
        if now == before {
            return;
        }
        before = now;
        std::thread::sleep(STILL);
    }
}

/// A process that stands still, until this is dropped.
struct Stopped(nix::unistd::Pid);

impl Stopped {
    fn stop(system: &System, name: &str) -> Self {
        let (_, pid) = system.daemons().into_iter().find(|(other, _)| other == name).unwrap();
        kill(pid, Signal::SIGSTOP).unwrap();
        Self(pid)
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        kill(self.0, Signal::SIGCONT).unwrap();
    }
}
