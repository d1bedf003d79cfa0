//! `pennypost demo`: a mail system of its own, and two messages that go all the way.
//!
//! **Invariant:** what is told has been seen: in a reply, in the log, in the mailbox.

mod ground;
mod post;
mod system;

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use envelope::{QueueId, printable};
use tokio::signal::unix::{SignalKind, signal};

use super::start::find;
use crate::control::wait;
use crate::{Exit, Failure};
use ground::Ground;
use system::System;

/// How long a message may take from acceptance to the mailbox.
const DELIVERY: Duration = Duration::from_secs(30);
/// Bytes of a delivered message that are shown.
const SHOWN: usize = 8 * 1024;

/// See two messages go all the way, without installing anything
///
/// Makes a temporary root with a configuration, a user and a mailbox, starts the whole mail system
/// there as yourself, on free ports of this machine's loopback, sends one message through SMTP and
/// one through sendmail, and shows each step and what arrives. Ctrl-C ends it and removes
/// everything.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  pennypost demo
  pennypost demo --once && echo works
  pennypost demo --dir /tmp/mail       keep what it makes, to look around")]
pub(super) struct Demo {
    /// Make the root here, and leave it when the demo ends
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// End after the story: 0 when everything arrived
    #[arg(long)]
    once: bool,
}

impl Demo {
    pub(super) fn run(self) -> Result<Exit, Failure> {
        let ground = Ground::make(self.dir)?;
        let told = wait(self_contained(&ground, self.once));
        let cleaned = ground.clean_up();
        told.and(cleaned).map(|()| Exit::Ok)
    }
}

/// From the start of the system to its end, whatever happens between.
async fn self_contained(ground: &Ground, once: bool) -> Result<(), Failure> {
    let broken = |error: io::Error| Failure::new(Exit::Software, format!("signals: {error}"));
    let mut interrupt = signal(SignalKind::interrupt()).map_err(broken)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(broken)?;
    let mut system = System::start(ground)?;
    let told = tokio::select! {
        told = story(ground, &mut system, once) => told,
        _ = interrupt.recv() => interrupted(once),
        _ = terminate.recv() => interrupted(once),
    };
    // Whoever listens no longer gets the system stopped all the same.
    let said = say("\nStopping ...");
    let stopped = system.stop().await;
    told.and(said).and(stopped)
}

/// Ctrl-C is how the demo ends, but not how `--once` succeeds.
fn interrupted(once: bool) -> Result<(), Failure> {
    if once { Err(Failure::new(Exit::TempFail, "interrupted before the end")) } else { Ok(()) }
}

async fn story(ground: &Ground, system: &mut System, once: bool) -> Result<(), Failure> {
    say(&format!("A mail system below {}\n", ground.root().display()))?;
    say(&indented(ground.configuration()))?;
    system.ready().await?;
    say(&format!(
        "It runs (pid {}): supervisor, smtpd, policyd, qmgr, remote, local.",
        system.pid()
    ))?;

    say(&format!("\n1. A message through SMTP, to port {}\n", ground.mx.port()))?;
    let id = post::through_smtp(ground).await?;
    say(&format!("\n   Accepted as {id}: from here on it survives a crash. The log says:\n"))?;
    show_delivery(ground, system, id).await?;

    say("\n2. A message through the command sendmail, as programs send it\n")?;
    let id = post::through_sendmail(ground).await?;
    say(&format!("\n   Accepted as {id}. The log says:\n"))?;
    show_delivery(ground, system, id).await?;

    if once {
        return say("\nBoth messages arrived.");
    }
    say(&how_to_send_more(ground)?)?;
    system.follow(|line| say(&format!("   {line}"))).await
}

/// Follows the log until the message is in the mailbox, and shows it.
async fn show_delivery(ground: &Ground, system: &mut System, id: QueueId) -> Result<(), Failure> {
    let name = id.to_string();
    let arrival = async {
        loop {
            let line = system.line().await?;
            if !line.contains(&name) {
                continue;
            }
            say(&format!("   {line}"))?;
            if let Some(path) = ground.delivered(id) {
                return Ok(path);
            }
        }
    };
    let arrived = tokio::time::timeout(DELIVERY, arrival).await;
    let path = arrived.unwrap_or_else(|_| {
        let text = format!("{id} has not arrived within {} s", DELIVERY.as_secs());
        Err(Failure::new(Exit::TempFail, text))
    });
    let path = path.map_err(|failure| system.with_log(failure))?;
    say(&format!("\n   Delivered: {}\n", path.display()))?;
    say(&readable(&path)?)
}

fn readable(path: &Path) -> Result<String, Failure> {
    let content = std::fs::read(path)
        .map_err(|error| Failure::new(Exit::IoErr, format!("{}: {error}", path.display())))?;
    let content = String::from_utf8_lossy(content.get(..SHOWN).unwrap_or(&content)).into_owned();
    let lines =
        content.lines().map(|line| format!("   | {}", printable(&line.replace('\t', "    "))));
    Ok(lines.collect::<Vec<_>>().join("\n"))
}

fn how_to_send_more(ground: &Ground) -> Result<String, Failure> {
    let root = ground.root().display();
    let (sendmail, pennypost) = (find("sendmail")?, find("pennypost")?);
    let (sendmail, pennypost, mx) = (sendmail.display(), pennypost.display(), ground.mx);
    let (user, domain) = (ground::USER, ground::HOSTNAME);
    Ok(format!(
        "\nIt goes on until Ctrl-C; the log follows below. From another terminal:\n\n\
         \x20  printf 'Subject: hi\\n\\nhello\\n' | PENNYPOST_ROOT={root} {sendmail} -i {user}\n\
         \x20  curl smtp://{mx} --mail-from me@example.net --mail-rcpt {user}@{domain} -T FILE\n\
         \x20  {pennypost} --root {root} status\n\
         \x20  {pennypost} --root {root} queue\n\
         \x20  ls {}\n",
        ground.mailbox().display()
    ))
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("   {line}\n")).collect()
}

fn say(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}")?;
    Ok(out.flush()?)
}
