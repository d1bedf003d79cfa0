//! `remote`: takes mail to other systems by SMTP.
//!
//! `qmgr` sends attempts; each is answered with one outcome for each recipient. What comes from
//! the network is hostile: the dialogue itself is the pure [`smtp::client`], names and addresses
//! are found by [`net`], what addresses are called there by [`border`], and every wait here has a bound.
//!
//! **Invariant:** an attempt whose end is not known is answered with deferred, or not at all,
//! which `qmgr` takes for the same.

mod agent;
mod border;
mod connection;
mod content;
mod kept;
mod report;

use std::process::ExitCode;
use std::sync::Arc;

use daemon::{Drain, House, Permit, Sandbox};
use ipc::delivery::Attempt;
use ipc::{Arrow, Connection, Error, Frame};
use tables::{Mailertable, Source as _};
use tokio::task::JoinSet;

use crate::agent::Agent;
use crate::border::Border;
use crate::content::Content;

fn main() -> ExitCode {
    daemon::run("remote", story)
}

/// The whole job: serve `qmgr`, close what was idle for too long, and at the end let the attempts
/// that are under way finish.
async fn story(mut house: House) -> Result<(), daemon::Error> {
    let border = Border::read(&house.generation)?;
    let agent = Arc::new(Agent::new(&house.config, border)?);
    let mailertable = house.generation.table("mailertable", |f, s| Mailertable::read(f, s))?;
    let sockets = house.config.sockets(&mailertable);
    // The resolver has read its files.
    house.enter(Sandbox::new().permit(Permit::CallOut).sockets(sockets))?;
    let mut incoming = house.answers(Arrow::QmgrToRemote)?;
    let mut drain = house.drain();
    let mut serving = JoinSet::new();
    house.ready();
    loop {
        tokio::select! {
            connection = incoming.next_or_end() => {
                // `qmgr` has gone over to our successor.
                let Some(connection) = connection else { break };
                serving.spawn(serve(Arc::clone(&agent), connection, house.drain()));
            }
            Some(_) = serving.join_next() => {}
            () = agent.close_idle() => {}
            () = drain.begun() => break,
        }
    }
    while serving.join_next().await.is_some() {}
    agent.close_all();
    Ok(())
}

/// Answers the attempts of one connection, one after another.
async fn serve(agent: Arc<Agent>, mut connection: Connection, mut drain: Drain) {
    loop {
        let frame = tokio::select! {
            frame = connection.receive::<Attempt>() => frame,
            () = drain.begun() => return,
        };
        let answered = match frame {
            Ok(frame) => answer(&agent, frame, &mut connection).await,
            Err(error) => Err(error),
        };
        match answered {
            Ok(()) => {}
            Err(Error::PeerGone) => return,
            Err(error) => return tracing::warn!("qmgr cannot be answered: {error}"),
        }
    }
}

async fn answer(
    agent: &Agent,
    frame: Frame<Attempt>,
    connection: &mut Connection,
) -> Result<(), Error> {
    let Frame { head: attempt, body, descriptor } = frame;
    let content = Content::new(body, descriptor, attempt.size);
    let outcomes = agent.attempt(attempt, content).await;
    connection.send(&outcomes, b"", None).await
}
