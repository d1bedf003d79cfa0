//! One process, from its start to its end: gets what the plan says, is told what is wanted, and
//! says what it does.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use config::Role;
use daemon::Identity;
use ipc::control::{End, ListenerKind, Push, Report};
use ipc::{Connection, Error, admin};
use tokio::process::{Child, Command};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until, timeout};

use crate::edges::{Edges, nobody};
use crate::generation::Generation;
use crate::plan::Plan;

/// What waits to be said to a process, fresh edges above all.
const MAX_WORDS: usize = 64;
/// How long a daemon may take to read what it is sent.
const PUSH_TIME: Duration = Duration::from_secs(10);
/// How long a daemon may take to begin, or to take up what it was offered: large tables are read.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long a daemon may live on without its control socket before it is killed.
const LAST_SECONDS: Duration = Duration::from_secs(5);
/// How long what a replaced process has under way may go on; then it is drained.
const RETIREMENT: Duration = Duration::from_secs(10 * 60);
/// How long a process may take to drain; then it is closed.
pub(crate) const DRAIN_TIME: Duration = Duration::from_secs(30);
/// What a daemon sees of the environment.
const ENVIRONMENT: [&str; 2] = ["TZ", "RUST_BACKTRACE"];

/// What a process is made of.
#[derive(Debug)]
pub(crate) struct Recipe {
    pub(crate) plan: &'static Plan,
    pub(crate) program: PathBuf,
    /// `None`: the caller's own.
    pub(crate) identity: Option<Identity>,
    pub(crate) edges: Arc<Edges>,
}

/// Whether it takes the place of one that is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It is asked at once.
    First,
    /// It is asked once it was [introduced](Process::introduce).
    Successor,
}

/// What a process is told.
#[derive(Debug)]
pub(crate) enum Word {
    Edge(End, OwnedFd),
    Offer(Arc<Generation>, oneshot::Sender<Result<(), String>>),
    /// Let what is under way end by itself, within [`RETIREMENT`].
    Retire,
    /// Bring it to its end, within [`DRAIN_TIME`].
    Drain,
    /// End, within [`LAST_SECONDS`].
    Close,
}

/// What is known of a process.
#[derive(Debug, Clone)]
pub(crate) struct State {
    pub(crate) process: admin::Process,
    pub(crate) ready: bool,
    /// How it ended.
    pub(crate) end: String,
}

/// A process. Dropped, it is closed.
#[derive(Debug)]
pub(crate) struct Process {
    words: mpsc::Sender<Word>,
    /// Closed once it is gone for good.
    pub(crate) state: watch::Receiver<State>,
}

impl Process {
    pub(crate) fn start(
        recipe: &Arc<Recipe>,
        generation: Arc<Generation>,
        standing: Standing,
        restarts: u32,
    ) -> Self {
        let (words, heard) = mpsc::channel(MAX_WORDS);
        let identity = recipe.identity.map(|identity| (identity.uid, identity.gid));
        let process = admin::Process::new(recipe.plan.name, now(), restarts, identity);
        let state = State { process, ready: false, end: String::new() };
        let (state, watched) = watch::channel(state);
        recipe.edges.join(recipe.plan, &words);
        if standing == Standing::First {
            recipe.edges.first(&words);
        }
        let recipe = Arc::clone(recipe);
        let life = Life { recipe, words: heard, state, asked: None, until: None, drains: false };
        tokio::spawn(life.live(generation, standing));
        Self { words, state: watched }
    }

    pub(crate) fn tell(&self, word: Word) {
        // Full: a process that takes nothing does not live for long.
        let _ = self.words.try_send(word);
    }

    /// Waits until it works.
    ///
    /// # Errors
    /// It ended, or takes too long.
    pub(crate) async fn ready(&mut self) -> Result<(), String> {
        let ready = timeout(PATIENCE, self.state.wait_for(|state| state.ready)).await;
        match ready.map(|state| state.map(drop)) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(format!("ended at its start ({})", self.state.borrow().end)),
            Err(_) => Err("is not ready in time".to_owned()),
        }
    }

    /// Offers another generation. `None`: the process has ended.
    pub(crate) async fn offer(&self, generation: &Arc<Generation>) -> Option<Result<(), String>> {
        let (answer, answered) = oneshot::channel();
        self.words.send(Word::Offer(Arc::clone(generation), answer)).await.ok()?;
        match timeout(PATIENCE, answered).await {
            Ok(answered) => answered.ok(),
            Err(_) => Some(Err("does not answer".to_owned())),
        }
    }

    /// From now on this process of `recipe` is asked, and no other.
    ///
    /// # Errors
    /// No descriptors are left.
    pub(crate) fn introduce(&self, recipe: &Recipe) -> io::Result<()> {
        recipe.edges.first(&self.words);
        for arrow in recipe.plan.answers {
            for fd in recipe.edges.fresh(End::Answers(*arrow))? {
                self.tell(Word::Edge(End::Answers(*arrow), fd));
            }
        }
        Ok(())
    }

    /// Waits until it is gone for good.
    pub(crate) async fn gone(&mut self) {
        let _ = self.state.wait_for(|_| false).await;
    }
}

/// The supervisor's side of a process.
#[derive(Debug)]
struct Life {
    recipe: Arc<Recipe>,
    words: mpsc::Receiver<Word>,
    state: watch::Sender<State>,
    /// Who waits for the answer to an offer.
    asked: Option<(u64, oneshot::Sender<Result<(), String>>)>,
    /// When its patience is over.
    until: Option<Instant>,
    drains: bool,
}

