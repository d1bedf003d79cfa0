//! Starts `deliver` for a user, for `local`.
//!
//! **Invariant:** never as root. Mail for root is written by `local.default_user`.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;

use config::{Config, Mailbox, read_table};
use ipc::run_as::{RunAs, Started};
use ipc::{Connection, Incoming};
use nix::unistd::{Group, User};
use tables::Users;
use tokio::process::Command;
use tokio::sync::Semaphore;

use crate::ground::Identity;
use crate::keeper::confine;

/// `deliver` processes at a time; `local` keeps fewer, and those of a `local` that died end soon.
const MAX_PROCESSES: usize = 128;
/// Connections of `local`.
const MAX_CONNECTIONS: usize = 128;

/// Answers `local`.
#[derive(Debug)]
pub(crate) struct Runner {
    config: Arc<Config>,
    program: PathBuf,
    processes: Arc<Semaphore>,
}

/// A user: whom the process becomes (`None` under `--root`), and the home.
#[derive(Debug)]
struct Found {
    identity: Option<Identity>,
    home: PathBuf,
}

impl Runner {
    pub(crate) fn new(config: &Arc<Config>, program: PathBuf) -> Self {
        let processes = Arc::new(Semaphore::new(MAX_PROCESSES));
        Self { config: Arc::clone(config), program, processes }
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
        let RunAs { user, id } = request;
        let (config, name) = (Arc::clone(&self.config), user.clone());
        // The name service may ask the network.
        let found = tokio::task::spawn_blocking(move || find(&config, &name)).await;
        let Found { identity, home } = match found.unwrap_or_else(|error| Err(error.to_string())) {
            Ok(Some(found)) => found,
            Ok(None) => return (Started::UnknownUser, None),
            Err(why) => return (Started::NotNow(why), None),
        };
        match self.spawn(identity, user) {
            Ok(fd) => (Started::Yes { home }, Some(fd)),
            Err(error) => {
                tracing::error!("{id}: deliver cannot be started: {error}");
                (Started::NotNow(format!("deliver cannot be started: {error}")), None)
            }
        }
    }

    fn spawn(&self, identity: Option<Identity>, user: String) -> io::Result<OwnedFd> {
        let place = Arc::clone(&self.processes).try_acquire_owned();
        let place = place.map_err(|_| io::Error::other("too many deliver processes"))?;
        let (ours, theirs) = UnixStream::pair()?;
        let mut command = Command::new(&self.program);
        // The user may look into this process: it gets no way to our log.
        command.stdin(Stdio::from(OwnedFd::from(theirs)));
        command.stdout(Stdio::null()).stderr(Stdio::null());
        confine(&mut command, identity);
        let mut child = command.spawn()?;
        tokio::spawn(async move {
            match child.wait().await {
                Ok(status) if status.success() => {}
                Ok(status) => tracing::warn!("deliver for {user} ended: {status}"),
                Err(error) => tracing::error!("deliver for {user}: {error}"),
            }
            drop(place);
        });
        Ok(ours.into())
    }
}

/// Whose process it is to be. `Err`: it cannot be said now.
fn find(config: &Config, name: &str) -> Result<Option<Found>, String> {
    if config.rooted {
        return find_in_table(config, name);
    }
    let Some(user) = look_up(name)?.filter(|user| user.name == name) else {
        return Ok(None);
    };
    let writer = if user.uid.is_root() {
        let name = &config.local.default_user;
        let plain = look_up(name)?.filter(|writer| !writer.uid.is_root());
        plain.ok_or_else(|| format!("local.default_user {name} is no plain user"))?
    } else if user.uid.as_raw() < config.local.minimum_uid {
        return Ok(None);
    } else {
        user.clone()
    };
    let group = match &config.local.mailbox {
        // The directory of the mailboxes is this group's.
        Mailbox::Mbox(_) => Group::from_name("mail").map_err(|error| format!("mail: {error}"))?,
        Mailbox::Maildir(_) | Mailbox::Command(_) => None,
    };
    let gid = group.map_or(writer.gid, |group| group.gid).as_raw();
    let identity = Some(Identity { uid: writer.uid.as_raw(), gid });
    Ok(Some(Found { identity, home: user.dir }))
}

fn look_up(name: &str) -> Result<Option<User>, String> {
    User::from_name(name).map_err(|error| format!("user {name}: {error}"))
}

/// Under `--root` the users are those of the table `users`, each with a home there.
fn find_in_table(config: &Config, name: &str) -> Result<Option<Found>, String> {
    let table = read_table(config, "users", Users::read).map_err(|error| error.to_string())?;
    let known = table.is_some_and(|users| users.table.contains(name));
    let home = config.paths.root.join("home").join(name);
    Ok(known.then_some(Found { identity: None, home }))
}
