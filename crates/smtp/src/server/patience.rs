//! How long a client may take (RFC 5321 §4.5.3.2).

use std::time::{Duration, Instant};

/// For one whole command, however slowly it drips (RFC 5321 §4.5.3.2.7 asks for 5 minutes).
const COMMAND: Duration = Duration::from_secs(300);
/// Between two pieces of content (RFC 5321 §4.5.3.2.5 has the client wait 3 minutes).
const PAUSE: Duration = Duration::from_secs(300);
/// For all content, beside what its size grants.
const CONTENT: Duration = Duration::from_secs(600);
/// Bytes of content that grant one more second: slower than a modem, faster than a Slowloris.
const BYTES_PER_SECOND: u64 = 500;

/// Clocks of one session.
#[derive(Debug)]
pub(super) struct Patience {
    /// When the command or content that is awaited began to be.
    since: Instant,
    /// When input last arrived.
    last: Instant,
    /// Bytes since then.
    received: u64,
    /// Something was completed since the last note.
    moved: bool,
}

impl Patience {
    pub(super) const fn new(now: Instant) -> Self {
        Self { since: now, last: now, received: 0, moved: false }
    }

    /// Something was completed; the client's time begins anew.
    pub(super) const fn renew(&mut self) {
        self.moved = true;
    }

    pub(super) fn note(&mut self, consumed: usize, now: Instant) {
        if self.moved {
            *self = Self::new(now);
        } else if consumed > 0 {
            self.last = now;
            self.received += consumed as u64;
        }
    }

    pub(super) fn for_command(&self) -> Instant {
        self.since + COMMAND
    }

    pub(super) fn for_content(&self) -> Instant {
        let granted = Duration::from_secs(self.received / BYTES_PER_SECOND);
        (self.last + PAUSE).min(self.since + CONTENT + granted)
    }
}