impl Life {
    async fn live(mut self, generation: Arc<Generation>, standing: Standing) {
        let end = self.pass(generation, standing).await;
        let end = end.map_or_else(|error| error.to_string(), |status| status.to_string());
        self.state.send_modify(|state| {
            let process = admin::Process {
                pid: None,
                since: now(),
                confinement: None,
                ..state.process.clone()
            };
            *state = State { process, ready: false, end };
        });
    }

    async fn pass(
        &mut self,
        generation: Arc<Generation>,
        standing: Standing,
    ) -> Result<ExitStatus, Error> {
        let (mut control, theirs) = Connection::pair()?;
        let mut child = self.spawn(theirs)?;
        self.state.send_modify(|state| state.process.pid = child.id());
        let mut fate = self.furnish(&mut control, &generation, standing).await;
        // A listener that is no longer configured ends with the last who has it.
        drop(generation);
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
        let Recipe { plan, program, identity, .. } = &*self.recipe;
        let mut command = Command::new(program);
        command.args(plan.command.1).stdin(Stdio::from(control)).stdout(Stdio::null());
        confine(&mut command, *identity);
        command.envs(ENVIRONMENT.iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
        command.spawn()
    }

    /// Sends everything that the plan says, and `Start`.
    async fn furnish(
        &self,
        control: &mut Connection,
        generation: &Generation,
        standing: Standing,
    ) -> Result<(), Error> {
        let Recipe { plan, edges, .. } = &*self.recipe;
        generation.send(control, plan).await?;
        let listeners = &generation.listeners;
        let own = listeners.tcp.iter().filter(|(role, ..)| Some(*role) == plan.listens);
        let tcp = own.map(|(_, address, socket)| (ListenerKind::Tcp(*address), socket.as_fd()));
        let submit = (plan.listens == Some(Role::Submission))
            .then(|| (ListenerKind::Submit, listeners.submit.as_fd()));
        for (kind, socket) in tcp.chain(submit) {
            push(control, &Push::Listener(kind), b"", Some(socket)).await?;
        }
        for end in plan.ends() {
            let fresh = match (end, standing) {
                (End::Answers(_), Standing::Successor) => vec![nobody()?],
                (End::Asks(_), _) | (_, Standing::First) => edges.fresh(end)?,
            };
            // Who asks nobody, and who nobody asks, has an end all the same.
            let fresh = if fresh.is_empty() { vec![nobody()?] } else { fresh };
            for fd in fresh {
                push(control, &Push::Edge(end), b"", Some(fd.as_fd())).await?;
            }
        }
        push(control, &Push::Start, b"", None).await
    }

    /// Follows the process for one step. `Err`: it ended, or is to end, or is of no more use.
    async fn attend(&mut self, control: &mut Connection, child: &mut Child) -> Result<(), Error> {
        tokio::select! {
            _ = child.wait() => Err(Error::PeerGone),
            report = control.receive::<Report>() => {
                self.hear(report?.head);
                Ok(())
            }
            word = self.words.recv() => match word {
                Some(word) => self.tell(control, word).await,
                None => Err(Error::PeerGone),
            },
            () = sleep_until(self.until.unwrap_or_else(Instant::now)), if self.until.is_some() => {
                let word = if self.drains { Word::Close } else { Word::Drain };
                self.tell(control, word).await
            }
        }
    }

    fn hear(&mut self, report: Report) {
        let (number, answer) = match report {
            // It may have been taken over since, and administrators believe what it said.
            Report::Ready { .. } if self.state.borrow().ready => return,
            Report::Ready { confinement, .. } => {
                self.state.send_modify(|state| {
                    state.ready = true;
                    state.process.confinement = confinement;
                });
                return;
            }
            Report::Taken { generation } => (generation, Ok(())),
            Report::Refused { generation, why } => (generation, Err(why)),
        };
        // It may be late, and the offer of another.
        if let Some((_, asked)) = self.asked.take_if(|(offered, _)| *offered == number) {
            let _ = asked.send(answer);
        }
    }

    async fn tell(&mut self, control: &mut Connection, word: Word) -> Result<(), Error> {
        let (what, fd) = match word {
            Word::Edge(end, fd) => (Push::Edge(end), Some(fd)),
            Word::Offer(generation, asked) => {
                generation.send(control, self.recipe.plan).await?;
                self.asked = Some((generation.number, asked));
                (Push::Offer, None)
            }
            Word::Retire => {
                self.until = Some(Instant::now() + RETIREMENT);
                self.state.send_modify(|state| state.process.retired = true);
                (Push::Retire, None)
            }
            Word::Drain => {
                (self.until, self.drains) = (Some(Instant::now() + DRAIN_TIME), true);
                (Push::Drain, None)
            }
            Word::Close => return Err(Error::PeerGone),
        };
        push(control, &what, b"", fd.as_ref().map(AsFd::as_fd)).await
    }

    /// Its control socket is closed: it ends by itself, or is killed.
    async fn end(&self, child: &mut Child) -> io::Result<ExitStatus> {
        if let Ok(status) = timeout(LAST_SECONDS, child.wait()).await {
            return status;
        }
        tracing::error!("{} does not end by itself", self.recipe.plan.name);
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

pub(crate) async fn push(
    control: &mut Connection,
    push: &Push,
    body: &[u8],
    fd: Option<BorrowedFd<'_>>,
) -> Result<(), Error> {
    timeout(PUSH_TIME, control.send(push, body, fd)).await.unwrap_or(Err(Error::TimedOut))
}

/// Seconds since 1970.
pub(crate) fn now() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_secs()).unwrap_or(i64::MAX)
}
