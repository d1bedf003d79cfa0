//! `qmgr` has an agent deliver.
//!
//! **Invariant:** an answer says of each recipient delivered, deferred, failed or (`local` only)
//! expanded; no answer means deferred.

use std::time::{SystemTime, UNIX_EPOCH};

pub use envelope::Recipient;
use envelope::{
    Address, Body, DeliveryLine, Dialogue, Member, NextHop, QueueId, Return, ReversePath, Special,
    Status,
};
use serde::{Deserialize, Serialize};

/// One attempt: one message, one destination, at most [`MAX_RECIPIENTS`]. The content is the body
/// of the frame, or a read-only descriptor of the spool file (read with `pread`: its offset is
/// shared).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    pub id: QueueId,
    pub reverse_path: ReversePath,
    pub recipients: Vec<Recipient>,
    pub destination: Destination,
    pub body: Body,
    pub smtputf8: bool,
    pub ret: Option<Return>,
    pub envid: Option<String>,
    /// Bytes of content.
    pub size: u64,
    /// Arrival, seconds since 1970.
    pub arrival: i64,
    /// Somebody wants to see [`Outcomes::dialogue`].
    pub watched: bool,
    /// What sendmail calls so, for the log.
    pub priority: u64,
    /// Of each recipient, in order, for the log.
    pub histories: Vec<History>,
}

/// What is known of a recipient that only the log has.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    /// Who had the recipient get the message: the alias or the user whose list names it, or the user of
    /// this machine who sent it.
    pub controller: Option<Address>,
    /// Attempts that have ended.
    pub attempts: u32,
}

impl Attempt {
    /// The line of the log on what came of a recipient, as far as it is known to whoever asks for the
    /// attempt.
    #[must_use]
    pub fn line<'a>(&'a self, number: usize, status: &'a Status) -> Option<DeliveryLine<'a>> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let to = &self.recipients.get(number)?.address;
        let history = self.histories.get(number);
        Some(DeliveryLine {
            id: self.id,
            to,
            special: match &self.destination {
                Destination::Special { what, .. } => Some(what),
                Destination::Local { .. } | Destination::Remote(_) => None,
            },
            controller: history.and_then(|history| history.controller.as_ref()),
            delay: now.saturating_sub(self.arrival.max(0).unsigned_abs()),
            attempt: None,
            mailer: None,
            priority: self.priority,
            relay: None,
            tries: history.map_or(0, |history| history.attempts).saturating_add(1),
            status,
        })
    }
}

/// RFC 5321 §4.5.3.1.8: every server takes 100.
pub const MAX_RECIPIENTS: usize = 100;

/// Where the attempt goes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Destination {
    Remote(NextHop),
    /// A user of this machine, and what followed `local.detail` in the address.
    Local {
        user: String,
        detail: Option<String>,
        /// Into the mailbox, whatever the user's `.forward` says.
        verbatim: bool,
    },
    /// A program, a file or a list.
    Special {
        what: Special,
        /// Whose `.forward` named it; `None`: `local.default_user` runs, writes and reads it.
        user: Option<String>,
    },
}

/// What came of it: one outcome for each recipient, in order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcomes {
    pub recipients: Vec<Outcome>,
    /// No host of the next hop could be reached at all: leave it alone for a while.
    pub unreachable: bool,
    /// What was said (`remote` only); empty: nobody watches.
    pub dialogue: Dialogue,
}

/// What came of one recipient.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    Status(Status),
    /// Delivered to a next hop that offers DSN and was given NOTIFY: it tells the reverse-path
    /// of success, we do not (RFC 3461 §5.2.2).
    Relayed(Status),
    /// These take its place (`local` only). What is special among them belongs to the user, or to the
    /// one of the destination.
    Expanded(Vec<Member>),
}
