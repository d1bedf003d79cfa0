//! `pennypost reload`.

use std::io::{self, Write};

use clap::Args;
use ipc::admin::{Answer, Command, Hello, Reloaded};
use serde_json::json;

use crate::control::{Control, misunderstood, wait};
use crate::listing::json_line;
use crate::site::Site;
use crate::{Exit, Failure};

/// Bring changed files into force now, and say what changed
///
/// The mail system sees by itself within a second that pennypost.toml or a table was changed. This
/// waits until the files are in force, or shows why they are not: then nothing has changed, and the
/// exit code is 78. No session and no delivery is disturbed.
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
                    write(&reloaded, &mut out)?;
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

fn write(reloaded: &Reloaded, out: &mut impl Write) -> io::Result<()> {
    let Reloaded { generation, changes, warnings } = reloaded;
    for warning in warnings {
        writeln!(out, "{warning} (the line is skipped)")?;
    }
    if changes.is_empty() {
        return writeln!(out, "configuration {generation} is in force: nothing has changed");
    }
    writeln!(out, "configuration {generation} is in force: {} changed", changes.join(", "))
}

fn write_json(reloaded: &Reloaded, out: &mut impl Write) -> io::Result<()> {
    let Reloaded { generation, changes, warnings } = reloaded;
    let object = json!({ "generation": generation, "changes": changes, "warnings": warnings });
    json_line(&object, out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(changes: &[&str], warnings: &[&str]) -> String {
        let texts = |texts: &[&str]| texts.iter().map(ToString::to_string).collect();
        let (changes, warnings) = (texts(changes), texts(warnings));
        let mut out = Vec::new();
        write(&Reloaded { generation: 3, changes, warnings }, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn what_changed_is_said() {
        let nothing = "configuration 3 is in force: nothing has changed\n";
        assert_eq!(shown(&[], &[]), nothing);
        let some = "aliases:2: bad (the line is skipped)\n\
                    configuration 3 is in force: [limits], aliases changed\n";
        assert_eq!(shown(&["[limits]", "aliases"], &["aliases:2: bad"]), some);
    }
}
