//! Which mail waits while the machine is busy: large mail first, by sendmail's formula (shouldqueue()
//! of its conf.c; "Load Limiting" in its operation guide).
//!
//! **Invariant:** pure. The load is an argument.

use crate::record::Queued;

/// Bytes that a recipient counts for (RecipientFactor).
const RECIPIENT: u64 = 30_000;
/// Bytes that an attempt counts for (RetryFactor).
const ATTEMPT: u64 = 90_000;
/// What a message may count for at the limit (QueueFactor).
const FACTOR: f64 = 600_000.0;

/// What sendmail calls the priority of a message: the higher the number, the sooner it waits. The
/// `Precedence` field, which sendmail looks at, too, is content and unknown here.
#[must_use]
pub fn number(message: &Queued) -> u64 {
    let attempts = message.recipients.iter().map(|(_, recipient)| recipient.attempts).max();
    let attempts = ATTEMPT * u64::from(attempts.unwrap_or(0));
    of(message.record.size, message.recipients.len()).saturating_add(attempts)
}

/// The same for a message that was not tried yet.
fn of(size: u64, recipients: usize) -> u64 {
    size.saturating_add(RECIPIENT.saturating_mul(recipients as u64))
}

/// The highest number with which a message is tried now.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Bound(f64);

impl Bound {
    /// Everything is tried.
    pub const NONE: Self = Self(f64::INFINITY);

    /// That of a load average, when so much is the limit.
    #[must_use]
    pub fn at(load: f64, limit: f64) -> Self {
        if load < limit { Self::NONE } else { Self(FACTOR / (load - limit + 1.0)) }
    }

    /// Does the message wait?
    #[must_use]
    pub fn holds_back(self, message: &Queued) -> bool {
        self != Self::NONE && number(message) as f64 > self.0
    }

    /// The lower one.
    #[must_use]
    pub const fn min(self, other: Self) -> Self {
        Self(self.0.min(other.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The figures of docs/configuration.md, and those of conf.c.
    #[test]
    fn the_higher_the_load_the_smaller_is_what_waits() {
        for (load, bytes) in [
            (15.99, f64::INFINITY),
            (16.0, 600_000.0),
            (17.0, 300_000.0),
            (19.0, 150_000.0),
            (35.0, 30_000.0),
        ] {
            assert_eq!(Bound::at(load, 16.0), Bound(bytes));
        }
        let waits = |load, size| of(size, 1) as f64 > Bound::at(load, 16.0).0;
        assert!(waits(16.0, 570_001) && !waits(16.0, 570_000));
        assert!(waits(19.0, 120_001) && !waits(19.0, 120_000));
        assert!(waits(36.0, 0), "all");
        assert!(!waits(15.9, u64::MAX / 2));
    }
}
