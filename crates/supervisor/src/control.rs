//! The socket `control`: administrators ask the supervisor; a connection that is for the queue
//! goes on to `qmgr` as it is.

use std::os::unix::net::UnixListener;
use std::sync::Arc;
use std::time::Duration;

use daemon::{Place, Places};
use ipc::admin::{Answer, Command, Hello, Visitor, Welcome};
use ipc::{Client, Connection};
use tokio::net::UnixStream;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use crate::house::House;
use crate::reload::Asker;

/// Clients at a time; others are sent away.
const MAX_CLIENTS: usize = 32;
/// Of one user.
const MAX_OF_USER: usize = 8;
/// How long a client may take to say hello, the name service to tell who it is, and `qmgr` to take it
/// over.
const HELLO_TIME: Duration = Duration::from_secs(5);
/// How long a client may be silent, and not read its answer.
const IDLE_TIME: Duration = Duration::from_secs(60);

/// What serves the control socket.
#[derive(Debug)]
pub(crate) struct Control {
    pub(crate) house: Arc<House>,
    pub(crate) to_qmgr: Client,
    pub(crate) reload: mpsc::Sender<Asker>,
    /// Takes those who said stop, until they can be told that it is done.
    pub(crate) stop: mpsc::Sender<Connection>,
}

impl Control {
    /// Accepts clients for as long as the supervisor lives.
    pub(crate) async fn serve(self, listener: UnixListener) -> std::io::Result<()> {
        listener.set_nonblocking(true)?;
        let listener = tokio::net::UnixListener::from_std(listener)?;
        let places = Places::new(MAX_CLIENTS, MAX_OF_USER);
        let this = Arc::new(self);
        loop {
            let accepted = listener.accept().await;
            let (uid, stream) = match accepted.and_then(|(it, _)| Ok((it.peer_cred()?.uid(), it))) {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!("control socket: {error}");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };
            if let Some(place) = places.take(uid) {
                tokio::spawn(Arc::clone(&this).visit(stream, place));
            }
        }
    }

    /// Keeps its place until it is over.
    async fn visit(self: Arc<Self>, client: UnixStream, place: Place) {
        if let Err(ipc::Error::PeerMisbehaved(how)) = self.greet(client, &Arc::new(place)).await {
            tracing::warn!("a client of the control socket: {how}");
        }
    }

    async fn greet(&self, client: UnixStream, place: &Arc<Place>) -> Result<(), ipc::Error> {
        let mut client = Connection::new(client)?;
        let hello = client.receive_within::<Hello>(HELLO_TIME).await?.head;
        let (uid, generation) = (client.peer_uid()?, self.house.in_force());
        let held = Arc::clone(place);
        let visitor = move || {
            // Else threads would gather that ask in vain, until none is left for anything.
            let _held = held;
            daemon::recognize(generation.config(), uid)
        };
        // The client is not to wait for a name service that does not answer.
        let visitor = timeout(HELLO_TIME, tokio::task::spawn_blocking(visitor)).await;
        let visitor = visitor.map_err(|_| ipc::Error::TimedOut)?.map_err(std::io::Error::other)?;
        match hello {
            Hello::Queue => self.hand_over(client, &visitor).await,
            Hello::Supervisor => self.answer(client, visitor.admin).await,
        }
    }

    /// `qmgr` says welcome. Until then the client says nothing, so no byte is lost on the way.
    async fn hand_over(&self, client: Connection, visitor: &Visitor) -> Result<(), ipc::Error> {
        let socket = client.into_fd()?;
        match self.to_qmgr.call::<_, ()>(visitor, b"", Some(&socket), HELLO_TIME).await {
            Ok(_) => Ok(()),
            Err(_) => {
                let no = Welcome::No("qmgr is not running at the moment".to_owned());
                Connection::from_fd(socket)?.send_within(&no, HELLO_TIME).await
            }
        }
    }

    async fn answer(&self, mut client: Connection, admin: bool) -> Result<(), ipc::Error> {
        client.send_within(&Welcome::Yes { admin }, IDLE_TIME).await?;
        loop {
            let answer = match client.receive_within::<Command>(IDLE_TIME).await?.head {
                Command::Status => Answer::Status(self.house.status()),
                Command::Reload | Command::Stop if !admin => Answer::NotAllowed,
                Command::Reload => self.reload().await,
                Command::Stop => {
                    // Fails only when the supervisor is gone this moment.
                    let _ = self.stop.send(client).await;
                    return Ok(());
                }
            };
            client.send_within(&answer, IDLE_TIME).await?;
        }
    }

    async fn reload(&self) -> Answer {
        let (asker, answered) = oneshot::channel();
        // Fails only when the supervisor ends this moment.
        let _ = self.reload.send(asker).await;
        answered.await.unwrap_or_else(|_| Answer::NotReloaded("the mail system ends".to_owned()))
    }
}
