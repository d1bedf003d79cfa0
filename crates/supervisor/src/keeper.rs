//! Keeps one daemon alive: starts it, gives it what the plan says, and starts it again.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use config::{Config, Role, Table, read_table};
use ipc::admin::Process;
use ipc::control::{End, ListenerKind, Push, Report};
use ipc::{Connection, Error, MAX_BODY};
use tokio::process::{Child, Command};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, timeout};

use crate::edges::Edges;
use crate::ground::Identity;
use crate::listeners::Listeners;
use crate::plan::Plan;

/// The only generation of the configuration so far.
pub(crate) const GENERATION: u64 = 1;
/// Fresh edges that wait for a daemon.
pub(crate) const MAX_EDGES: usize = 64;
/// How long a daemon may take to read what it is sent.
const PUSH_TIME: Duration = Duration::from_secs(10);
/// How long a daemon may live on without its control socket before it is killed.
const LAST_SECONDS: Duration = Duration::from_secs(5);
/// A daemon that lived longer is restarted at once.
const SHORT_LIFE: Duration = Duration::from_secs(10);
const FIRST_DELAY: Duration = Duration::from_millis(100);
const MAX_DELAY: Duration = Duration::from_secs(30);
/// What a daemon sees of the environment.
const ENVIRONMENT: [&str; 2] = ["TZ", "RUST_BACKTRACE"];

/// An end of a fresh edge, on its way to a daemon.
pub(crate) type FreshEdge = (End, OwnedFd);

/// What is wanted of a daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    Run,
    Drain,
    /// End, drained or not.
    Close,
}

/// What a keeper tells; it is silent once its daemon is gone for good.
#[derive(Debug, Clone)]
pub(crate) struct State {
    pub(crate) process: Process,
    pub(crate) ready: bool,
}

impl State {
    /// Not yet started.
    pub(crate) fn new(name: &str) -> Self {
        let process = Process { name: name.to_owned(), pid: None, since: now(), restarts: 0 };
        Self { process, ready: false }
    }
}

/// What daemons are given, beside their edges.
#[derive(Debug)]
pub(crate) struct Gifts {
    /// In postcard.
    pub(crate) configuration: Vec<u8>,
    /// Says where the tables are.
    pub(crate) config: Arc<Config>,
    pub(crate) listeners: Listeners,
    pub(crate) edges: Edges,
}

/// The keeper of one daemon.
#[derive(Debug)]
pub(crate) struct Keeper {
    pub(crate) plan: &'static Plan,
    pub(crate) program: PathBuf,
    /// `None`: the caller's own.
    pub(crate) identity: Option<Identity>,
    pub(crate) gifts: Arc<Gifts>,
    pub(crate) edges: mpsc::Receiver<FreshEdge>,
    pub(crate) phase: watch::Receiver<Phase>,
    pub(crate) state: watch::Sender<State>,
}

impl Keeper {
    /// Until the daemon was drained or closed.
    pub(crate) async fn keep(mut self) {
        let mut delay = Duration::ZERO;
        loop {
            let began = Instant::now();
            let end = self.one_life().await;
            let end = end.map_or_else(|error| error.to_string(), |end| end.to_string());
            self.state.send_modify(|state| {
                state.process.pid = None;
                state.process.since = now();
                state.process.restarts += 1;
                state.ready = false;
            });
            delay = next_delay(delay, began.elapsed());
            if *self.phase.borrow() == Phase::Run {
                tracing::error!("{} ended ({end}), restarts after {delay:.1?}", self.plan.name);
            }
            let over = self.phase.wait_for(|phase| *phase != Phase::Run);
            if timeout(delay, over).await.is_ok() {
                return;
            }
        }
    }

    async fn one_life(&mut self) -> Result<ExitStatus, Error> {
        // Edges made before now are replaced by those that come with the start.
        while self.edges.try_recv().is_ok() {}
        let (mut control, theirs) = Connection::pair()?;
        let mut child = self.spawn(theirs)?;
        self.state.send_modify(|state| {
            state.process.pid = child.id();
            state.process.since = now();
        });
        let mut fate = self.furnish(&mut control).await;
        while fate.is_ok() {
            fate = self.attend(&mut control, &mut child).await;
        }
        drop(control);
        let status = self.end(&mut child).await?;
        match fate {
            // How it died, its status says.
            Ok(()) | Err(Error::PeerGone) => Ok(status),
            Err(error) => Err(error),
        }
    }

