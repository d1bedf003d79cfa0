//! Starts `deliver` for a user, for `local`.
//!
//! **Invariant:** never as root. Mail for root is written by `local.default_user`.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;

use daemon::{Identity, Owner, Places};
use ipc::run_as::{RunAs, Started, Who};
use ipc::{Connection, Incoming};
use nix::unistd::geteuid;
use tokio::process::Command;
use tokio::sync::Semaphore;

use crate::house::House;
use crate::process::confine;

/// `deliver` processes at a time; `local` keeps fewer, and those of a `local` that died end soon.
const MAX_PROCESSES: usize = 128;
/// Of one user, who can keep them from ending (SIGSTOP). Two do all work of a `local`. Under `--root`, where
/// all are the caller's, `local` alone bounds them.
const MAX_OF_USER: usize = 16;
/// Connections of `local`.
const MAX_CONNECTIONS: usize = 128;

/// Answers `local`.
#[derive(Debug)]
pub(crate) struct Runner {
    house: Arc<House>,
    program: PathBuf,
    processes: Places,
}

impl Runner {
    pub(crate) fn new(house: &Arc<House>, program: PathBuf) -> Self {
        let processes = Places::new(MAX_PROCESSES, MAX_OF_USER);
        Self { house: Arc::clone(house), program, processes }
    }

    /// For as long as the supervisor lives.
    pub(crate) async fn serve(self, mut incoming: Incoming) {
        let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        let this = Arc::new(self);
        loop {
            let connection = incoming.next().await;
            let place = Arc::clone(&places).acquire_owned().await;
            tokio::spawn(Arc::clone(&this).talk(connection, place));
        }
    }

    /// Keeps its place until it is over.
    async fn talk(self: Arc<Self>, connection: Connection, _place: impl Send) {
        if let ipc::Error::PeerMisbehaved(how) = self.answer(connection).await {
            tracing::error!("local: {how}");
        }
    }

    /// Until `local` ends or breaks the connection.
    async fn answer(&self, mut connection: Connection) -> ipc::Error {
        loop {
            let request = match connection.receive::<RunAs>().await {
                Ok(frame) => frame.head,
                Err(error) => return error,
            };
            let (started, fd) = self.start(request).await;
            if let Err(error) = connection.send(&started, b"", fd.as_ref().map(AsFd::as_fd)).await {
                return error;
            }
        }
    }

    async fn start(&self, request: RunAs) -> (Started, Option<OwnedFd>) {
        let RunAs { who, id } = request;
        let (generation, wanted) = (self.house.in_force(), who.clone());
        // The name service may ask the network.
        let found = tokio::task::spawn_blocking(move || {
            Owner::find(generation.config(), generation.snapshot.tables.get("users"), &wanted)
        });
        let found = found.await;
        let Owner { home, shell, writer } =
            match found.unwrap_or_else(|error| Err(error.to_string())) {
                Ok(Some(found)) => found,
                Ok(None) => return (Started::UnknownUser, None),
                Err(why) => return (Started::NotNow(why), None),
            };
        match self.spawn(writer, who) {
            Ok(fd) => (Started::Yes { home, shell }, Some(fd)),
            Err(error) => {
                tracing::error!("{id}: deliver cannot be started: {error}");
                (Started::NotNow(format!("deliver cannot be started: {error}")), None)
            }
        }
    }

    pub(crate) fn spawn(&self, writer: Option<Identity>, who: Who) -> io::Result<OwnedFd> {
        let uid = writer.map_or_else(|| geteuid().as_raw(), |writer| writer.uid);
        let place = self.processes.take(uid).ok_or_else(|| io::Error::other("too many of them"))?;
        let (ours, theirs) = UnixStream::pair()?;
        let mut command = Command::new(&self.program);
        // The user may look into this process: it gets no way to our log.
        command.stdin(Stdio::from(OwnedFd::from(theirs)));
        command.stdout(Stdio::null()).stderr(Stdio::null());
        confine(&mut command, writer);
        let mut child = command.spawn()?;
        tokio::spawn(async move {
            match child.wait().await {
                Ok(status) if status.success() => {}
                Ok(status) => tracing::warn!("deliver for {who} ended: {status}"),
                Err(error) => tracing::error!("deliver for {who}: {error}"),
            }
            drop(place);
        });
        Ok(ours.into())
    }
}
