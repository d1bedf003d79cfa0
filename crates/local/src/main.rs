//! `local`: has the mail of this machine's users stored by a process that runs as the user.
//!
//! It answers `qmgr`, asks the supervisor for a `deliver` process of the user, and passes the
//! message on. It opens no file, and can no more than hand mail to the wrong user.
//!
//! **Invariant:** no answer from `deliver` means deferred, never failed.

mod attempt;
mod border;
mod catch_all;
mod conversation;
mod place;
mod processes;

use std::process::ExitCode;
use std::sync::Arc;

use daemon::{Drain, House, Sandbox};
use ipc::delivery::Attempt;
use ipc::{Arrow, Connection};
use tokio::task::JoinSet;

use attempt::Agent;
use border::Border;

/// Connections from `qmgr`, each with at most one attempt under way.
const MAX_CONNECTIONS: usize = 256;

fn main() -> ExitCode {
    daemon::run("local", story)
}

async fn story(mut house: House) -> Result<(), daemon::Error> {
    let border = Border::read(&house.generation)?;
    house.enter(Sandbox::new())?;
    let mut attempts = house.answers(Arrow::QmgrToLocal)?;
    let agent = Arc::new(Agent::new(&house.config, border, house.asks(Arrow::LocalToSupervisor)?));
    let mut drain = house.drain();
    let mut idle = tokio::time::interval(processes::IDLE);
    idle.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut serving = JoinSet::new();
    house.ready();
    loop {
        tokio::select! {
            connection = attempts.next_or_end(), if serving.len() < MAX_CONNECTIONS => {
                // `qmgr` has gone over to our successor.
                let Some(connection) = connection else { break };
                serving.spawn(serve(connection, Arc::clone(&agent), house.drain()));
            }
            Some(_) = serving.join_next() => {}
            _ = idle.tick(), if agent.processes.any() => agent.processes.close_idle(),
            () = drain.begun() => break,
        }
    }
    while serving.join_next().await.is_some() {}
    Ok(())
}

/// Answers attempts on one connection until `qmgr` closes it or we drain.
async fn serve(mut connection: Connection, agent: Arc<Agent>, mut drain: Drain) {
    loop {
        let received = tokio::select! {
            received = connection.receive::<Attempt>() => received,
            () = drain.begun() => return,
        };
        let frame = match received {
            Ok(frame) => frame,
            Err(ipc::Error::PeerGone) => return,
            Err(error) => return tracing::error!("an attempt cannot be understood: {error}"),
        };
        let outcomes = agent.deliver(frame).await;
        if connection.send(&outcomes, b"", None).await.is_err() {
            return;
        }
    }
}