    fn spawn(&self, control: OwnedFd) -> io::Result<Child> {
        let mut command = Command::new(&self.program);
        command.args(self.plan.command.1).stdin(Stdio::from(control)).stdout(Stdio::null());
        confine(&mut command, self.identity);
        command.envs(ENVIRONMENT.iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
        command.spawn()
    }

    /// Sends everything that the plan says, and `Start`.
    async fn furnish(&self, control: &mut Connection) -> Result<(), Error> {
        let mut pieces = self.gifts.configuration.chunks(MAX_BODY).peekable();
        while let Some(piece) = pieces.next() {
            let last = pieces.peek().is_none();
            let configuration = Push::Configuration { generation: GENERATION, last };
            push(control, &configuration, piece, None).await?;
        }
        for name in self.plan.tables {
            let table = read_table(&self.gifts.config, name, |_, content| {
                Table::keep(content.get_ref())
            });
            if let Some(table) = table.map_err(|finding| io::Error::other(finding.to_string()))? {
                let name = (*name).to_owned();
                push(control, &Push::Table { name }, b"", Some(table.as_fd())).await?;
            }
        }
        let listeners = &self.gifts.listeners;
        let own = listeners.tcp.iter().filter(|(role, ..)| Some(*role) == self.plan.listens);
        let tcp = own.map(|(_, address, socket)| (ListenerKind::Tcp(*address), socket.as_fd()));
        let submit = (self.plan.listens == Some(Role::Submission))
            .then(|| (ListenerKind::Submit, listeners.submit.as_fd()));
        for (kind, socket) in tcp.chain(submit) {
            push(control, &Push::Listener(kind), b"", Some(socket)).await?;
        }
        for end in self.plan.ends() {
            let fd = self.gifts.edges.fresh(end)?;
            push(control, &Push::Edge(end), b"", Some(fd.as_fd())).await?;
        }
        push(control, &Push::Start, b"", None).await
    }

    /// Follows the daemon for one step. `Err`: it ended, or is to end, or is of no more use.
    async fn attend(&mut self, control: &mut Connection, child: &mut Child) -> Result<(), Error> {
        tokio::select! {
            _ = child.wait() => Err(Error::PeerGone),
            report = control.receive::<Report>() => {
                self.state.send_modify(|state| state.ready = report.is_ok());
                report.map(|_| ())
            }
            Some((end, fd)) = self.edges.recv() => push(control, &Push::Edge(end), b"", Some(fd.as_fd())).await,
            changed = self.phase.changed() => match changed.map(|()| *self.phase.borrow()) {
                Ok(Phase::Drain) => push(control, &Push::Drain, b"", None).await,
                Ok(Phase::Run | Phase::Close) | Err(_) => Err(Error::PeerGone),
            },
        }
    }

    /// Its control socket is closed: it ends by itself, or is killed.
    async fn end(&self, child: &mut Child) -> io::Result<ExitStatus> {
        if let Ok(status) = timeout(LAST_SECONDS, child.wait()).await {
            return status;
        }
        tracing::error!("{} does not end by itself", self.plan.name);
        child.start_kill()?;
        child.wait().await
    }
}

/// A process of its own group (Ctrl-C is for the supervisor), in `/`, without environment, and
/// as somebody else if there is an identity (which also leaves the supplementary groups).
pub(crate) fn confine(command: &mut Command, identity: Option<Identity>) {
    command.env_clear().current_dir("/").process_group(0);
    if let Some(Identity { uid, gid }) = identity {
        command.uid(uid).gid(gid);
    }
}

async fn push(
    control: &mut Connection,
    push: &Push,
    body: &[u8],
    fd: Option<BorrowedFd<'_>>,
) -> Result<(), Error> {
    timeout(PUSH_TIME, control.send(push, body, fd)).await.unwrap_or(Err(Error::TimedOut))
}

/// Nothing after a long life; else twice what it was.
fn next_delay(delay: Duration, lived: Duration) -> Duration {
    if lived >= SHORT_LIFE {
        return Duration::ZERO;
    }
    (delay * 2).clamp(FIRST_DELAY, MAX_DELAY)
}

/// Seconds since 1970.
pub(crate) fn now() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_secs()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_short_lives_delay_the_next() {
        let short = Duration::from_secs(1);
        let mut delay = Duration::ZERO;
        let mut delays = Vec::new();
        for _ in 0..10 {
            delay = next_delay(delay, short);
            delays.push(delay.as_millis());
        }
        assert_eq!(delays, [100, 200, 400, 800, 1600, 3200, 6400, 12800, 25600, 30000]);
        assert_eq!(next_delay(delay, SHORT_LIFE), Duration::ZERO);
    }
}
