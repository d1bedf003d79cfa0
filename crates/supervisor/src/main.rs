//! `supervisor`: starts the daemons, joins them with edges, watches over them and ends them.
//!
//! It is root, so it is small: it parses no mail and reads no byte from the network.
//!
//! **Invariant:** the supervisor never touches mail; nothing it does or fails to do loses any.

mod control;
mod edges;
mod generation;
mod house;
mod keeper;
mod plan;
mod process;
mod reload;
mod run_as;

use std::fs;
use std::io::{self, Write as _};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use ground::{Accounts, Arguments, Listeners, Signals, Trouble, bind_unix, pid_file, systemd};
use ipc::admin::Answer;
use nix::sys::stat::{Mode, umask};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::timeout;

use control::Control;
use generation::Generation;
use house::House;
use plan::HOUSE;
use reload::Reloader;
use run_as::Runner;

/// How long one who said stop may take to hear that it is done.
const FAREWELL: Duration = Duration::from_millis(200);
/// How many may wait for that.
const MAX_STOPS: usize = 8;
/// Who may wait for a reload; others wait for their turn.
const MAX_ASKERS: usize = 8;

fn main() -> ExitCode {
    // What the caller left open is for none of the daemons.
    close_fds::set_fds_cloexec(3, &[]);
    umask(Mode::from_bits_truncate(0o022));
    let Err(Trouble(code, text)) = run() else { return ExitCode::SUCCESS };
    // Nobody may be there to read.
    let _ = writeln!(io::stderr(), "pennypost: {text}");
    ExitCode::from(code)
}

fn run() -> Result<(), Trouble> {
    let arguments = Arguments::read(std::env::args_os().skip(1))?;
    ground::allow_descriptors();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Trouble::system("runtime", error))?;
    let ended = runtime.block_on(supervise(arguments));
    // A name service that does not answer must not hold up the end.
    runtime.shutdown_background();
    ended
}

/// The whole job.
async fn supervise(arguments: Arguments) -> Result<(), Trouble> {
    // First: a SIGHUP that nobody hears would end us.
    let hang_up =
        signal(SignalKind::hangup()).map_err(|error| Trouble::system("signals", error))?;
    let snapshot = arguments.snapshot()?;
    let config = &snapshot.config;
    let programs = HOUSE.iter().map(|plan| plan.command.0).chain(["deliver"]);
    let programs = ground::find_programs(programs)?;
    let accounts = Accounts::look_up(config, HOUSE.iter().map(|plan| (plan.account, plan.name)))?;
    ground::make_directories(config, &accounts)?;
    let run = config.paths.run.clone();
    let _lock = ground::lock(&run)?;
    let traces = ["ready", "submit", "control"].map(|name| run.join(name));
    let [ready_file, _, control_socket] = &traces;
    // One that was left behind says nothing.
    let _ = fs::remove_file(ready_file);
    daemon::log::start("supervisor", config);
    let mut open = systemd::sockets();
    let listeners = Listeners::bind(config, &mut open)?;
    systemd::disown(open);
    let control_socket = bind_unix(control_socket)?;
    let mut signals = Signals::new().map_err(|error| Trouble::system("signals", error))?;
    snapshot.findings.iter().for_each(|finding| tracing::warn!("{finding}"));

    let generation = Generation::new(1, snapshot, listeners, Vec::new())?;
    let (house, to_qmgr, from_local) = House::start(generation, &accounts, &programs);
    let house = Arc::new(house);
    let runner = Runner::new(&house, programs.join("deliver"));
    tokio::spawn(runner.serve(from_local));
    let (stop, mut stops) = mpsc::channel(MAX_STOPS);
    let (reload, askers) = mpsc::channel(MAX_ASKERS);
    let control = Control { house: Arc::clone(&house), to_qmgr, reload, stop };
    tokio::spawn(control.serve(control_socket));
    tokio::spawn(Reloader::new(arguments, Arc::clone(&house), askers, hang_up).run());

    tokio::spawn(systemd::watchdog());
    let tell = || tracing::info!("{}", house.status().report());
    let mut first = None;
    tokio::select! {
        () = announce(&house, ready_file) => {}
        () = signals.end(tell) => {}
        client = stops.recv() => first = client,
    }
    tracing::info!("ends");
    systemd::stopping();
    house.drain(signals.end(tell)).await;
    for path in &traces {
        let _ = fs::remove_file(path);
    }
    while let Some(mut client) = first.take().or_else(|| stops.try_recv().ok()) {
        let _ = timeout(FAREWELL, client.send(&Answer::Stopped, b"", None)).await;
    }
    Ok(())
}

/// Says once that everything works, and is then silent for ever. The file is what sendmail's pid file
/// is: the pid, and the command line.
async fn announce(house: &House, ready_file: &Path) {
    house.ready().await;
    if let Err(error) = fs::write(ready_file, pid_file()) {
        tracing::error!("{}: {error}", ready_file.display());
    }
    let _ = writeln!(io::stderr(), "ready");
    systemd::ready(&house.status().summary());
    std::future::pending().await
}
