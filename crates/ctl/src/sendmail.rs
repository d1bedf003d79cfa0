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
mod start;
mod submission;
mod test_mode;
mod traffic;
mod verify;
mod watch;

use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use envelope::printable;
use ipc::admin::Action;
use message::Date;
use tables::TrustedUsers;

use crate::caller::Caller;
use crate::routes::table;
use crate::site::{Rules, Site};
use crate::{Exit, Failure, complain, finish, pennypost};
pub(crate) use bridge::{Lines, Verdict};
use letter::Letter;
use options::{Mode, OnError, Options, Patience};
use outcome::{Door, Outcome};
use reading::ReadError;
use traffic::Traffic;
use watch::{Show, Watch};

/// How long `-odi` waits for the first attempt.
const FIRST_ATTEMPT: Duration = Duration::from_secs(60);

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
    let site = Site::from_environment().with_config(options.config.clone());
    if options.identity {
        let hostname = Rules::read(&site).hostname;
        match &options.debug_file {
            Some(path) => identity::write(&hostname, &mut debug_file(path)?)?,
            None => identity::write(&hostname, &mut io::stdout().lock())?,
        }
    }
    let traffic = Traffic::open(options.traffic.as_deref())?;
    match &options.mode {
        Mode::Deliver => deliver(options, &site, &traffic),
        Mode::Smtp => bridge::run(&site.submit_socket(), traffic),
        Mode::List => listing::list(options, &site),
        Mode::Count => listing::count(options, &site),
        Mode::Entries => listing::entries(options, &site),
        Mode::Retry => listing::change(&Action::Retry, options, &site),
        Mode::Hold(reason) => {
            listing::change(&Action::Hold { reason: Some(reason.clone()) }, options, &site)
        }
        Mode::Release => listing::change(&Action::Release, options, &site),
        Mode::Aliases => aliases::run(&site),
        Mode::Verify => verify::run(options, &site),
        Mode::Test => test_mode::run(options, &site),
        Mode::Hosts => hosts::show(options, &site),
        Mode::PurgeHosts => hosts::purge(&site),
        Mode::Session(client) => pennypost::converse(&site, *client),
        Mode::Start(ground) => start::run(*ground, options.config.as_deref(), &site),
        Mode::Check => pennypost::check(&site, options.config.clone()),
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
fn deliver(options: &Options, site: &Site, traffic: &Traffic) -> Result<Exit, Failure> {
    let rules = Rules::read(site);
    let caller = Caller::find(site);
    let content = read(options, rules.message_size)?;
    let date = now();
    doubt(options, &caller, site);
    let letter = Letter::compose(options, &caller, &rules.hostname, date, content)?;
    let door = Door { site, rules: &rules, traffic };
    let mut watch = watch(options, site);
    let outcome = Outcome::of(&letter, options, &door);
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
        OnError::Mail => outcome.mail_back(&letter, &door, date)?,
    };
    let exit = match &mut watch {
        Some(watch) if exit == Exit::Ok => first_attempt(watch, &outcome, options),
        Some(_) | None => exit,
    };
    let misspelt = exit == Exit::Ok && !letter.misspelt.is_empty();
    Ok(if misspelt { Exit::DataErr } else { exit })
}

/// Says with `-v` and `-d` that what is told of the client is not believed. `smtpd` decides that, by the same
/// table; who may not read it hears nothing.
fn doubt(options: &Options, caller: &Caller, site: &Site) {
    let asked = options.verbose || options.identity || options.rules_shown;
    if !asked || !options.submission.client.is_known() {
        return;
    }
    let Ok(config) = site.load() else { return };
    let trusted = table(&config, "trusted-users", |file, from| TrustedUsers::read(file, from));
    if trusted.is_ok_and(|trusted| !trusted.contains(&caller.name)) {
        let name = printable(&caller.name);
        let text = format_args!("warning: {name} is not in trusted-users: -oM and -p are ignored");
        complain("sendmail", text);
    }
}

/// `-odi`: somebody who sees the first attempt. Errors that are mailed back are waited for only to be
/// shown; whoever cannot watch does not.
fn watch(options: &Options, site: &Site) -> Option<Watch> {
    let wants = match options.on_error {
        OnError::Print | OnError::Quiet => true,
        OnError::Mail => options.verbose || options.lookups,
    };
    let waits = options.patience == Patience::FirstAttempt && wants;
    if waits { Watch::begin(site).ok() } else { None }
}

/// The exit code of what became of the recipients. What is deferred is queued, and 0 (finis() in
/// sendmail's main.c); what takes longer, too.
fn first_attempt(watch: &mut Watch, outcome: &Outcome, options: &Options) -> Exit {
    let show = Show { results: options.verbose, lookups: options.lookups, ids: false };
    let seen = watch.follow(outcome.queued(), FIRST_ATTEMPT, show, &mut io::stdout().lock());
    // Whatever became of watching, the message is queued: a failure would have it sent again.
    let Ok(seen) = seen else { return Exit::Ok };
    let failed = seen.failures().map(|(address, status)| {
        if options.on_error == OnError::Print && !options.verbose {
            complain("sendmail", watch::line(address, status));
        }
        Exit::of(status)
    });
    // Each is said.
    let exits: Vec<_> = failed.collect();
    let mailed = options.on_error == OnError::Mail;
    exits.first().copied().filter(|_| !mailed).unwrap_or(Exit::Ok)
}

/// `-D FILE`
fn debug_file(path: &Path) -> Result<File, Failure> {
    let opened = File::options().append(true).create(true).open(path);
    opened.map_err(|error| {
        Failure::new(Exit::CantCreat, format!("cannot open {}: {error}", path.display()))
    })
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
