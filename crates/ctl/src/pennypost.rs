//! `pennypost`: the administrator's tool.

mod check;
mod completion;
mod demo;
mod duration;
mod explain;
mod host;
mod queue;
mod reload;
mod route;
mod start;
mod status;

pub(crate) use start::{find, supervisor};

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};

pub(crate) use self::explain::{converse, policy};
use crate::site::Site;
use crate::{Exit, Failure, finish};

/// A mail system: what runs, what is queued, and whether all is well.
#[derive(Debug, Parser)]
#[command(name = "pennypost", version, after_help = EXAMPLES, max_term_width = 100)]
struct Cli {
    /// Everything lies below DIR, and the mail system runs as its caller [default: PENNYPOST_ROOT]
    #[arg(long, global = true, value_name = "DIR")]
    root: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  pennypost demo                      see two messages go all the way, without installing anything
  pennypost check                     would it start, and is all well?
  pennypost start                     run the mail system in the foreground
  pennypost queue                     what waits, why, and until when
  pennypost queue retry --domain example.org
  pennypost route postmaster          where mail goes, and by which lines

Exit codes are those of sysexits(3): 0 is success, 64 wrong use, 69 not running, 77 not allowed,
78 a configuration with which it would not start.";

#[derive(Debug, Subcommand)]
enum Command {
    Start(start::Start),
    /// Finish what is under way and end the mail system
    ///
    /// Returns when everything has ended. What is queued stays queued.
    #[command(after_help = "Examples:\n  pennypost stop\n  pennypost stop --root /tmp/mail")]
    Stop,
    Reload(reload::Reload),
    Status(status::StatusArgs),
    Check(check::Check),
    Explain(explain::Explain),
    Queue(Box<queue::Queue>),
    Route(route::RouteArgs),
    Host(host::HostArgs),
    Demo(demo::Demo),
    Completion(completion::Completion),
}

/// The whole command.
#[must_use]
pub fn main() -> ExitCode {
    match Cli::try_parse() {
        Ok(cli) => finish("pennypost", run(cli)),
        Err(error) => {
            // Help goes to stdout, what is wrong to stderr; if nobody reads it, so be it.
            let _ = error.print();
            let exit = if error.use_stderr() { Exit::Usage } else { Exit::Ok };
            exit.into()
        }
    }
}

/// `pennypost check`, for `sendmail -bC`.
pub(crate) fn check(site: &Site, file: Option<PathBuf>) -> Result<Exit, Failure> {
    check::Check::new(file).run(site)
}

fn run(cli: Cli) -> Result<Exit, Failure> {
    let site = cli.root.map_or_else(Site::from_environment, |root| Site::new(Some(root)));
    match cli.command {
        Command::Start(start) => Err(start.run(&site)),
        Command::Stop => status::stop(&site),
        Command::Reload(reload) => reload.run(&site),
        Command::Status(status) => status.run(&site),
        Command::Check(check) => check.run(&site),
        Command::Explain(explain) => explain.run(&site),
        Command::Queue(queue) => queue.run(&site),
        Command::Route(route) => route.run(&site),
        Command::Host(host) => host.run(&site),
        Command::Demo(demo) => demo.run(),
        Command::Completion(completion) => completion.run(Cli::command()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_teaches() {
        fn visit(command: &mut clap::Command) {
            let help = command.render_long_help().to_string();
            let name = command.get_name().to_owned();
            assert!(help.contains("Examples:"), "{name} has no examples");
            let inner = command.get_subcommands_mut().filter(|inner| inner.get_name() != "help");
            inner.for_each(visit);
        }
        let mut command = Cli::command();
        command.build();
        visit(&mut command);
    }
}
