//! How long a client may take (RFC 5321 §4.5.3.2).

use std::time::{Duration, Instant};

/// For one whole command, however slowly it drips (RFC 5321 §4.5.3.2.7 asks for 5 minutes).
const COMMAND: Duration = Duration::from_secs(300);
/// Between two pieces of content (RFC 5321 §4.5.3.2.5 has the client wait 3 minutes).
const PAUSE: Duration = Duration::from_secs(300);
/// For all content, beside what its size grants.
const CONTENT: Duration = Duration::from_secs(600);
/// For everything up to the end of a message, beside what its size grants: 5 minutes for each of a
/// dozen commands, but not for each of a thousand.
const MESSAGE: Duration = Duration::from_secs(3600);
/// The same while others wait for a seat: less than RFC 5321 §4.5.3.2 asks for, so that who holds
/// seats for no mail cannot keep mail out.
const MESSAGE_IN_A_CROWD: Duration = Duration::from_secs(60);
/// Bytes that grant one more second: slower than a modem, faster than a Slowloris.
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
    /// When the last message was accepted, or the session began.
    message: Instant,
    /// Bytes since then.
    for_message: u64,
    /// A message was accepted since the last note.
    accepted: bool,
}

impl Patience {
    pub(super) const fn new(now: Instant) -> Self {
        Self {
            since: now,
            last: now,
            received: 0,
            moved: false,
            message: now,
            for_message: 0,
            accepted: false,
        }
    }

    /// Something was completed; the client's time begins anew.
    pub(super) const fn renew(&mut self) {
        self.moved = true;
    }

    /// A message was accepted.
    pub(super) const fn accept(&mut self) {
        self.accepted = true;
    }

    pub(super) fn note(&mut self, consumed: usize, now: Instant) {
        if self.accepted {
            *self = Self::new(now);
            return;
        }
        self.for_message += consumed as u64;
        if self.moved {
            (self.since, self.last, self.received, self.moved) = (now, now, 0, false);
        } else if consumed > 0 {
            self.last = now;
            self.received += consumed as u64;
        }
    }

    pub(super) fn for_command(&self) -> Instant {
        (self.since + COMMAND).min(self.for_message(MESSAGE))
    }

    pub(super) fn for_content(&self) -> Instant {
        let all = self.since + CONTENT + granted(self.received);
        (self.last + PAUSE).min(all).min(self.for_message(MESSAGE))
    }

    pub(super) fn in_a_crowd(&self) -> Instant {
        self.for_message(MESSAGE_IN_A_CROWD)
    }

    fn for_message(&self, time: Duration) -> Instant {
        self.message + time + granted(self.for_message)
    }
}

const fn granted(bytes: u64) -> Duration {
    Duration::from_secs(bytes / BYTES_PER_SECOND)
}
