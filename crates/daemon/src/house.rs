//! What the supervisor gives a process, and the life of a process around its own story.

use std::collections::HashMap;
use std::fs::File;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use config::Config;
use ipc::control::{End, ListenerKind, Push, Report};
use ipc::{Arrow, Client, Connection, Door, Frame, Incoming, Renewal};
use tokio::sync::{Notify, watch};

use crate::{Drain, log};

/// How long a process may take to finish its commit when the supervisor is gone.
const LAST_SECOND: Duration = Duration::from_secs(1);

/// Why a daemon ends early; shown in the log, and the supervisor starts it anew.
pub type Error = Box<dyn std::error::Error + Send + Sync>;

/// Everything this process was given. What it was not given it does not have.
#[derive(Debug)]
pub struct House {
    pub config: Arc<Config>,
    pub generation: u64,
    /// Table files by name (`aliases`), opened for reading; a missing file is absent.
    pub tables: HashMap<String, File>,
    pub tcp: Vec<TcpSocket>,
    pub submit: Option<UnixListener>,
    clients: HashMap<Arrow, Client>,
    incoming: HashMap<Arrow, Incoming>,
    drain: Drain,
    ready: Arc<Notify>,
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

    /// Reads a table with `read`; a file that is not there is an empty table. Bad lines are logged.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn table<T: Default>(
        &mut self,
        name: &str,
        read: impl FnOnce(&str, File) -> std::io::Result<tables::Read<T>>,
    ) -> Result<T, Error> {
        let Some(file) = self.tables.remove(name) else { return Ok(T::default()) };
        let read = read(name, file).map_err(|error| format!("{name}: {error}"))?;
        for finding in read.findings {
            tracing::warn!("{finding}");
        }
        Ok(read.table)
    }

    /// Tells the supervisor that the process works: all that could fail at its start is done.
    pub fn ready(&self) {
        self.ready.notify_one();
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
    let house = moving_in.take_everything(name).await?;
    let mut control = moving_in.settle(&house);
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
    configuration: Vec<u8>,
    generation: Option<u64>,
    tables: HashMap<String, File>,
    tcp: Vec<TcpSocket>,
    submit: Option<UnixListener>,
    clients: HashMap<Arrow, Client>,
    incoming: HashMap<Arrow, Incoming>,
    ends: Ends,
    drain: (watch::Sender<bool>, Drain),
}

/// Where later edges go.
#[derive(Default)]
struct Ends {
    renewals: HashMap<Arrow, Renewal>,
    doors: HashMap<Arrow, Door>,
}

impl MovingIn {
    fn new(control: Connection) -> Self {
        let (sender, receiver) = watch::channel(false);
        Self {
            control,
            configuration: Vec::new(),
            generation: None,
            tables: HashMap::new(),
            tcp: Vec::new(),
            submit: None,
            clients: HashMap::new(),
            incoming: HashMap::new(),
            ends: Ends::default(),
            drain: (sender, Drain(receiver)),
        }
    }

    async fn take_everything(&mut self, name: &'static str) -> Result<House, Error> {
        loop {
            let frame = self.control.receive::<Push>().await?;
            if frame.head == Push::Start {
                break;
            }
            self.take(frame)?;
        }
        let generation = self.generation.ok_or("the supervisor sent no configuration")?;
        let config: Config = postcard::from_bytes(&self.configuration)?;
        log::start(name, config.log);
        Ok(House {
            config: Arc::new(config),
            generation,
            tables: std::mem::take(&mut self.tables),
            tcp: std::mem::take(&mut self.tcp),
            submit: self.submit.take(),
            clients: std::mem::take(&mut self.clients),
            incoming: std::mem::take(&mut self.incoming),
            drain: self.drain.1.clone(),
            ready: Arc::default(),
        })
    }

    fn take(&mut self, frame: Frame<Push>) -> Result<(), Error> {
        let Frame { head, body, descriptor } = frame;
        match head {
            Push::Configuration { generation, last } => {
                self.configuration.extend_from_slice(&body);
                self.generation = last.then_some(generation);
            }
            Push::Table { name } => {
                self.tables.insert(name, File::from(given(descriptor)?));
            }
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
                let (incoming, door) = Incoming::new();
                self.incoming.insert(arrow, incoming);
                self.ends.doors.insert(arrow, door);
                self.ends.connect(end, given(descriptor)?)?;
            }
            Push::Start | Push::Drain => {
                self.drain.0.send_replace(true);
            }
        }
        Ok(())
    }

    /// Leaves what listens to the supervisor from now on.
    fn settle(self, house: &House) -> Control {
        let Self { control, ends, drain, .. } = self;
        let (generation, ready) = (house.generation, Arc::clone(&house.ready));
        Control { control, ends, drain: drain.0, generation, ready }
    }
}

/// The process after `Start`.
struct Control {
    control: Connection,
    ends: Ends,
    drain: watch::Sender<bool>,
    generation: u64,
    /// The story says that it is.
    ready: Arc<Notify>,
}

impl Control {
    /// Follows the supervisor until it is gone.
    async fn listen(&mut self) {
        loop {
            let received = tokio::select! {
                received = self.control.receive::<Push>() => received,
                () = self.ready.notified() => {
                    let ready = Report::Ready { generation: self.generation };
                    // A supervisor that is gone is seen by the next look.
                    let _ = self.control.send(&ready, b"", None).await;
                    continue;
                }
            };
            let frame = match received {
                Ok(frame) => frame,
                Err(ipc::Error::PeerGone) => return,
                Err(error) => {
                    tracing::error!("the supervisor cannot be understood: {error}");
                    return;
                }
            };
            if let Err(error) = self.follow(frame) {
                tracing::error!("cannot do as the supervisor says: {error}");
            }
        }
    }

    fn follow(&mut self, frame: Frame<Push>) -> Result<(), Error> {
        match frame.head {
            Push::Edge(end) => self.ends.connect(end, given(frame.descriptor)?),
            Push::Drain => {
                self.drain.send_replace(true);
                Ok(())
            }
            Push::Configuration { .. } | Push::Table { .. } | Push::Listener(_) | Push::Start => {
                Err("this takes effect at a restart only".into())
            }
        }
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
                let door = self.doors.get(&arrow).ok_or("an edge of another process")?.clone();
                tokio::spawn(serve(arrow, door, connection));
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
