//! Connections that wait for the next message to the same next hop.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use envelope::NextHop;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use crate::connection::Connection;

#[derive(Debug)]
pub(crate) struct Kept {
    /// How long one waits.
    idle: Duration,
    /// How many wait; for one more, the oldest goes.
    most: usize,
    /// Oldest first, so that the first is the first to go.
    waiting: Mutex<VecDeque<Waiting>>,
    /// The first one came.
    some: Notify,
}

#[derive(Debug)]
struct Waiting {
    hop: NextHop,
    until: Instant,
    connection: Connection,
}

impl Kept {
    pub(crate) fn new(idle: Duration, most: usize) -> Self {
        Self { idle, most, waiting: Mutex::default(), some: Notify::new() }
    }

    /// A connection to `hop` that was usable when last seen; the one used last, so that those
    /// beyond need grow old.
    pub(crate) fn take(&self, hop: &NextHop) -> Option<Connection> {
        let mut waiting = self.waiting();
        while let Some(at) = waiting.iter().rposition(|one| one.hop == *hop) {
            let mut connection = waiting.remove(at)?.connection;
            if connection.is_reusable() {
                return Some(connection);
            }
            connection.close();
        }
        None
    }

    /// Keeps a connection for a while, if it is of use.
    pub(crate) fn put(&self, hop: &NextHop, mut connection: Connection) {
        if self.idle.is_zero() || self.most == 0 || !connection.is_reusable() {
            return connection.close();
        }
        let mut waiting = self.waiting();
        if waiting.len() >= self.most
            && let Some(oldest) = waiting.pop_front()
        {
            oldest.connection.close();
        }
        if waiting.is_empty() {
            self.some.notify_one();
        }
        let until = Instant::now() + self.idle;
        waiting.push_back(Waiting { hop: hop.clone(), until, connection });
    }

    /// Closes what waited long enough, for ever. Cancel-safe.
    pub(crate) async fn close_idle(&self) {
        loop {
            let first = self.waiting().front().map(|one| one.until);
            match first {
                Some(until) => sleep_until(until).await,
                None => self.some.notified().await,
            }
            self.close_until(Instant::now());
        }
    }

    pub(crate) fn close_all(&self) {
        self.waiting().drain(..).for_each(|one| one.connection.close());
    }

    fn close_until(&self, now: Instant) {
        let mut waiting = self.waiting();
        while let Some(one) = waiting.pop_front_if(|one| one.until <= now) {
            one.connection.close();
        }
    }

    fn waiting(&self) -> MutexGuard<'_, VecDeque<Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
