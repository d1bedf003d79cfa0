//! Plays `server/*.smtp` over TCP against the whole system. Dialogues that need other settings, or
//! time to pass, run against the state machine only (`crates/smtp/tests/server_dialogues.rs`).

mod postfix;
#[expect(dead_code, reason = "each test uses its part")]
mod script;

use std::collections::VecDeque;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use nix::sys::signal::{Signal, kill};
use script::{Script, Step};
use support::{Client, System, SystemBuilder};

#[test]
fn every_dialogue_goes_as_written_over_tcp() {
    let system = SystemBuilder::new()
        .replace("mta.test", "mx.mail.test")
        .config("[relay]\nnetworks = []\n")
        .table("local-host-names", "mail.test\n")
        .start();
    let scripts = script::all(&Path::new(env!("CARGO_MANIFEST_DIR")).join("dialogues/server"));
    let scripts: Vec<_> = scripts.iter().filter(|script| fits_tcp(script)).collect();
    assert!(scripts.len() >= 40, "only {} dialogues", scripts.len());
    for script in scripts {
        play(&system, script);
    }
}

fn fits_tcp(script: &Script) -> bool {
    script.settings.iter().all(|(key, _)| key == "split")
        && !script.steps.iter().any(|step| matches!(step, Step::Wait(_) | Step::Drain))
}

/// How many messages have been accepted so far.
fn accepted(system: &System) -> usize {
    static ASKED: AtomicUsize = AtomicUsize::new(0);
    // The log comes through a pipe: a line of this question's own is behind all that was before.
    let asks = format!("asks-{}.test", ASKED.fetch_add(1, Ordering::Relaxed));
    let mut client = Client::connect(system.smtp());
    client.command(&format!("EHLO {asks}"), "250");
    client.command("DATA", "503");
    system.wait_log(|line| line.contains(&asks));
    system.log().iter().filter(|line| line.contains("nrcpts=")).count()
}

fn play(system: &System, script: &Script) {
    let before = accepted(system);
    let mut steps = script.steps.iter().enumerate();
    let mut client = match script.steps.first() {
        Some(Step::Send(bytes)) => {
            steps.next();
            early_talker(system, bytes)
        }
        _ => Client::dial(system.smtp()).unwrap(),
    };
    let mut lines = VecDeque::new();
    for (number, step) in steps {
        let place = format!("{} ({}), step {}", script.path.display(), script.title, number + 1);
        match step {
            // The server may have closed already.
            Step::Send(bytes) => drop(client.send(bytes)),
            Step::Expect(expected) => {
                if lines.is_empty() {
                    let reply = client.reply().unwrap_or_else(|error| panic!("{place}: {error}"));
                    let reply = reply.unwrap_or_else(|| panic!("{place}: closed"));
                    lines.extend(reply.lines().map(str::to_owned));
                }
                let line = lines.pop_front().unwrap();
                assert!(script::fits(expected, &line), "{place}: {expected}, got {line}");
            }
            Step::Close => {
                assert!(lines.is_empty(), "{place}: {lines:?}");
                // A reset is an end, too.
                assert!(matches!(client.reply(), Ok(None) | Err(_)), "{place}: still open");
            }
            Step::Gone => break,
            Step::Queued(number) => assert_eq!(accepted(system), before + number, "{place}"),
            Step::Content(_) | Step::Wait(_) | Step::Drain => {}
        }
    }
}

/// A client whose words are there before the server looks: who is quicker is not left to chance.
fn early_talker(system: &System, words: &[u8]) -> Client {
    let (_, server) = system.daemons().into_iter().find(|(name, _)| name == "smtpd mx").unwrap();
    kill(server, Signal::SIGSTOP).unwrap();
    let mut client = Client::dial(system.smtp()).unwrap();
    client.send(words).unwrap();
    kill(server, Signal::SIGCONT).unwrap();
    client
}
