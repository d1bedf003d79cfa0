//! What is remembered of each client: a few words, and no longer than they matter.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use ipc::policy::Terms;
use smtp::server::Peer;

use crate::rate::Rate;

/// Clients that are remembered. One without a session is forgotten as soon as its connections no
/// longer count against it: with 600 a minute after a tenth of a second each. Of more than these
/// nothing is known, and only the sessions of all are counted.
const MAX_KNOWN: usize = 16 * 1024;
/// Between two log lines about one client that is sent away.
const MINUTE: Duration = Duration::from_secs(60);
/// Between two looks for clients to be forgotten.
const SWEEP: Duration = Duration::from_secs(1);

/// Who counts as one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Client {
    /// An IPv4 address, or the /64 that one client has in IPv6 (RFC 6177).
    Network(IpAddr),
    User(u32),
}

impl From<&Peer> for Client {
    fn from(peer: &Peer) -> Self {
        match peer {
            Peer::Network(IpAddr::V6(address)) => {
                Self::Network(IpAddr::V6((address.to_bits() >> 64 << 64).into()))
            }
            Peer::Network(address) => Self::Network(*address),
            Peer::User { uid, .. } => Self::User(*uid),
        }
    }
}

impl fmt::Display for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Network(address) if address.is_ipv6() => write!(f, "[{address}/64]"),
            Self::Network(address) => write!(f, "[{address}]"),
            Self::User(uid) => write!(f, "uid {uid}"),
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Clients {
    known: HashMap<Client, Record>,
    swept: Option<Instant>,
}

#[derive(Debug)]
struct Record {
    sessions: usize,
    /// What its connections have used up of its rate.
    until: Instant,
    /// When its rejection was last logged.
    told: Option<Instant>,
    /// Rejections since then.
    untold: u64,
    terms: Option<Stated>,
}

/// What `policyd` said last.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stated {
    pub(super) at: Instant,
    /// The one of the client's addresses that it was said of.
    pub(super) address: IpAddr,
    pub(super) terms: Terms,
}

impl Clients {
    /// Is this connection within the rate?
    pub(super) fn may_come(&mut self, client: Client, rate: Rate, now: Instant) -> bool {
        let record = self.record(client, now);
        record.is_none_or(|record| rate.allows(&mut record.until, now))
    }

    /// The last one that came does not count against this rate, but against that of its terms.
    pub(super) fn recount(
        &mut self,
        client: Client,
        (before, rate): (Option<Rate>, Option<Rate>),
        now: Instant,
    ) -> bool {
        let Some(record) = self.known.get_mut(&client) else { return true };
        if let Some(before) = before {
            before.give_back(&mut record.until);
        }
        rate.is_none_or(|rate| rate.allows(&mut record.until, now))
    }

    /// What was said of the client last.
    pub(super) fn terms(&self, client: Client) -> Option<Stated> {
        self.known.get(&client)?.terms
    }

    /// Its terms are being asked for: until then those that are known hold for others that come.
    pub(super) fn ask(&mut self, client: Client, now: Instant) {
        if let Some(stated) = self.known.get_mut(&client).and_then(|record| record.terms.as_mut()) {
            stated.at = now;
        }
    }

    /// From now on these are its terms. What was used up of another rate says nothing of a new one.
    pub(super) fn agree(&mut self, client: Client, stated: Stated) {
        if let Some(record) = self.record(client, stated.at) {
            let before = record.terms.filter(|before| before.address == stated.address);
            if before.is_some_and(|before| before.terms.rate != stated.terms.rate) {
                record.until = stated.at;
            }
            record.terms = Some(stated);
        }
    }

    pub(super) fn sessions(&self, client: Client) -> usize {
        self.known.get(&client).map_or(0, |record| record.sessions)
    }

    pub(super) fn enter(&mut self, client: Client, now: Instant) {
        if let Some(record) = self.record(client, now) {
            record.sessions += 1;
        }
    }

    pub(super) fn leave(&mut self, client: Client) {
        if let Some(record) = self.known.get_mut(&client) {
            record.sessions = record.sessions.saturating_sub(1);
        }
    }

    #[cfg(test)]
    pub(super) fn known(&self) -> usize {
        self.known.len()
    }

    /// It was sent away. Is that to be logged, and how many times was it not?
    pub(super) fn tell(&mut self, client: Client, now: Instant) -> Option<u64> {
        let record = self.record(client, now)?;
        if record.is_told(now) {
            record.untold += 1;
            return None;
        }
        record.told = Some(now);
        Some(std::mem::take(&mut record.untold))
    }

    fn record(&mut self, client: Client, now: Instant) -> Option<&mut Record> {
        if self.swept.is_none_or(|swept| now - swept >= SWEEP) {
            self.swept = Some(now);
            self.known.retain(|client, record| record.matters(client, now));
        }
        if self.known.len() >= MAX_KNOWN && !self.known.contains_key(&client) {
            return None;
        }
        let fresh = || Record { sessions: 0, until: now, told: None, untold: 0, terms: None };
        Some(self.known.entry(client).or_insert_with(fresh))
    }
}

impl Record {
    fn is_told(&self, now: Instant) -> bool {
        self.told.is_some_and(|told| now - told < MINUTE)
    }

    fn matters(&self, client: &Client, now: Instant) -> bool {
        let matters = self.is_told(now) || self.sessions > 0 || self.until > now;
        if !matters && self.untold > 0 {
            tracing::info!("{client} was sent away {} more times", self.untold);
        }
        matters
    }
}
