//! `pennypost status` and `pennypost stop`.

mod kernel;
mod sandbox;

use std::io::{self, Write};

use clap::Args;
use ipc::admin::{Answer, Command, Hello, Process, SystemStatus};
use serde_json::json;

use self::kernel::Kernel;
use self::sandbox::Report;
use crate::control::{Control, Count, misunderstood, wait};
use crate::listing::{Table, age, json_line};
use crate::site::Site;
use crate::{Exit, Failure};

/// Show processes, listeners and the queue at a glance
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  pennypost status
  pennypost status --json | jq -r 'select(.kind == \"process\") | .pid'
  pennypost status --sandbox          what each process may do, and whether the kernel agrees")]
pub(super) struct StatusArgs {
    /// One JSON object a line; "kind" is system, process, listener or queue
    #[arg(long)]
    json: bool,
    /// Show what confines each process: what the kernel says, and what was declared
    ///
    /// Lines that differ have a ! before them, and the exit code is 70. With --json, "kind" is
    /// sandbox.
    #[arg(long)]
    sandbox: bool,
}

impl StatusArgs {
    pub(super) fn run(self, site: &Site) -> Result<Exit, Failure> {
        let (system, count) = wait(async {
            let mut control = Control::open(site, Hello::Supervisor).await?;
            let Answer::Status(system) = control.command(Command::Status).await? else {
                return Err(misunderstood());
            };
            Ok((system, count(site).await))
        })?;
        let mut out = io::stdout().lock();
        if self.sandbox {
            let report = Report::make(&system, Kernel::look);
            if self.json {
                report.write_json(&mut out)?;
            } else {
                report.write(&mut out)?;
            }
            return Ok(if report.agrees() { Exit::Ok } else { Exit::Software });
        }
        if self.json {
            write_json(&system, count.as_ref().ok().copied(), &mut out)?;
        } else {
            write_table(&system, &count, crate::now(), &mut out)?;
        }
        Ok(Exit::Ok)
    }
}

/// Ends the mail system.
pub(super) fn stop(site: &Site) -> Result<Exit, Failure> {
    wait(async {
        let mut control = Control::open(site, Hello::Supervisor).await?;
        match control.command(Command::Stop).await? {
            Answer::Stopped => Ok(Exit::Ok),
            Answer::Status(_)
            | Answer::Reloaded(_)
            | Answer::NotReloaded(_)
            | Answer::NotAllowed => Err(misunderstood()),
        }
    })
}

async fn count(site: &Site) -> Result<Count, Failure> {
    Control::open(site, Hello::Queue).await?.count().await
}

fn write_table(
    system: &SystemStatus,
    count: &Result<Count, Failure>,
    now: i64,
    out: &mut impl Write,
) -> io::Result<()> {
    let SystemStatus { hostname, version, generation, started, .. } = system;
    let running = age(now - started);
    writeln!(out, "Pennypost {version} on {hostname}, up {running}, configuration {generation}\n")?;
    let mut table = Table::new(["PROCESS", "PID", "UP", "RESTARTS"]);
    if let Some(why) = &system.refused {
        writeln!(out, "The files on disk are NOT in force (see pennypost reload):\n{why}\n")?;
    }
    for Process { name, pid, since, restarts, retired, .. } in &system.processes {
        let name = if *retired { format!("{name} (retired)") } else { name.clone() };
        let pid = pid.map_or_else(|| "restarting".to_owned(), |pid| pid.to_string());
        table.row([name, pid, age(now - since), restarts.to_string()]);
    }
    table.write(out)?;
    writeln!(out, "\nLISTENER")?;
    system.listeners.iter().try_for_each(|listener| writeln!(out, "{listener}"))?;
    match count {
        Ok(Count { messages, held, damaged }) => {
            write!(out, "\nQUEUE\nmessages: {messages}, held: {held}")?;
            let hint = "set aside because they are damaged (see pennypost check)";
            if *damaged > 0 { writeln!(out, ", {hint}: {damaged}") } else { writeln!(out) }
        }
        Err(failure) => writeln!(out, "\nQUEUE\nnot known: {failure}"),
    }
}

fn write_json(system: &SystemStatus, count: Option<Count>, out: &mut impl Write) -> io::Result<()> {
    let SystemStatus { hostname, version, generation, started, .. } = system;
    let object = json!({
        "kind": "system", "hostname": hostname, "version": version,
        "generation": generation, "refused": system.refused, "started": started,
    });
    json_line(&object, out)?;
    for Process { name, pid, since, restarts, retired, .. } in &system.processes {
        let object = json!({
            "kind": "process", "name": name, "pid": pid, "since": since, "restarts": restarts,
            "retired": retired,
        });
        json_line(&object, out)?;
    }
    for listener in &system.listeners {
        json_line(&json!({ "kind": "listener", "address": listener }), out)?;
    }
    let object = json!({
        "kind": "queue", "messages": count.map(|count| count.messages),
        "held": count.map(|count| count.held), "damaged": count.map(|count| count.damaged),
    });
    json_line(&object, out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::listing::tests::text;

    fn system() -> SystemStatus {
        SystemStatus {
            hostname: "mail.x.test".to_owned(),
            version: "0.1.0".to_owned(),
            generation: 1,
            refused: None,
            started: 1000,
            processes: vec![process("qmgr", Some(4711), 1000, 0), process("remote", None, 4600, 2)],
            listeners: vec!["127.0.0.1:25 (mx)".to_owned()],
        }
    }

    fn process(name: &str, pid: Option<u32>, since: i64, restarts: u32) -> Process {
        let name = name.to_owned();
        let (retired, identity, confinement) = (false, None, None);
        Process { name, pid, since, restarts, retired, identity, confinement }
    }

    /// Just started with nothing; running; after a reload, with files that are refused.
    #[test]
    fn at_a_glance() {
        let fresh = SystemStatus { processes: Vec::new(), listeners: Vec::new(), ..system() };
        let mut reloaded = system();
        reloaded.generation = 12;
        reloaded.refused = Some("/etc/mail/pennypost.toml:3: unknown key \"x\"".to_owned());
        reloaded.processes.push(Process { retired: true, ..process("smtpd", Some(99), 1000, 0) });
        reloaded.listeners.push("[::1]:587 (submission)".to_owned());
        let count = |messages, held, damaged| Ok(Count { messages, held, damaged });
        let unknown = Err(Failure::new(Exit::Unavailable, "the queue does not answer"));
        for (name, system, count) in [
            ("fresh", fresh, count(0, 0, 0)),
            ("running", system(), count(12, 1, 0)),
            ("damaged", system(), count(12, 1, 2)),
            ("reloaded", reloaded, unknown),
        ] {
            let known = count.as_ref().ok().copied();
            let shown = text(|out| {
                write_table(&system, &count, 4640, out)?;
                write_json(&system, known, out)
            });
            insta::assert_snapshot!(name, shown);
        }
    }
}
