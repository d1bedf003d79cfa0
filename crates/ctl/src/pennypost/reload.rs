//! `pennypost reload`.

use std::io::{self, Write};

use clap::Args;
use ipc::admin::{Answer, Command, Hello, Reloaded};
use serde_json::json;

use crate::control::{Control, misunderstood, wait};
use crate::listing::{age, json_line};
use crate::site::Site;
use crate::{Exit, Failure};

/// Bring changed files into force now, and say what changed
///
/// The mail system sees by itself within a second that pennypost.toml or a table was changed. This
/// waits until the files are in force and says since when and what they changed, or shows why they
/// are not: then nothing has changed, and the exit code is 78. No session and no delivery is disturbed.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  pennypost reload
  pennypost reload --json | jq -r '.changes[]'")]
pub(super) struct Reload {
    /// One JSON object
    #[arg(long)]
    json: bool,
}

impl Reload {
    pub(super) fn run(self, site: &Site) -> Result<Exit, Failure> {
        let answer = wait(async {
            Control::open(site, Hello::Supervisor).await?.command(Command::Reload).await
        })?;
        match answer {
            Answer::Reloaded(reloaded) => {
                let mut out = io::stdout().lock();
                if self.json {
                    write_json(&reloaded, &mut out)?;
                } else {
                    write(&reloaded, crate::now(), &mut out)?;
                }
                Ok(Exit::Ok)
            }
            Answer::NotReloaded(why) => {
                Err(Failure::new(Exit::Config, format!("nothing changes:\n{why}")))
            }
            Answer::Stopped | Answer::Status(_) | Answer::NotAllowed => Err(misunderstood()),
        }
    }
}

fn write(reloaded: &Reloaded, now: i64, out: &mut impl Write) -> io::Result<()> {
    let Reloaded { generation, since, changes, warnings } = reloaded;
    for warning in warnings {
        writeln!(out, "{warning} (the line is skipped)")?;
    }
    write!(out, "configuration {generation} is in force, for {}", age(now - since))?;
    if changes.is_empty() {
        writeln!(out)
    } else {
        writeln!(out, ": {} changed", changes.join(", "))
    }
}

fn write_json(reloaded: &Reloaded, out: &mut impl Write) -> io::Result<()> {
    let Reloaded { generation, since, changes, warnings } = reloaded;
    let object = json!({
        "generation": generation, "since": since, "changes": changes, "warnings": warnings,
    });
    json_line(&object, out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(changes: &[&str], warnings: &[&str]) -> String {
        let texts = |texts: &[&str]| texts.iter().map(ToString::to_string).collect();
        let (changes, warnings) = (texts(changes), texts(warnings));
        let mut out = Vec::new();
        let reloaded = Reloaded { generation: 3, since: 1000, changes, warnings };
        write(&reloaded, 1002, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn what_changed_is_said() {
        assert_eq!(shown(&[], &[]), "configuration 3 is in force, for 2s\n");
        let some = "aliases:2: bad (the line is skipped)\n\
                    configuration 3 is in force, for 2s: [limits], aliases changed\n";
        assert_eq!(shown(&["[limits]", "aliases"], &["aliases:2: bad"]), some);
    }
}
