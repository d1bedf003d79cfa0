//! `sendmail`, `mailq`, which is `sendmail -bp`, and `newaliases`, which is `sendmail -bi`.

mod aliases;
mod bridge;
mod dead_letter;
mod drop;
mod help;
mod hosts;
mod identity;
mod letter;
mod listing;
mod options;
mod outcome;
mod reading;
mod submission;
mod test_mode;
mod verify;

use std::io::{self, Write as _};
use std::path::Path;
use std::process::ExitCode;

use message::Date;

use crate::caller::Caller;
use crate::site::{Rules, Site};
use crate::{Exit, Failure, complain, finish};
use letter::Letter;
use options::{Mode, OnError, Options};
use outcome::Outcome;
use reading::ReadError;

/// The whole command.
#[must_use]
pub fn main() -> ExitCode {
    let mut words = std::env::args_os().map(|word| word.to_string_lossy().into_owned());
    let path = words.next().unwrap_or_default();
    let program = Path::new(&path).file_name().and_then(|name| name.to_str()).unwrap_or("sendmail");
    let ended = Options::parse(program, words).and_then(|options| run(program, &options));
    finish(program, ended)
}

fn run(program: &str, options: &Options) -> Result<Exit, Failure> {
    for warning in &options.warnings {
        complain(program, format_args!("warning: {warning}"));
    }
    let site = Site::from_environment();
    if options.identity {
        identity::write(&Rules::read(&site).hostname, &mut io::stdout().lock())?;
    }
    match &options.mode {
        Mode::Deliver => deliver(options, &site),
        Mode::Smtp => bridge::run(&site.submit_socket()),
        Mode::List | Mode::Count | Mode::Retry | Mode::Hold | Mode::Release => {
            listing::run(options, &site)
        }
        Mode::Aliases => aliases::run(&site),
        Mode::Verify => verify::run(options, &site),
        Mode::Test => test_mode::run(&site),
        Mode::Hosts => hosts::show(options, &site),
        Mode::PurgeHosts => hosts::purge(&site),
        Mode::Help => {
            io::stdout().write_all(help::of(program).as_bytes())?;
            Ok(Exit::Ok)
        }
        Mode::Version => {
            writeln!(io::stdout(), "Pennypost {}", env!("CARGO_PKG_VERSION"))?;
            Ok(Exit::Ok)
        }
        Mode::Nothing(why) => {
            complain(program, why);
            Ok(Exit::Ok)
        }
        Mode::NotYet(what) => Err(Failure::new(Exit::Unavailable, what.as_str())),
    }
}

/// Reads the message, submits it, and tells what became of it.
fn deliver(options: &Options, site: &Site) -> Result<Exit, Failure> {
    let rules = Rules::read(site);
    let caller = Caller::find(site);
    let content = read(options, rules.message_size)?;
    let date = now();
    let letter = Letter::compose(options, &caller, &rules.hostname, date, content)?;
    let outcome = Outcome::of(&letter, options, site, &rules);
    if options.verbose {
        outcome.show(&mut io::stdout().lock())?;
    }
    if options.on_error == OnError::Print {
        outcome.refusals().for_each(|refusal| complain("sendmail", refusal));
    }
    if options.on_error != OnError::Quiet {
        // What is no address cannot be told in a notification either.
        letter.misspelt.iter().for_each(|refusal| complain("sendmail", refusal));
    }
    if let Some(why) = outcome.lost() {
        return Err(save(options, &caller, &letter, date, why));
    }
    let exit = match options.on_error {
        OnError::Print | OnError::Quiet => outcome.exit(),
        OnError::Mail => outcome.mail_back(&letter, site, &rules, date)?,
    };
    let misspelt = exit == Exit::Ok && !letter.misspelt.is_empty();
    Ok(if misspelt { Exit::DataErr } else { exit })
}

fn read(options: &Options, limit: u64) -> Result<Vec<u8>, Failure> {
    let read = reading::read(&mut io::stdin().lock(), options.input_end, limit);
    read.map_err(|error| match error {
        ReadError::TooLarge => {
            let text = format!("message too large: {limit} bytes are the most that is taken");
            Failure::new(Exit::DataErr, text)
        }
        ReadError::Io(error) => {
            Failure::new(Exit::NoInput, format!("cannot read the message: {error}"))
        }
    })
}

/// Nobody took the message: the caller gets it back if possible, and 75 in any case.
fn save(options: &Options, caller: &Caller, letter: &Letter, date: Date, why: &str) -> Failure {
    let mut text = format!("the message could not be queued: {why}");
    let home = caller.home.as_deref().filter(|_| options.on_error != OnError::Quiet);
    if let Some(home) = home {
        match dead_letter::save(home, &caller.name, date, &letter.content) {
            Ok(path) => text.push_str(&format!("\nit is saved in {}", path.display())),
            Err(error) => text.push_str(&format!("\nit could not be saved either: {error}")),
        }
    }
    Failure::new(Exit::TempFail, text)
}

/// Now, in the time zone of the caller.
fn now() -> Date {
    let now = jiff::Zoned::now();
    Date { seconds: now.timestamp().as_second(), offset: now.offset().seconds() }
}
