//! The socket `control`: administrators ask the supervisor; a connection that is for the queue
//! goes on to `qmgr` as it is.

use std::os::unix::net::UnixListener;
use std::sync::Arc;
use std::time::Duration;

use config::Config;
use daemon::{Place, Places};
use ipc::admin::{Answer, Command, Hello, Welcome};
use ipc::{Client, Connection};
use tokio::sync::mpsc;

use crate::house::House;

/// Clients at a time; others are sent away.
const MAX_CLIENTS: usize = 32;
/// Of one user.
const MAX_OF_USER: usize = 8;
/// How long a client may take to say hello, and `qmgr` to take it over.
const HELLO_TIME: Duration = Duration::from_secs(5);
/// How long a client may be silent.
const IDLE_TIME: Duration = Duration::from_secs(60);

/// What serves the control socket.
#[derive(Debug)]
pub(crate) struct Control {
    pub(crate) config: Arc<Config>,
    pub(crate) house: Arc<House>,
    pub(crate) to_qmgr: Client,
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
                tokio::spawn(Arc::clone(&this).visit(Connection::new(stream), place));
            }
        }
    }

    /// Keeps its place until it is over.
    async fn visit(self: Arc<Self>, client: Connection, _place: Place) {
        if let Err(ipc::Error::PeerMisbehaved(how)) = self.greet(client).await {
            tracing::warn!("a client of the control socket: {how}");
        }
    }

    async fn greet(&self, mut client: Connection) -> Result<(), ipc::Error> {
        match client.receive_within::<Hello>(HELLO_TIME).await?.head {
            Hello::Queue => self.hand_over(client).await,
            Hello::Supervisor => self.answer(client).await,
        }
    }

    /// `qmgr` says welcome. Until then the client says nothing, so no byte is lost on the way.
    async fn hand_over(&self, client: Connection) -> Result<(), ipc::Error> {
        let socket = client.into_fd()?;
        let copy = socket.try_clone()?;
        match tokio::time::timeout(HELLO_TIME, self.to_qmgr.hand_over(socket)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) | Err(_) => {
                let no = Welcome::No("qmgr is not running at the moment".to_owned());
                Connection::from_fd(copy)?.send(&no, b"", None).await
            }
        }
    }

    async fn answer(&self, mut client: Connection) -> Result<(), ipc::Error> {
        let uid = client.peer()?.uid();
        let config = Arc::clone(&self.config);
        let admin = tokio::task::spawn_blocking(move || daemon::is_admin(&config, uid)).await;
        let admin = admin.unwrap_or(false);
        client.send(&Welcome::Yes { admin }, b"", None).await?;
        loop {
            let answer = match client.receive_within::<Command>(IDLE_TIME).await?.head {
                Command::Status => Answer::Status(self.house.status()),
                Command::Stop if !admin => Answer::NotAllowed,
                Command::Stop => {
                    // Fails only when the supervisor is gone this moment.
                    let _ = self.stop.send(client).await;
                    return Ok(());
                }
            };
            client.send(&answer, b"", None).await?;
        }
    }
}
