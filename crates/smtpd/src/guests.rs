//! Who is here: how many sessions there may be in all and of each client, and how fast a client may
//! come. Terms that the access table has for a client stand in for the limits of the configuration;
//! they are known a moment after it has its seat, and of who comes often already before.
//!
//! While the machine is busy no stranger gets a seat. Whom we trust and users of this machine still do: the
//! mail of cron is never refused.
//!
//! **Invariant:** strangers never take the last seats, so that those whom we trust can always send,
//! and neither do those: anybody on this machine can be one of them.
//! **Invariant:** what is remembered of clients is bounded, and so are the log lines about them.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use config::{Config, Relay, Role};
use daemon::LoadGauge;
use envelope::{Enhanced, Extensions};
use ipc::policy::Terms;
use nix::unistd::geteuid;
use smtp::Reply;
use smtp::server::Peer;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, watch};

use crate::rate::Rate;

mod clients;

use clients::{Client, Clients, Stated};

/// Of so many seats one is kept for those whom we trust, and one from them.
const RESERVE: usize = 10;
/// Clients that are sent away at a time, and have not yet gone.
const DOOR: usize = 256;
const MINUTE: Duration = Duration::from_secs(60);
/// How long the terms of a client are not asked for anew: a change of the table takes no longer.
const FRESH: Duration = Duration::from_secs(1);
/// The longest that a client waits for the greeting (RFC 5321 §4.5.3.2.1), as in sendmail.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// Gives seats. Clones share them.
#[derive(Debug, Clone)]
pub(crate) struct Guests(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    role: Role,
    load: LoadGauge,
    /// The load average from which on strangers are sent away.
    refuse_load: f64,
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
    /// The load was too high when the last stranger came.
    overload: bool,
}

/// Held by a session as long as it lasts.
#[derive(Debug)]
pub(crate) struct Seat {
    guests: Guests,
    client: Client,
    standing: Standing,
    terms: Terms,
    /// What its connection has used up.
    spent: Option<Rate>,
    /// It would have been sent away so, but for its terms being too old to say that.
    doubted: Option<Reply>,
    crowded: watch::Receiver<bool>,
}

