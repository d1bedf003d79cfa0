//! `pennypost host`: what is known of next hops.

use std::io::{self, BufWriter, Write};

use clap::{Args, Subcommand};
use ipc::admin::{Forget, Hello};

use crate::control::{Control, wait};
use crate::listing::{host_json, host_table, json_line};
use crate::site::Site;
use crate::{Exit, Failure};

/// Show what is known of next hops: the last result, when, and which are left alone
///
/// It is known since the start of the mail system, of the last 2,000 next hops. For administrators
/// (control.admins in pennypost.toml). A next hop where nobody answers is left alone for a growing
/// time, up to queue.host_status.
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "\
Examples:
  pennypost host
  pennypost host --json | jq -r 'select(.alone_until) | .name'
  pennypost host forget example.org"
)]
pub(super) struct HostArgs {
    #[command(subcommand)]
    command: Option<Command>,
    /// One JSON object a line; times are seconds since 1970
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    Forget(ForgetArgs),
}

/// Forget what is known of a next hop, so that it is tried again
///
/// Exit code 68 when nothing is known of it.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  pennypost host forget example.org
  pennypost host forget '[192.0.2.1]:2525'
  pennypost host forget --expired")]
struct ForgetArgs {
    /// As pennypost host shows it
    #[arg(required_unless_present = "expired", conflicts_with = "expired")]
    name: Option<String>,
    /// All whose last attempt is longer ago than queue.host_status
    #[arg(long)]
    expired: bool,
}

impl HostArgs {
    pub(super) fn run(self, site: &Site) -> Result<Exit, Failure> {
        match self.command {
            Some(Command::Forget(forget)) => forget.run(site),
            None => show(site, self.json),
        }
    }
}

fn show(site: &Site, json: bool) -> Result<Exit, Failure> {
    let hosts = wait(async { Control::open(site, Hello::Queue).await?.hosts().await })?;
    let mut out = BufWriter::new(io::stdout().lock());
    if json {
        hosts.iter().try_for_each(|host| json_line(&host_json(host), &mut out))?;
    } else {
        host_table(&hosts, crate::now(), &mut out)?;
    }
    out.flush()?;
    Ok(Exit::Ok)
}

impl ForgetArgs {
    fn run(self, site: &Site) -> Result<Exit, Failure> {
        let name = self.name.clone();
        let forget = self.name.map_or(Forget::Expired, Forget::Name);
        let forgotten =
            wait(async { Control::open(site, Hello::Queue).await?.forget(forget).await })?;
        match (name, forgotten) {
            (Some(name), 0) => {
                Err(Failure::new(Exit::NoHost, format!("nothing is known of {name}")))
            }
            (_, count) => {
                writeln!(io::stdout(), "forgotten: {count}")?;
                Ok(Exit::Ok)
            }
        }
    }
}
