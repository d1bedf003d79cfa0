//! What the supervisor gives a process, and the life of a process around its own story.

use std::collections::HashMap;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use config::Config;
use ipc::control::{End, ListenerKind, Push, Report};
use ipc::sandbox::{Confinement, Sandbox};
use ipc::{Arrow, Client, Connection, Door, Frame, Incoming, Renewal};
use tokio::sync::{mpsc, watch};

use crate::generation::Arriving;
use crate::{Drain, Generation, Generations, log, sandbox};

/// How long a process may take to finish its commit when the supervisor is gone.
const LAST_SECOND: Duration = Duration::from_secs(1);

/// Why a daemon ends early; shown in the log, and the supervisor starts it anew.
pub type Error = Box<dyn std::error::Error + Send + Sync>;

/// Everything this process was given. What it was not given it does not have.
#[derive(Debug)]
pub struct House {
    /// That of the generation.
    pub config: Arc<Config>,
    /// The one that the process starts with.
    pub generation: Generation,
    pub tcp: Vec<TcpSocket>,
    pub submit: Option<UnixListener>,
    clients: HashMap<Arrow, Client>,
    incoming: HashMap<Arrow, Incoming>,
    generations: Option<Generations>,
    drain: Drain,
    confinement: Option<Confinement>,
    reports: mpsc::Sender<Report>,
}

/// A listening TCP socket, non-blocking.
#[derive(Debug)]
pub struct TcpSocket {
    pub address: SocketAddr,
    pub listener: TcpListener,
}

impl House {
    /// The asking end of an arrow.
    ///
    /// # Errors
    /// This process was not given that edge.
    pub fn asks(&self, arrow: Arrow) -> Result<Client, Error> {
        let client = self.clients.get(&arrow).cloned();
        client.ok_or_else(|| format!("the supervisor gave no edge for {arrow}").into())
    }

    /// The answering end of an arrow; taken once.
    ///
    /// # Errors
    /// This process was not given that edge.
    pub fn answers(&mut self, arrow: Arrow) -> Result<Incoming, Error> {
        let incoming = self.incoming.remove(&arrow);
        incoming.ok_or_else(|| format!("the supervisor gave no edge for {arrow}").into())
    }

    /// Generations that come later, for a process that is not replaced; taken once.
    ///
    /// # Errors
    /// It was taken before.
    pub fn generations(&mut self) -> Result<Generations, Error> {
        self.generations.take().ok_or_else(|| "the generations are taken already".into())
    }

    /// Enters the kernel sandbox, for ever: at the start of the story, after what has to be read
    /// before, and before there is a second thread.
    ///
    /// # Errors
    /// As [`sandbox::enter`].
    pub fn enter(&mut self, sandbox: Sandbox) -> Result<(), Error> {
        self.confinement = Some(sandbox::enter(sandbox)?);
        Ok(())
    }

    /// Tells the supervisor that the process works: all that could fail at its start is done.
    pub fn ready(&self) {
        let (generation, confinement) = (self.generation.number, self.confinement.clone());
        // Fails only when it was said before, or when the supervisor is gone.
        let _ = self.reports.try_send(Report::Ready { generation, confinement });
    }

    /// The wish to end.
    #[must_use]
    pub fn drain(&self) -> Drain {
        self.drain.clone()
    }
}

