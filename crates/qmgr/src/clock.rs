//! Queue time: the wall clock without its steps.
//!
//! Every time in the queue (arrival, due, last attempt) is queue time, milliseconds since 1970. It
//! runs on when the wall clock is set by more than [`STEP`], so that a wrong clock neither
//! expires mail nor holds it back, and no record ever has to be rewritten.
//!
//! **Invariant:** [`Clock`] is pure. Wall and monotonic time are arguments.

mod timepiece;

use std::time::Duration;

pub use timepiece::Timepiece;

use crate::record::Millis;

/// Steps up to this are followed; beyond it they are compensated.
pub const STEP: Duration = Duration::from_secs(3600);

/// What is kept over restarts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Saved {
    /// Queue time minus wall time, milliseconds.
    pub correction: i64,
    /// The last queue time that was noted.
    pub last_seen: Millis,
}

/// The wall clock was set, and queue time did not follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// By how much the wall clock is ahead of where it was expected, milliseconds.
    pub millis: i64,
}

/// Turns wall time into queue time.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    correction: i64,
    /// The last reading: wall milliseconds since 1970, and monotonic time since some start.
    wall: u64,
    monotonic: Duration,
}

impl Clock {
    /// A clock that goes on from `saved`. A wall clock that is behind what was last seen by more
    /// than [`STEP`] is compensated; one that is ahead may just have been off.
    #[must_use]
    pub fn start(saved: Saved, wall: u64, monotonic: Duration) -> (Self, Option<Step>) {
        let mut clock = Self { correction: saved.correction, wall, monotonic };
        let behind = distance(saved.last_seen, clock.now());
        if behind <= millis(STEP) {
            return (clock, None);
        }
        clock.correction = clock.correction.saturating_add(behind);
        (clock, Some(Step { millis: behind.saturating_neg() }))
    }

    /// Takes a new reading, and tells of a step since the last one.
    pub fn read(&mut self, wall: u64, monotonic: Duration) -> Option<Step> {
        let passed = monotonic.saturating_sub(self.monotonic);
        let step = distance(wall, self.wall).saturating_sub(millis(passed));
        self.wall = wall;
        self.monotonic = monotonic;
        if step.abs() <= millis(STEP) {
            return None;
        }
        self.correction = self.correction.saturating_sub(step);
        Some(Step { millis: step })
    }

    /// Queue time of the last reading.
    #[must_use]
    pub const fn now(&self) -> Millis {
        self.wall.saturating_add_signed(self.correction)
    }

    /// Wall time of a queue time, seconds since 1970, for people and for other systems.
    #[must_use]
    pub fn wall_seconds(&self, queue_time: Millis) -> i64 {
        let wall = queue_time.saturating_add_signed(self.correction.saturating_neg());
        i64::try_from(wall / 1000).unwrap_or(i64::MAX)
    }

    /// What to keep over a restart.
    #[must_use]
    pub const fn saved(&self) -> Saved {
        Saved { correction: self.correction, last_seen: self.now() }
    }
}

/// `a - b`, within what an `i64` holds.
fn distance(a: u64, b: u64) -> i64 {
    let size = i64::try_from(a.abs_diff(b)).unwrap_or(i64::MAX);
    if a >= b { size } else { -size }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::{Clock, Saved, Step};

    const HOUR: u64 = 3_600_000;
    const NOW: u64 = 1_790_000_000_000;

    fn started() -> Clock {
        Clock::start(Saved::default(), NOW, Duration::ZERO).0
    }

    #[test]
    fn a_small_step_is_followed() {
        let mut clock = started();
        assert_eq!(clock.read(NOW + HOUR / 2, Duration::from_secs(1)), None);
        assert_eq!(clock.now(), NOW + HOUR / 2);
    }

    #[test]
    fn a_large_step_shifts_nothing_but_the_wall() {
        let mut clock = started();
        let step = clock.read(NOW + 48 * HOUR + 1000, Duration::from_secs(1));
        assert_eq!(step, Some(Step { millis: 48 * 3_600_000 }));
        assert_eq!(clock.now(), NOW + 1000);
        assert_eq!(clock.wall_seconds(NOW), i64::try_from((NOW + 48 * HOUR) / 1000).unwrap());
    }

    #[test]
    fn a_restart_goes_on_where_the_queue_was() {
        let mut clock = started();
        clock.read(NOW - 90 * HOUR, Duration::ZERO);
        let saved = clock.saved();
        assert_eq!(saved.last_seen, NOW);
        let (again, step) = Clock::start(saved, NOW - 90 * HOUR, Duration::ZERO);
        assert_eq!((again.now(), step), (NOW, None));
    }

    #[test]
    fn a_wall_clock_behind_the_queue_at_start_is_compensated() {
        let saved = Saved { correction: 0, last_seen: NOW };
        let (clock, step) = Clock::start(saved, NOW - 2 * HOUR, Duration::ZERO);
        assert_eq!(step, Some(Step { millis: -2 * 3_600_000 }));
        assert_eq!(clock.now(), NOW);
    }

    proptest! {
        /// Whatever the wall clock does, queue time moves by what has passed, give or take an hour.
        #[test]
        fn queue_time_is_continuous(walls in prop::collection::vec(0..4 * NOW, 1..20)) {
            let mut clock = started();
            let mut passed = Duration::ZERO;
            for wall in walls {
                let before = clock.now();
                passed += Duration::from_secs(60);
                clock.read(wall, passed);
                prop_assert!((before + 60_000).abs_diff(clock.now()) <= HOUR);
            }
        }
    }
}
