//! The daemon's side of the dialogue: how many replies have come, and what the last one said.

use std::sync::{Condvar, Mutex, PoisonError};

/// Shared between the two directions.
#[derive(Debug, Default)]
pub(super) struct Heard {
    replies: Mutex<Replies>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Replies {
    count: u64,
    /// The beginning of the current line: code and separator.
    line: Vec<u8>,
    last: Option<Verdict>,
    over: bool,
}

/// What a reply allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// 354: content may come.
    GoAhead,
    Other,
}

impl Heard {
    /// These bytes came; to be called before the client sees them.
    pub(super) fn take(&self, bytes: &[u8]) {
        let mut replies = self.replies.lock().unwrap_or_else(PoisonError::into_inner);
        bytes.iter().for_each(|byte| replies.take(*byte));
        self.changed.notify_all();
    }

    /// No more replies will come.
    pub(super) fn end(&self) {
        self.replies.lock().unwrap_or_else(PoisonError::into_inner).over = true;
        self.changed.notify_all();
    }

    /// Waits for this many replies, or for the end, and says what the last one allows.
    pub(super) fn wait_for(&self, count: u64) -> Verdict {
        let replies = self.replies.lock().unwrap_or_else(PoisonError::into_inner);
        let pending = |replies: &mut Replies| !replies.over && replies.count < count;
        let replies = self.changed.wait_while(replies, pending);
        replies.unwrap_or_else(PoisonError::into_inner).last.unwrap_or(Verdict::Other)
    }
}

impl Replies {
    fn take(&mut self, byte: u8) {
        if byte != b'\n' {
            if self.line.len() < 4 {
                self.line.push(byte);
            }
            return;
        }
        // RFC 5321 §4.2.1: all lines of a reply but the last have a hyphen.
        if self.line.get(3) != Some(&b'-') {
            self.count += 1;
            let go_ahead = self.line.starts_with(b"354");
            self.last = Some(if go_ahead { Verdict::GoAhead } else { Verdict::Other });
        }
        self.line.clear();
    }
}
