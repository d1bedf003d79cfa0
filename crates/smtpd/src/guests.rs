//! How many sessions there are, in all and for each client.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use config::{Config, Relay};
use envelope::Enhanced;
use nix::unistd::geteuid;
use smtp::Reply;
use smtp::server::Peer;
use tokio::sync::Notify;

/// Counts sessions.
#[derive(Debug, Clone)]
pub(crate) struct Guests(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    sessions: usize,
    sessions_per_client: usize,
    relay: Relay,
    counts: Mutex<Counts>,
    left: Notify,
}

#[derive(Debug, Default)]
struct Counts {
    all: usize,
    /// Only clients that are here and not exempt.
    by_client: HashMap<Client, usize>,
}

/// Held by a session as long as it lasts.
#[derive(Debug)]
pub(crate) struct Seat {
    guests: Guests,
    client: Option<Client>,
}

/// Whose sessions are counted together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Client {
    Network(IpAddr),
    User(u32),
}

impl Guests {
    pub(crate) fn new(config: &Config) -> Self {
        Self(Arc::new(Shared {
            sessions: config.limits.sessions,
            sessions_per_client: config.limits.sessions_per_client,
            relay: config.relay.clone(),
            counts: Mutex::default(),
            left: Notify::new(),
        }))
    }

    /// A seat, or the reply to send the client away with.
    pub(crate) fn seat(&self, peer: &Peer) -> Result<Seat, Reply> {
        let client = self.client(peer);
        let mut counts = self.counts();
        if counts.all >= self.0.sessions {
            return Err(Reply::new(421, Enhanced(3, 2), "Too many sessions, try again later"));
        }
        if let Some(client) = client {
            let here = counts.by_client.entry(client).or_default();
            if *here >= self.0.sessions_per_client {
                let text = "Too many sessions of yours, try again later";
                return Err(Reply::new(421, Enhanced(7, 0), text));
            }
            *here += 1;
        }
        counts.all += 1;
        Ok(Seat { guests: self.clone(), client })
    }

    /// Whom the client is counted with; `None`: it is trusted.
    fn client(&self, peer: &Peer) -> Option<Client> {
        match peer {
            Peer::Network(address) => {
                let trusted = address.is_loopback() || self.0.relay.trusts(*address);
                (!trusted).then(|| Client::Network(network(*address)))
            }
            Peer::User { uid, .. } => {
                let trusted = *uid == 0 || *uid == geteuid().as_raw();
                (!trusted).then_some(Client::User(*uid))
            }
        }
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

impl Drop for Seat {
    fn drop(&mut self) {
        let mut counts = self.guests.counts();
        counts.all -= 1;
        if let Some(client) = self.client
            && let Some(here) = counts.by_client.get_mut(&client)
        {
            *here -= 1;
            if *here == 0 {
                counts.by_client.remove(&client);
            }
        }
        self.guests.0.left.notify_one();
    }
}

/// One client has a whole /64 in IPv6 (RFC 6177), so that is what counts as one.
fn network(client: IpAddr) -> IpAddr {
    match client {
        IpAddr::V4(_) => client,
        IpAddr::V6(address) => IpAddr::V6((address.to_bits() >> 64 << 64).into()),
    }
}