/// Runs a daemon: `story` is its whole job, and returns once drained. The process also ends one
/// second after the supervisor is gone, whatever `story` does.
pub fn run<S>(name: &'static str, story: S) -> ExitCode
where
    S: AsyncFnOnce(House) -> Result<(), Error>,
{
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let ended = match runtime {
        Ok(runtime) => {
            let ended = runtime.block_on(live(name, story));
            // A lookup that hangs in the name service holds no process back.
            runtime.shutdown_background();
            ended
        }
        Err(error) => Err(error.into()),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("ends: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn live<S>(name: &'static str, story: S) -> Result<(), Error>
where
    S: AsyncFnOnce(House) -> Result<(), Error>,
{
    let control = std::io::stdin().as_fd().try_clone_to_owned()?;
    let mut moving_in = MovingIn::new(Connection::from_fd(control)?);
    moving_in.take_everything().await?;
    let (house, mut control) = moving_in.settle()?;
    log::start(name, &house.config);
    let story = story(house);
    tokio::pin!(story);
    tokio::select! {
        ended = &mut story => return ended,
        () = control.listen() => {}
    }
    // The supervisor is gone: drain, but not for long.
    control.drain.send_replace(true);
    tokio::time::timeout(LAST_SECOND, story).await.unwrap_or(Ok(()))
}

/// The process before `Start`: what has arrived so far.
struct MovingIn {
    control: Connection,
    generation: Arriving,
    tcp: Vec<TcpSocket>,
    submit: Option<UnixListener>,
    clients: HashMap<Arrow, Client>,
    incoming: HashMap<Arrow, Incoming>,
    ends: Ends,
}

/// Where later edges go.
#[derive(Default)]
struct Ends {
    renewals: HashMap<Arrow, Renewal>,
    doors: HashMap<Arrow, Door>,
}

impl MovingIn {
    fn new(control: Connection) -> Self {
        Self {
            control,
            generation: Arriving::default(),
            tcp: Vec::new(),
            submit: None,
            clients: HashMap::new(),
            incoming: HashMap::new(),
            ends: Ends::default(),
        }
    }

    /// Until the supervisor says that this was all.
    async fn take_everything(&mut self) -> Result<(), Error> {
        loop {
            let frame = self.control.receive::<Push>().await?;
            if frame.head == Push::Start {
                return Ok(());
            }
            self.take(frame)?;
        }
    }

    fn take(&mut self, frame: Frame<Push>) -> Result<(), Error> {
        let Frame { head, body, descriptor } = frame;
        match head {
            Push::Configuration { generation, last } => {
                self.generation.configuration(&body, generation, last);
            }
            Push::Table { name } => self.generation.table(name, given(descriptor)?),
            Push::Listener(ListenerKind::Tcp(address)) => {
                let listener = TcpListener::from(given(descriptor)?);
                listener.set_nonblocking(true)?;
                self.tcp.push(TcpSocket { address, listener });
            }
            Push::Listener(ListenerKind::Submit) => {
                let listener = UnixListener::from(given(descriptor)?);
                listener.set_nonblocking(true)?;
                self.submit = Some(listener);
            }
            Push::Edge(end @ End::Asks(arrow)) => {
                let (client, renewal) = Client::new(arrow);
                self.clients.insert(arrow, client);
                self.ends.renewals.insert(arrow, renewal);
                self.ends.connect(end, given(descriptor)?)?;
            }
            Push::Edge(end @ End::Answers(arrow)) => {
                // One for each process that asks, retired ones too; all come through one door.
                self.ends.doors.entry(arrow).or_insert_with(|| {
                    let (incoming, door) = Incoming::new();
                    self.incoming.insert(arrow, incoming);
                    door
                });
                self.ends.connect(end, given(descriptor)?)?;
            }
            Push::Start | Push::Offer | Push::Retire | Push::Drain => {
                return Err("the supervisor ends what it has not begun".into());
            }
        }
        Ok(())
    }

    /// What the story gets, and what listens to the supervisor from now on.
    fn settle(self) -> Result<(House, Control), Error> {
        let Self { control, generation, tcp, submit, clients, incoming, ends } = self;
        let generation = generation.whole()?;
        let (retired, told_to_retire) = watch::channel(false);
        let (drain, told_to_drain) = watch::channel(false);
        let (offers, offered) = mpsc::channel(1);
        let (answer, answers) = mpsc::channel(1);
        let control = Control {
            control,
            ends,
            arriving: Arriving::default(),
            offers,
            answers,
            retired,
            drain,
        };
        let house = House {
            config: Arc::clone(&generation.config),
            generation,
            tcp,
            submit,
            clients,
            incoming,
            generations: Some(Generations { offers: offered, answers: answer.clone() }),
            drain: Drain { retired: told_to_retire, begun: told_to_drain },
            confinement: None,
            reports: answer,
        };
        Ok((house, control))
    }
}

/// The process after `Start`.
struct Control {
    control: Connection,
    ends: Ends,
    /// What has come of the next generation.
    arriving: Arriving,
    offers: mpsc::Sender<Generation>,
    /// What the story tells.
    answers: mpsc::Receiver<Report>,
    retired: watch::Sender<bool>,
    drain: watch::Sender<bool>,
}

impl Control {
    /// Follows the supervisor until it is gone.
    async fn listen(&mut self) {
        loop {
            let report = tokio::select! {
                received = self.control.receive::<Push>() => match received {
                    Ok(frame) => self.follow(frame),
                    Err(ipc::Error::PeerGone) => return,
                    Err(error) => {
                        tracing::error!("the supervisor cannot be understood: {error}");
                        return;
                    }
                },
                Some(answer) = self.answers.recv() => Some(answer),
            };
            if let Some(report) = report {
                // A supervisor that is gone is seen by the next look.
                let _ = self.control.send(&report, b"", None).await;
            }
        }
    }

    /// Does as the supervisor says; an offer that goes wrong here is refused.
    fn follow(&mut self, frame: Frame<Push>) -> Option<Report> {
        let done = match frame.head {
            Push::Configuration { generation, last } => {
                self.arriving.configuration(&frame.body, generation, last);
                Ok(())
            }
            Push::Table { name } => given(frame.descriptor).map(|fd| self.arriving.table(name, fd)),
            Push::Offer => return self.offer(),
            Push::Edge(end) => given(frame.descriptor).and_then(|fd| self.ends.connect(end, fd)),
            Push::Retire => {
                // Nobody else will come: with the last edge the last client is gone.
                self.ends.doors.clear();
                self.retired.send_replace(true);
                Ok(())
            }
            Push::Drain => {
                self.drain.send_replace(true);
                Ok(())
            }
            Push::Listener(_) | Push::Start => Err("this belongs to the start".into()),
        };
        if let Err(error) = done {
            tracing::error!("cannot do as the supervisor says: {error}");
        }
        None
    }

    fn offer(&mut self) -> Option<Report> {
        let arriving = std::mem::take(&mut self.arriving);
        let generation = arriving.number()?;
        let offered = arriving.whole().and_then(|it| Ok(self.offers.try_send(it)?));
        let why = offered.err()?.to_string();
        Some(Report::Refused { generation, why })
    }
}

impl Ends {
    /// Puts a fresh edge where it belongs.
    fn connect(&self, end: End, fd: OwnedFd) -> Result<(), Error> {
        let connection = Connection::from_fd(fd)?;
        match end {
            End::Asks(arrow) => {
                let renewal = self.renewals.get(&arrow).ok_or("an edge of another process")?;
                renewal.renew(connection);
            }
            End::Answers(arrow) => {
                // Without a door this process is retired: nobody new is to ask it.
                if let Some(door) = self.doors.get(&arrow).cloned() {
                    tokio::spawn(serve(arrow, door, connection));
                }
            }
        }
        Ok(())
    }
}

async fn serve(arrow: Arrow, door: Door, edge: Connection) {
    let end = door.serve(edge).await;
    if !matches!(end, ipc::Error::PeerGone) {
        tracing::warn!("edge {arrow} broke: {end}");
    }
}

fn given(descriptor: Option<OwnedFd>) -> Result<OwnedFd, Error> {
    descriptor.ok_or_else(|| "the supervisor sent no descriptor".into())
}
