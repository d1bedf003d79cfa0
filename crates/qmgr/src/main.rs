//! The queue manager's process; see the library beside it.

use std::process::ExitCode;
use std::sync::Arc;

use daemon::{Error, House, LoadGauge, Permit, Sandbox};
use ipc::Arrow;
use qmgr::active::{Active, Inbox};
use qmgr::admin::at_rest::{self, AtRest};
use qmgr::shared::Shared;
use qmgr::{admin, submission};
use tokio::sync::mpsc;

fn main() -> ExitCode {
    match std::env::args().nth(1).as_deref() {
        Some("--read-only") => daemon::run("qmgr", look),
        Some(_) | None => daemon::run("qmgr", queue),
    }
}

/// `--read-only`, while the mail system does not run: show what is queued to whoever started this
/// process, and end with him.
async fn look(mut house: House) -> Result<(), Error> {
    let sandbox = Sandbox::new().read_only(&house.config.paths.queue).permit(Permit::Threads);
    let opened = match house.enter(sandbox) {
        Ok(()) => AtRest::open(&house.generation).await,
        Err(error) => Err(error),
    };
    let visitors = house.answers(Arrow::SupervisorToQmgr)?;
    house.ready();
    let mut drain = house.drain();
    tokio::select! {
        shown = at_rest::show(opened, visitors) => Ok(shown?),
        () = drain.begun() => Ok(()),
    }
}

/// The whole job: open the queue; take messages from both roles of `smtpd`, deliver what is due
/// through `remote` and `local`, and let administrators in, until the process drains.
async fn queue(mut house: House) -> Result<(), Error> {
    let load = LoadGauge::open();
    house.enter(Sandbox::new().directory(&house.config.paths.queue).permit(Permit::Threads))?;
    let (wake, wakes) = mpsc::channel(Inbox::WAKES);
    let (call_back, called_back) = mpsc::unbounded_channel();
    let shared = Arc::new(Shared::open(&house, load, wake, call_back).await?);

    let mx = house.answers(Arrow::MxToQmgr)?;
    let submission = house.answers(Arrow::SubmissionToQmgr)?;
    let administrators = house.answers(Arrow::SupervisorToQmgr)?;
    let generations = house.generations()?;
    house.ready();
    let inbox = Inbox { wakes, called_back };
    let work = async {
        tokio::join!(
            submission::serve(&shared, Arrow::MxToQmgr, mx, house.drain()),
            submission::serve(&shared, Arrow::SubmissionToQmgr, submission, house.drain()),
            admin::serve(&shared, administrators, house.drain()),
            shared.follow(generations, house.drain()),
            Active::new(Arc::clone(&shared)).run(inbox, house.drain()),
        )
    };
    tokio::select! {
        _ = work => Ok(shared.close().await?),
        () = shared.store.ended() => Err("the store's thread has ended".into()),
    }
}