/// What one client may have; `None`: as much as it likes.
#[derive(Debug, Clone, Copy)]
struct Limits {
    rate: Option<Rate>,
    sessions: Option<usize>,
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
    pub(crate) fn new(role: Role, config: &Config, load: LoadGauge) -> Self {
        Self(Arc::new(Shared {
            role,
            load,
            refuse_load: config.queue.refuse_load,
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
        if standing == Standing::Stranger
            && let Err(reply) = self.bear(&mut counts, now)
        {
            return Err(Rejection { reply, untold: None });
        }
        let stated = counts.clients.terms(client);
        let is_old = stated.is_some_and(|stated| now - stated.at >= FRESH);
        let terms = stated.map(|stated| stated.terms).unwrap_or_default();
        let Limits { rate, sessions } = self.limits(standing, &terms);
        let doubted = if sessions.is_some_and(|most| counts.clients.sessions(client) >= most) {
            Some(too_many(&terms))
        } else if rate.is_some_and(|rate| !counts.clients.may_come(client, rate, now)) {
            Some(too_often(&terms))
        } else {
            None
        };
        let sent_away = doubted.clone().filter(|_| !is_old).map_or(Ok(()), Err);
        if let Err(reply) = sent_away.and_then(|()| self.admit(&counts, standing)) {
            return Err(Rejection { reply, untold: counts.clients.tell(client, now) });
        }
        if doubted.is_some() {
            counts.clients.ask(client, now);
        }
        counts.all += 1;
        counts.strangers += usize::from(standing == Standing::Stranger);
        counts.clients.enter(client, now);
        let spent = rate.filter(|_| doubted.is_none());
        let crowded = self.0.crowded.subscribe();
        Ok(Seat { guests: self.clone(), client, standing, terms, spent, doubted, crowded })
    }

    /// Is there no load average that forbids it? The log has it when that changes, in sendmail's words.
    fn bear(&self, counts: &mut Counts, now: Instant) -> Result<(), Reply> {
        let Shared { role, load, refuse_load, .. } = &*self.0;
        let load = load.load(now);
        let overload = load >= *refuse_load;
        match (std::mem::replace(&mut counts.overload, overload), overload) {
            (false, true) => {
                tracing::warn!("rejecting connections on daemon {role}: load average: {load:.0}");
            }
            (true, false) => tracing::info!("accepting connections again for daemon {role}"),
            (true, true) | (false, false) => {}
        }
        if overload {
            let text = format!("Rejecting connections: load average: {load:.0}");
            return Err(Reply::new(421, Enhanced(3, 2), text));
        }
        Ok(())
    }

    /// Is there a seat for one of these?
    fn admit(&self, counts: &Counts, standing: Standing) -> Result<(), Reply> {
        let sessions = self.0.sessions;
        let alike = match standing {
            Standing::Stranger => counts.strangers,
            Standing::Trusted | Standing::User => counts.all - counts.strangers,
        };
        if alike >= self.0.for_either() || counts.all >= sessions {
            if !self.0.crowded.send_replace(true) {
                tracing::warn!("all {sessions} sessions are taken: who brings no mail has to go");
            }
            return Err(Reply::new(421, Enhanced(3, 2), "Too many sessions, try again later"));
        }
        Ok(())
    }

    fn limits(&self, standing: Standing, terms: &Terms) -> Limits {
        let Shared { sessions_per_client, connections, .. } = *self.0;
        let stated = |limit: u32| usize::try_from(limit).ok().filter(|limit| *limit > 0);
        Limits {
            rate: match terms.rate {
                Some(rate) => stated(rate).map(|rate| Rate::new(rate, MINUTE)),
                None => (standing == Standing::Stranger).then_some(connections),
            },
            sessions: match terms.sessions {
                Some(sessions) => stated(sessions),
                None => (standing != Standing::Trusted).then_some(sessions_per_client),
            },
        }
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
    /// The client whose terms are to be asked for.
    pub(crate) fn stranger(&self, peer: &Peer, now: Instant) -> Option<IpAddr> {
        let Peer::Network(address) = peer else { return None };
        let known = self.guests.counts().clients.terms(self.client);
        let fresh = known.is_some_and(|it| it.address == *address && now - it.at < FRESH);
        (!fresh || self.doubted.is_some()).then_some(*address)
    }

    /// Nobody says on what terms: those that were kept hold.
    pub(crate) fn unanswered(&mut self, now: Instant) -> Result<(), Rejection> {
        let Some(reply) = self.doubted.take() else { return Ok(()) };
        Err(Rejection { reply, untold: self.guests.counts().clients.tell(self.client, now) })
    }

    /// Are these terms, which are those of this address, kept?
    pub(crate) fn agree(
        &mut self,
        address: IpAddr,
        terms: Terms,
        now: Instant,
    ) -> Result<(), Rejection> {
        let mut counts = self.guests.counts();
        counts.clients.agree(self.client, Stated { at: now, address, terms });
        let limits = self.guests.limits(self.standing, &terms);
        self.terms = terms;
        let spent = self.spent.take();
        let rejected = if !counts.clients.recount(self.client, (spent, limits.rate), now) {
            Some(too_often(&terms))
        } else if limits.sessions.is_some_and(|most| counts.clients.sessions(self.client) > most) {
            Some(too_many(&terms))
        } else {
            None
        };
        let Some(reply) = rejected else { return Ok(()) };
        Err(Rejection { reply, untold: counts.clients.tell(self.client, now) })
    }

    /// How long the client waits for the greeting.
    pub(crate) fn pause(&self) -> Duration {
        let pause = Duration::from_millis(self.terms.pause.unwrap_or_default().into());
        pause.min(LONGEST_PAUSE)
    }

    /// What the client is not offered.
    pub(crate) const fn withheld(&self) -> Extensions {
        self.terms.withheld
    }

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

// The words are sendmail's where its table speaks (proto.m4, RateControl and ConnControl).

fn too_often(terms: &Terms) -> Reply {
    match terms.rate {
        Some(_) => Reply::new(421, Enhanced(3, 2), "Connection rate limit exceeded."),
        None => Reply::new(421, Enhanced(7, 0), "Too many connections of yours, try again later"),
    }
}

fn too_many(terms: &Terms) -> Reply {
    match terms.sessions {
        Some(_) => Reply::new(421, Enhanced(3, 2), "Too many open connections."),
        None => Reply::new(421, Enhanced(7, 0), "Too many sessions of yours, try again later"),
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
