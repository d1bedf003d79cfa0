//! Stands in for any daemon in the supervisor's tests: it answers whatever it is asked with its
//! pid, and as `smtpd` tells its network clients what `qmgr` answered.

use std::process::ExitCode;
use std::time::Duration;

use daemon::{Drain, House};
use ipc::admin::{Visitor, Welcome};
use ipc::{Arrow, Client, Connection, Incoming};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

const TIME: Duration = Duration::from_secs(30);

fn main() -> ExitCode {
    daemon::run("stand_in", story)
}

async fn story(mut house: House) -> Result<(), daemon::Error> {
    use Arrow::{
        MxToPolicyd, MxToQmgr, QmgrToLocal, QmgrToRemote, SubmissionToPolicyd, SubmissionToQmgr,
        SupervisorToQmgr,
    };
    for arrow in [
        MxToPolicyd,
        SubmissionToPolicyd,
        MxToQmgr,
        SubmissionToQmgr,
        QmgrToRemote,
        QmgrToLocal,
        SupervisorToQmgr,
    ] {
        if let Ok(mut incoming) = house.answers(arrow) {
            tokio::spawn(async move { answer_all(arrow, &mut incoming).await });
        }
    }
    let mut serving = JoinSet::new();
    for socket in std::mem::take(&mut house.tcp) {
        let listener = TcpListener::from_std(socket.listener)?;
        serving.spawn(serve(listener, house.asks(MxToQmgr)?, house.drain()));
    }
    house.ready();
    let mut generations = house.generations()?;
    let mut drain = house.drain();
    loop {
        tokio::select! {
            generation = generations.next() => generations.answer(generation.number, Ok(())).await,
            () = drain.nothing_new() => break,
        }
    }
    // Who was accepted is answered.
    while serving.join_next().await.is_some() {}
    Ok(())
}

async fn answer_all(arrow: Arrow, incoming: &mut Incoming) {
    loop {
        tokio::spawn(answer(arrow, incoming.next().await));
    }
}

async fn answer(arrow: Arrow, mut connection: Connection) -> Result<(), ipc::Error> {
    loop {
        if arrow == Arrow::SupervisorToQmgr {
            welcome(&mut connection).await?;
            continue;
        }
        connection.receive::<()>().await?;
        connection.send(&std::process::id(), b"", None).await?;
    }
}

async fn welcome(supervisor: &mut Connection) -> Result<(), ipc::Error> {
    let visitor = supervisor.receive::<Visitor>().await?;
    let client = visitor.descriptor.ok_or(ipc::Error::PeerMisbehaved("no socket"))?;
    supervisor.send(&(), b"", None).await?;
    Connection::from_fd(client)?.send(&Welcome::Yes { admin: false }, b"", None).await
}

async fn serve(listener: TcpListener, qmgr: Client, mut drain: Drain) -> Result<(), ipc::Error> {
    loop {
        let (mut client, _) = tokio::select! {
            accepted = listener.accept() => accepted?,
            () = drain.nothing_new() => return Ok(()),
        };
        // A `qmgr` that dies is asked again, when it is there again.
        let pid = loop {
            match qmgr.call::<_, u32>(&(), b"", None, TIME).await {
                Ok(frame) => break frame.head,
                Err(ipc::Error::PeerGone) => {}
                Err(error) => return Err(error),
            }
        };
        client.write_all(pid.to_string().as_bytes()).await?;
    }
}
