//! `supervisor`: starts the daemons, joins them with edges, watches over them and ends them.
//!
//! It is root, so it is small: it parses no mail and reads no byte from the network.
//!
//! **Invariant:** the supervisor never touches mail; nothing it does or fails to do loses any.

mod arguments;
mod control;
mod edges;
mod ground;
mod house;
mod keeper;
mod listeners;
mod plan;
mod run_as;
mod signals;
mod trouble;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use config::Config;
use ipc::admin::Answer;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::stat::{Mode, umask};
use tokio::sync::mpsc;
use tokio::time::timeout;

use arguments::Arguments;
use control::Control;
use ground::{Accounts, Lock};
use house::House;
use listeners::{Listeners, bind_unix};
use plan::HOUSE;
use run_as::Runner;
use signals::Signals;
use tables::Finding;
use trouble::Trouble;

/// How long one who said stop may take to hear that it is done.
const FAREWELL: Duration = Duration::from_millis(200);
/// How many may wait for that.
const MAX_STOPS: usize = 8;
/// Descriptors of a process: 1,000 sessions with their requests, eight times.
const DESCRIPTORS: u64 = 16 * 1024;
const INSTALLED: &str = "/usr/libexec/pennypost";

fn main() -> ExitCode {
    umask(Mode::from_bits_truncate(0o022));
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(Trouble(code, text)) => {
            eprintln!("pennypost: {text}");
            ExitCode::from(code)
        }
    }
}

fn run() -> Result<(), Trouble> {
    let config = Arguments::read(std::env::args_os().skip(1))?.load()?;
    allow_descriptors();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Trouble::system("runtime", error))?;
    let ended = runtime.block_on(supervise(config));
    // A name service that does not answer must not hold up the end.
    runtime.shutdown_background();
    ended
}

/// Lets the daemons, who inherit it, hold as many descriptors as their sessions need.
fn allow_descriptors() {
    if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        // As far as it goes; a lower limit means fewer sessions.
        let _ = setrlimit(Resource::RLIMIT_NOFILE, soft.max(hard.min(DESCRIPTORS)), hard);
    }
}

/// The whole job.
async fn supervise(config: Config) -> Result<(), Trouble> {
    let programs = find_programs()?;
    let accounts = Accounts::look_up(&config)?;
    let findings = check_tables(&config)?;
    ground::make_directories(&config, &accounts)?;
    let run = &config.paths.run;
    let _lock = Lock::take(run)?;
    let ready_file = run.join("ready");
    let sockets = [run.join("submit"), run.join("control")];
    // One that was left behind says nothing.
    let _ = fs::remove_file(&ready_file);
    let listeners = Listeners::bind(&config)?;
    let control_socket = bind_unix(&run.join("control"))?;
    let mut signals = Signals::new().map_err(|error| Trouble::system("signals", error))?;
    daemon::log::start("supervisor", config.log);
    for finding in findings {
        tracing::warn!("{finding}");
    }

    let config = Arc::new(config);
    let (house, to_qmgr, from_local) = House::start(&config, &accounts, listeners, &programs)?;
    let house = Arc::new(house);
    let runner = Runner::new(&config, programs.join("deliver"));
    tokio::spawn(runner.serve(from_local));
    let (stop, mut stops) = mpsc::channel(MAX_STOPS);
    let control = Control { config, house: Arc::clone(&house), to_qmgr, stop };
    tokio::spawn(control.serve(control_socket));

    let mut waiting = Vec::new();
    tokio::select! {
        () = announce(&house, &ready_file) => {}
        () = signals.end() => {}
        client = stops.recv() => waiting.extend(client),
    }
    tracing::info!("ends");
    house.drain(signals.end()).await;
    for path in sockets.iter().chain([&ready_file]) {
        let _ = fs::remove_file(path);
    }
    while let Ok(client) = stops.try_recv() {
        waiting.push(client);
    }
    for mut client in waiting {
        let _ = timeout(FAREWELL, client.send(&Answer::Stopped, b"", None)).await;
    }
    Ok(())
}

/// Says once that everything works, and is then silent for ever.
async fn announce(house: &House, ready_file: &Path) {
    house.ready().await;
    if let Err(error) = fs::write(ready_file, format!("{}\n", std::process::id())) {
        tracing::error!("{}: {error}", ready_file.display());
    }
    eprintln!("ready");
    std::future::pending().await
}

/// The directory of the daemons: the supervisor's own, or where they are installed.
fn find_programs() -> Result<PathBuf, Trouble> {
    let own = std::env::current_exe().map_err(|error| Trouble::system("own path", error))?;
    let own = own.parent().unwrap_or(Path::new("/"));
    let lacks = |directory: &Path| {
        let mut names = HOUSE.iter().map(|plan| plan.command.0).chain(["deliver"]);
        names.find(|name| !directory.join(name).is_file())
    };
    match (lacks(own), lacks(Path::new(INSTALLED))) {
        (None, _) => Ok(own.to_owned()),
        (_, None) => Ok(PathBuf::from(INSTALLED)),
        (Some(name), _) => {
            let text = format!("no executable {name} in {} or {INSTALLED}", own.display());
            Err(Trouble(trouble::UNAVAILABLE, text))
        }
    }
}

/// What is wrong with the tables, unless it keeps us from starting: without a table that cannot
/// be read mail would be refused or go astray.
fn check_tables(config: &Config) -> Result<Vec<Finding>, Trouble> {
    let findings = config::check_tables(config).into_iter();
    let (grave, others): (Vec<_>, Vec<_>) = findings.partition(|finding| finding.unsupported);
    if grave.is_empty() {
        return Ok(others);
    }
    let lines: Vec<_> = grave.iter().map(ToString::to_string).collect();
    Err(Trouble(trouble::CONFIG, lines.join("\n")))
}
