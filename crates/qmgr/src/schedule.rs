//! When a recipient is tried again, and when its time is over.
//!
//! **Invariant:** pure. Time and randomness are arguments.

use std::time::Duration;

use config::Queue;

/// Finished attempts that a recipient is owed before it expires, however old the message is: the
/// age may come from our own downtime.
pub const MIN_ATTEMPTS: u32 = 3;

/// The wait after `attempts` finished attempts: `first_retry`, doubling up to `max_retry`
/// (RFC 5321 §4.5.4.1), and up to an eighth more by `random`, so that what failed together is not
/// tried together. Attempts that somebody asked for (`sendmail -q`) count, too, but put nothing off: those
/// that come by themselves never wait longer than the message is old by then, and `first_retry`.
#[must_use]
pub fn retry_after(queue: &Queue, attempts: u32, age: Duration, random: u8) -> Duration {
    let doublings = attempts.saturating_sub(1).min(31);
    let wait = queue.first_retry.saturating_mul(1 << doublings);
    spread(wait.min(queue.first_retry.saturating_add(age)).min(queue.max_retry), random)
}

/// The shortest wait after a fault of ours: an agent is back by then.
const FAULT: Duration = Duration::from_secs(1);

/// The wait after an attempt that never came to an end because of a fault of ours. It does not
/// count as an attempt, so the wait grows with the age of the message instead: what brings an
/// agent down again and again does so ever less often.
#[must_use]
pub fn fault_after(queue: &Queue, age: Duration, random: u8) -> Duration {
    let least = FAULT.min(queue.first_retry);
    spread(age.clamp(least, queue.max_retry.max(least)), random)
}

/// Is it time to give up? Asked after an attempt that was deferred.
#[must_use]
pub fn is_expired(queue: &Queue, bounce: bool, age: Duration, attempts: u32) -> bool {
    let lifetime = if bounce { queue.bounce_lifetime } else { queue.lifetime };
    age >= lifetime && attempts >= MIN_ATTEMPTS
}

/// Is it time to tell the reverse-path of a delay, should it want to know?
#[must_use]
pub fn is_delayed(queue: &Queue, age: Duration) -> bool {
    queue.delay_warning.is_some_and(|delay| age >= delay)
}

/// How long a next hop that could not be reached `times` times in a row is left alone: from
/// `first_retry`, doubling up to `host_status`.
#[must_use]
pub fn leave_alone(queue: &Queue, times: u32, random: u8) -> Duration {
    let doublings = times.saturating_sub(1).min(31);
    spread(queue.first_retry.saturating_mul(1 << doublings).min(queue.host_status), random)
}

fn spread(wait: Duration, random: u8) -> Duration {
    wait.saturating_add(wait.saturating_mul(u32::from(random)) / (8 * 256))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use config::Queue;
    use proptest::prelude::*;

    use super::{MIN_ATTEMPTS, fault_after, is_delayed, is_expired, leave_alone, retry_after};

    const MINUTE: Duration = Duration::from_secs(60);
    const OLD: Duration = Duration::from_secs(86_400);

    fn queue() -> Queue {
        Queue {
            lifetime: 5 * 24 * 60 * MINUTE,
            bounce_lifetime: 24 * 60 * MINUTE,
            delay_warning: Some(240 * MINUTE),
            first_retry: 5 * MINUTE,
            max_retry: 240 * MINUTE,
            min_free_space: 0,
            host_status: 30 * MINUTE,
            queue_only_load: 1000.0,
            refuse_load: 1000.0,
        }
    }

    #[test]
    fn waits_double_up_to_the_most() {
        let minutes = [1, 2, 3, 6, 7, 8, 100]
            .map(|attempts| retry_after(&queue(), attempts, OLD, 0).as_secs() / 60);
        assert_eq!(minutes, [5, 10, 20, 160, 240, 240, 240]);
        let minutes = [1, 2, 3, 4, 5].map(|times| leave_alone(&queue(), times, 0).as_secs() / 60);
        assert_eq!(minutes, [5, 10, 20, 30, 30]);
    }

    #[test]
    fn attempts_in_between_put_nothing_off() {
        let minutes =
            |attempts, age| retry_after(&queue(), attempts, age * MINUTE, 0).as_secs() / 60;
        assert_eq!([minutes(1, 0), minutes(2, 5), minutes(3, 15), minutes(4, 35)], [5, 10, 20, 40]);
        assert_eq!([minutes(9, 0), minutes(9, 4)], [5, 9]);
    }

    #[test]
    fn faults_wait_ever_longer_without_counting() {
        let seconds = [0, 1, 7, 3600, 999_999]
            .map(|age| fault_after(&queue(), Duration::from_secs(age), 0).as_secs());
        assert_eq!(seconds, [1, 1, 7, 3600, 240 * 60]);
    }

    #[test]
    fn age_alone_does_not_expire() {
        let week = 7 * 24 * 60 * MINUTE;
        assert!(!is_expired(&queue(), false, week, MIN_ATTEMPTS - 1));
        assert!(is_expired(&queue(), false, week, MIN_ATTEMPTS));
        assert!(!is_expired(&queue(), false, 2 * 24 * 60 * MINUTE, 99));
        assert!(is_expired(&queue(), true, 2 * 24 * 60 * MINUTE, MIN_ATTEMPTS));
    }

    #[test]
    fn warnings_can_be_switched_off() {
        assert!(is_delayed(&queue(), 240 * MINUTE));
        assert!(!is_delayed(&queue(), 239 * MINUTE));
        assert!(!is_delayed(&Queue { delay_warning: None, ..queue() }, 9999 * MINUTE));
    }

    proptest! {
        #[test]
        fn waits_never_shrink_and_stay_in_bounds(
            attempts in 1..u32::MAX - 1,
            age: Duration,
            random: u8,
        ) {
            let queue = queue();
            let wait = |attempts| retry_after(&queue, attempts, age, 0);
            prop_assert!(wait(attempts) <= wait(attempts + 1));
            let wait = retry_after(&queue, attempts, age, random);
            prop_assert!(wait >= queue.first_retry && wait <= queue.max_retry * 9 / 8);
        }

        /// From the first deferral on, every message comes to an end: its attempts go on at least
        /// every `max_retry` and an eighth, so that it has expired soon after its lifetime.
        #[test]
        fn everything_ends(random: u8) {
            let queue = queue();
            let (mut age, mut attempts) = (Duration::ZERO, 1);
            while !is_expired(&queue, false, age, attempts) {
                age += retry_after(&queue, attempts, age, random);
                attempts += 1;
                prop_assert!(age <= queue.lifetime + queue.max_retry * 9 / 8);
            }
        }
    }
}
