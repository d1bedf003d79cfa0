//! Queue time for every task, from the clocks of the system.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::{Clock, Saved, Step};
use crate::record::Millis;

/// Tells queue time, and logs when the wall clock was set.
#[derive(Debug)]
pub struct Timepiece {
    started: Instant,
    clock: Mutex<Clock>,
}

impl Timepiece {
    /// Goes on from what the queue saved.
    #[must_use]
    pub fn start(saved: Saved) -> Self {
        let (clock, step) = Clock::start(saved, wall(), Duration::ZERO);
        log(step);
        Self { started: Instant::now(), clock: Mutex::new(clock) }
    }

    /// Queue time.
    pub fn now(&self) -> Millis {
        self.read().now()
    }

    /// What to keep over a restart.
    pub fn saved(&self) -> Saved {
        self.read().saved()
    }

    /// Wall time of a queue time, seconds since 1970.
    pub fn wall_seconds(&self, queue_time: Millis) -> i64 {
        self.read().wall_seconds(queue_time)
    }

    fn read(&self) -> Clock {
        let mut clock = self.clock.lock().unwrap_or_else(PoisonError::into_inner);
        log(clock.read(wall(), self.started.elapsed()));
        *clock
    }
}

/// Milliseconds since 1970; a clock before that says 0.
fn wall() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

fn log(step: Option<Step>) {
    if let Some(Step { millis }) = step {
        let seconds = millis / 1000;
        tracing::warn!("the clock was set by {seconds} s; the queue's times go on without it");
    }
}
