//! The asking end of an edge.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Serialize, de::DeserializeOwned};
use tokio::sync::{Mutex as AsyncMutex, watch};

use crate::{Arrow, Connection, Error, Frame};

/// Idle connections kept for the next request.
const MAX_IDLE: usize = 64;

/// Asks over one arrow. Clones share the edge and its idle connections.
///
/// While the other process restarts, a new connection waits for the fresh edge, within the
/// caller's deadline.
#[derive(Debug, Clone)]
pub struct Client {
    arrow: Arrow,
    /// The edge in force and its number, which grows with each restart of the other side.
    edge: watch::Receiver<Edge>,
    idle: Arc<Mutex<Idle>>,
}

/// `None`: the other side has not been started yet.
type Edge = (u64, Option<Arc<AsyncMutex<Connection>>>);

#[derive(Debug, Default)]
struct Idle {
    number: u64,
    connections: Vec<Connection>,
}

/// A connection lent by [`Client::open`], with the number of the edge it belongs to.
#[derive(Debug)]
pub struct Lent {
    pub connection: Connection,
    number: u64,
}

/// Where fresh edges for a [`Client`] arrive.
#[derive(Debug)]
pub struct Renewal {
    edge: watch::Sender<Edge>,
    idle: Arc<Mutex<Idle>>,
}

impl Renewal {
    /// The other side was started anew: `connection` is the edge to it. One that was replaced sees
    /// its idle connections close, and may end when the others do.
    pub fn renew(&self, connection: Connection) {
        self.edge.send_modify(|(number, edge)| {
            *number += 1;
            *edge = Some(Arc::new(AsyncMutex::new(connection)));
        });
        let number = self.edge.borrow().0;
        *lock(&self.idle) = Idle { number, connections: Vec::new() };
    }
}

/// Nothing is left half done under this lock.
fn lock(idle: &Mutex<Idle>) -> MutexGuard<'_, Idle> {
    idle.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Client {
    /// A client without an edge, and where to put its edges.
    #[must_use]
    pub fn new(arrow: Arrow) -> (Self, Renewal) {
        let (sender, edge) = watch::channel((0, None));
        let idle = Arc::<Mutex<Idle>>::default();
        let client = Self { arrow, edge, idle: Arc::clone(&idle) };
        (client, Renewal { edge: sender, idle })
    }

    /// Which arrow this is.
    #[must_use]
    pub const fn arrow(&self) -> Arrow {
        self.arrow
    }

    /// Sends a request on a connection of its own for the time of the exchange, and waits for the
    /// reply, all within `time`.
    ///
    /// # Errors
    /// [`Error::PeerGone`]: the request may or may not have been carried out.
    pub async fn call<Q: Serialize + Sync, R: DeserializeOwned>(
        &self,
        head: &Q,
        body: &[u8],
        descriptor: Option<&OwnedFd>,
        time: Duration,
    ) -> Result<Frame<R>, Error> {
        let exchange = async {
            let mut lent = self.ask(head, body, descriptor).await?;
            let frame = lent.connection.receive().await?;
            self.give_back(lent);
            Ok(frame)
        };
        tokio::time::timeout(time, exchange).await.map_err(|_| Error::TimedOut)?
    }

    /// Sends a request. If the other side ends before it has the whole of it, its successor gets it.
    async fn ask<Q: Serialize + Sync>(
        &self,
        head: &Q,
        body: &[u8],
        descriptor: Option<&OwnedFd>,
    ) -> Result<Lent, Error> {
        loop {
            let mut lent = self.open().await?;
            match lent.connection.send(head, body, descriptor.map(AsFd::as_fd)).await {
                Ok(()) => return Ok(lent),
                Err(Error::PeerGone) => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// A connection to the other side: an idle one, or a fresh one. Waits while there is no edge;
    /// the caller bounds the time.
    ///
    /// # Errors
    /// [`Error::PeerGone`] when this process is ending; [`Error::Io`] when no descriptors are left.
    pub async fn open(&self) -> Result<Lent, Error> {
        if let Some(lent) = self.take_idle() {
            return Ok(lent);
        }
        let (ours, theirs) = Connection::pair()?;
        let number = self.hand_over(theirs).await?;
        Ok(Lent { connection: ours, number })
    }

    /// Returns a connection on which every request has been answered.
    pub fn give_back(&self, lent: Lent) {
        let mut idle = lock(&self.idle);
        if lent.number == idle.number && idle.connections.len() < MAX_IDLE {
            idle.connections.push(lent.connection);
        }
    }

    fn take_idle(&self) -> Option<Lent> {
        let mut idle = lock(&self.idle);
        Some(Lent { connection: idle.connections.pop()?, number: idle.number })
    }

    /// Hands one end of a connection to the other side, and returns the number of the edge.
    async fn hand_over(&self, socket: OwnedFd) -> Result<u64, Error> {
        let mut edges = self.edge.clone();
        loop {
            let (number, edge) = edges.borrow_and_update().clone();
            if let Some(edge) = edge
                && edge.lock().await.send(&(), b"", Some(socket.as_fd())).await.is_ok()
            {
                return Ok(number);
            }
            edges.changed().await.map_err(|_| Error::PeerGone)?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Incoming;

    /// Comes up after the first request, answers one with its number, and ends.
    async fn answer(renewal: &Renewal, number: u8) {
        tokio::task::yield_now().await;
        let (edge, theirs) = Connection::pair().unwrap();
        renewal.renew(edge);
        let (mut incoming, door) = Incoming::new();
        let door = tokio::spawn(door.serve(Connection::from_fd(theirs).unwrap()));
        let mut connection = incoming.next().await;
        connection.receive::<()>().await.unwrap();
        connection.send(&number, b"", None).await.unwrap();
        door.abort();
        let _ = door.await;
    }

    #[test]
    fn a_request_that_nobody_got_waits_for_the_successor() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (client, renewal) = Client::new(Arrow::MxToQmgr);
            let time = Duration::from_secs(30);
            for number in [1, 2] {
                // The second time the connection to the first is still idle, and dead.
                let asked = client.call::<_, u8>(&(), b"", None, time);
                let (frame, ()) = tokio::join!(asked, answer(&renewal, number));
                assert_eq!(frame.unwrap().head, number);
            }
        });
    }
}
