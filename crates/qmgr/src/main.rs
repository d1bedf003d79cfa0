//! The queue manager's process; see the library beside it.

use std::process::ExitCode;
use std::sync::Arc;

use daemon::{Error, House, LoadGauge, Permit, Sandbox};
use ipc::Arrow;
use qmgr::active::{Active, Inbox};
use qmgr::shared::Shared;
use qmgr::{admin, submission};
use tokio::sync::mpsc;

fn main() -> ExitCode {
    daemon::run("qmgr", queue)
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
