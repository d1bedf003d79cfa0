//! `smtpd` gives a message to `qmgr`.
//!
//! Content of up to [`INLINE`] bytes is the body of [`Submit::Whole`]. Longer content is
//! [`Submit::Begin`], any number of [`Submit::More`], each answered by [`Reply::Continue`], and
//! [`Submit::End`]. A connection that closes before its last request aborts: nothing was accepted.

use envelope::{Envelope, QueueId};
use serde::{Deserialize, Serialize};

/// Bytes of content that travel inside one frame, and live inside the database.
pub const INLINE: usize = 64 * 1024;

/// Requests. Content has CRLF line ends, is not dot-stuffed, and ends in CRLF unless empty.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Submit {
    /// A whole message; the body is its content.
    Whole { envelope: Envelope, quarantine: Option<String>, id_at: Option<u32> },
    /// The first piece of long content is the body. `id_at`: the offset of
    /// [`QueueId::WIDTH`] bytes in this body, in the `Received` field, which `qmgr`, who alone
    /// makes ids, overwrites with the id. `quarantine`: why the message is held.
    Begin {
        envelope: Envelope,
        quarantine: Option<String>,
        id_at: Option<u32>,
        declared_size: Option<u64>,
    },
    /// The next piece is the body.
    More,
    /// There is no more.
    End,
    /// No message: what is to be counted besides. Answered by [`Reply::Noted`].
    Tally(Tally),
}

/// What `smtpd` did since it last said so.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Clients that were let in.
    pub connections: u64,
    /// Clients, senders, recipients and messages that were refused.
    pub refused: u64,
    /// Messages that were accepted and go nowhere.
    pub discarded: u64,
}

/// Answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reply {
    /// Durable: say 250.
    Queued(QueueId),
    /// Send the next piece.
    Continue,
    /// It is counted.
    Noted,
    /// Not now: a reply code (452 or 451) and its text with the enhanced status code.
    Refused { code: u16, text: String },
}
