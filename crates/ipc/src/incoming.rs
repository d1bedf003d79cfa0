//! The answering end of an edge.

use tokio::sync::mpsc;

use crate::{Connection, Error};

/// Connections that wait to be taken; beyond it the client's next request waits.
const BACKLOG: usize = 16;

/// Connections that the client of one arrow opened. Outlives restarts of the client.
#[derive(Debug)]
pub struct Incoming(mpsc::Receiver<Connection>);

/// Where fresh edges of an [`Incoming`] arrive.
#[derive(Debug, Clone)]
pub struct Door(mpsc::Sender<Connection>);

impl Incoming {
    /// No connections yet, and the door through which they come.
    #[must_use]
    pub fn new() -> (Self, Door) {
        let (sender, receiver) = mpsc::channel(BACKLOG);
        (Self(receiver), Door(sender))
    }

    /// The next connection; waits for ever once the door is gone. Cancel-safe.
    pub async fn next(&mut self) -> Connection {
        match self.next_or_end().await {
            Some(connection) => connection,
            None => std::future::pending().await,
        }
    }

    /// The next connection; `None`: the door and all edges are gone, so nobody can come any more.
    /// Cancel-safe.
    pub async fn next_or_end(&mut self) -> Option<Connection> {
        self.0.recv().await
    }
}

impl Door {
    /// Takes connections from an edge until the edge breaks, and says how it broke
    /// ([`Error::PeerGone`]: the client ended).
    pub async fn serve(self, mut edge: Connection) -> Error {
        loop {
            let frame = match edge.receive::<()>().await {
                Ok(frame) => frame,
                Err(error) => return error,
            };
            let Some(fd) = frame.descriptor else {
                return Error::PeerMisbehaved("no descriptor on the edge");
            };
            let connection = match Connection::from_fd(fd) {
                Ok(connection) => connection,
                Err(error) => return Error::Io(error),
            };
            if self.0.send(connection).await.is_err() {
                return Error::PeerGone;
            }
        }
    }
}
