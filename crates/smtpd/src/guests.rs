//! Who is here: how many sessions there may be in all and of each client, and how fast a client may
//! come.
//!
//! **Invariant:** strangers never take the last seats, so that those whom we trust can always send,
//! and neither do those: anybody on this machine can be one of them.
//! **Invariant:** what is remembered of clients is bounded, and so are the log lines about them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use config::{Config, Relay};
use envelope::Enhanced;
use nix::unistd::geteuid;
use smtp::Reply;
use smtp::server::Peer;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, watch};

use crate::rate::Rate;

mod clients;

use clients::{Client, Clients};

/// Of so many seats one is kept for those whom we trust, and one from them.
const RESERVE: usize = 10;
/// Clients that are sent away at a time, and have not yet gone.
const DOOR: usize = 256;
const MINUTE: Duration = Duration::from_secs(60);

/// Gives seats. Clones share them.
#[derive(Debug, Clone)]
pub(crate) struct Guests(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    sessions: usize,
    sessions_per_client: usize,
    connections: Rate,
    relay: Relay,
    counts: Mutex<Counts>,
    left: Notify,
    door: Arc<Semaphore>,
    /// Strangers find no seat.
    crowded: watch::Sender<bool>,
}

#[derive(Debug, Default)]
struct Counts {
    all: usize,
    strangers: usize,
    clients: Clients,
}

/// Held by a session as long as it lasts.
#[derive(Debug)]
pub(crate) struct Seat {
    guests: Guests,
    client: Client,
    standing: Standing,
    crowded: watch::Receiver<bool>,
}

/// A client that gets no seat.
#[derive(Debug)]
pub(crate) struct Rejection {
    pub(crate) reply: Reply,
    /// To be logged, with the number of those of this client that were not: one line a minute.
    pub(crate) untold: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// Loopback, `relay.networks`, root and ourselves: only the seats are counted.
    Trusted,
    /// Another user of this machine, whose programs may come as fast as they like.
    User,
    Stranger,
}

impl Guests {
    pub(crate) fn new(config: &Config) -> Self {
        Self(Arc::new(Shared {
            sessions: config.limits.sessions,
            sessions_per_client: config.limits.sessions_per_client,
            connections: Rate::new(config.limits.connections_per_minute, MINUTE),
            relay: config.relay.clone(),
            counts: Mutex::default(),
            left: Notify::new(),
            door: Arc::new(Semaphore::new(DOOR)),
            crowded: watch::Sender::new(false),
        }))
    }

    /// A seat, or the reply to send the client away with.
    pub(crate) fn seat(&self, peer: &Peer, now: Instant) -> Result<Seat, Rejection> {
        let (client, standing) = (Client::from(peer), self.standing(peer));
        let mut counts = self.counts();
        if let Err(reply) = self.admit(&mut counts, client, standing, now) {
            return Err(Rejection { reply, untold: counts.clients.tell(client, now) });
        }
        counts.all += 1;
        counts.strangers += usize::from(standing == Standing::Stranger);
        counts.clients.enter(client, now);
        let crowded = self.0.crowded.subscribe();
        Ok(Seat { guests: self.clone(), client, standing, crowded })
    }

    fn admit(
        &self,
        counts: &mut Counts,
        client: Client,
        standing: Standing,
        now: Instant,
    ) -> Result<(), Reply> {
        let Shared { sessions, sessions_per_client, connections, .. } = *self.0;
        let busy = |enhanced, text| Err(Reply::new(421, enhanced, text));
        if standing == Standing::Stranger && !counts.clients.may_come(client, connections, now) {
            return busy(Enhanced(7, 0), "Too many connections of yours, try again later");
        }
        if standing != Standing::Trusted && counts.clients.sessions(client) >= sessions_per_client {
            return busy(Enhanced(7, 0), "Too many sessions of yours, try again later");
        }
        let alike = match standing {
            Standing::Stranger => counts.strangers,
            Standing::Trusted | Standing::User => counts.all - counts.strangers,
        };
        if alike >= self.0.for_either() || counts.all >= sessions {
            if !self.0.crowded.send_replace(true) {
                tracing::warn!("all {sessions} sessions are taken: who brings no mail has to go");
            }
            return busy(Enhanced(3, 2), "Too many sessions, try again later");
        }
        Ok(())
    }

    fn standing(&self, peer: &Peer) -> Standing {
        match peer {
            Peer::Network(address) => {
                let trusted = address.is_loopback() || self.0.relay.trusts(*address);
                if trusted { Standing::Trusted } else { Standing::Stranger }
            }
            Peer::User { uid, .. } => {
                let trusted = *uid == 0 || *uid == geteuid().as_raw();
                if trusted { Standing::Trusted } else { Standing::User }
            }
        }
    }

    /// A place for one who is sent away, until it has heard why; `None`: there are too many.
    pub(crate) fn door(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.0.door).try_acquire_owned().ok()
    }

    /// Returns once all have left.
    pub(crate) async fn gone(&self) {
        loop {
            let left = self.0.left.notified();
            if self.counts().all == 0 {
                return;
            }
            left.await;
        }
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.0.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    /// Seats that strangers, or the others, may have at most.
    const fn for_either(&self) -> usize {
        self.sessions - self.sessions / RESERVE
    }

    /// Room for many, so that the next few do not make it a crowd again.
    const fn is_roomy(&self, counts: &Counts) -> bool {
        counts.strangers <= self.for_either() / 2 && counts.all <= self.sessions / 2
    }
}

impl Seat {
    /// Do others wait for the seat? Who is trusted may keep it.
    pub(crate) fn is_wanted(&self) -> bool {
        self.standing == Standing::Stranger && *self.crowded.borrow()
    }

    /// Returns when that has changed. Cancel-safe.
    pub(crate) async fn changed(&mut self) {
        if self.standing != Standing::Stranger || self.crowded.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut counts = self.guests.counts();
        counts.all -= 1;
        counts.strangers -= usize::from(self.standing == Standing::Stranger);
        counts.clients.leave(self.client);
        if self.guests.0.is_roomy(&counts) {
            self.guests.0.crowded.send_if_modified(std::mem::take);
        }
        self.guests.0.left.notify_one();
    }
}

#[cfg(test)]
mod tests;
