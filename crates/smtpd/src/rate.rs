//! So many in a time: a burst, and then a steady stream (the virtual scheduling algorithm of
//! ITU-T I.371).

use std::time::{Duration, Instant};

/// What is allowed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rate {
    /// What each one uses up.
    each: Duration,
    /// What may be used up in advance.
    time: Duration,
}

impl Rate {
    /// `count` at once, and as many in each `time`.
    pub(crate) fn new(count: usize, time: Duration) -> Self {
        let count = u32::try_from(count).unwrap_or(u32::MAX).max(1);
        Self { each: time / count, time }
    }

    /// May there be another one now? `until` is the time that is used up; once it has passed, it
    /// says nothing more and may be forgotten.
    pub(crate) fn allows(&self, until: &mut Instant, now: Instant) -> bool {
        let next = (*until).max(now) + self.each;
        let allowed = next <= now + self.time;
        if allowed {
            *until = next;
        }
        allowed
    }

    /// The last one that was allowed does not count after all.
    pub(crate) fn give_back(&self, until: &mut Instant) {
        *until = until.checked_sub(self.each).unwrap_or(*until);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_and_then_a_steady_stream() {
        let rate = Rate::new(60, Duration::from_secs(60));
        let start = Instant::now();
        let mut until = start;
        let mut allowed = |seconds| {
            let now = start + Duration::from_secs(seconds);
            (0..1000).filter(|_| rate.allows(&mut until, now)).count()
        };
        assert_eq!(allowed(0), 60);
        assert_eq!(allowed(0), 0);
        assert_eq!(allowed(1), 1);
        assert_eq!(allowed(11), 10);
        assert_eq!(allowed(1000), 60);
    }
}
