//! Delivery status notifications: what became of a message, told to its reverse-path
//! (RFC 3464 in RFC 6522, RFC 6533 for addresses beyond ASCII, RFC 3834 for automatic answers).
//!
//! **Invariant:** what comes from outside (addresses, replies, the subject, the message itself)
//! cannot add a field, a line or a part.

use envelope::{Address, Body, OriginalRecipient, QueueId, Return, Status};

use crate::Date;

/// One notification: a message, and the recipients of whom the same kind of thing is to be told.
#[derive(Debug, Clone)]
pub struct Report<'a> {
    pub kind: Kind,
    /// The name of this host.
    pub hostname: &'a str,
    /// The id of the message that is told of.
    pub id: QueueId,
    /// Whom to tell: the reverse-path of the message, or the postmaster.
    pub to: &'a Address,
    pub envid: Option<&'a str>,
    /// When the message arrived.
    pub arrival: Date,
    /// Now.
    pub date: Date,
    /// Makes the boundary and the `Message-ID` unique, and hard to guess.
    pub random: u64,
    /// At least one.
    pub recipients: &'a [RecipientReport<'a>],
    pub original: Original<'a>,
}

/// What the notification is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// These recipients will never get the message.
    Failure,
    /// They have not got it yet, and it is being tried on.
    Delay,
    /// They have got it, as NOTIFY=SUCCESS asked to be told (RFC 3461 §4.1).
    Success,
}

/// What became of one recipient.
#[derive(Debug, Clone)]
pub struct RecipientReport<'a> {
    pub address: &'a Address,
    /// ORCPT.
    pub original: Option<&'a OriginalRecipient>,
    pub action: Action,
    pub status: &'a Status,
    pub last_attempt: Option<Date>,
    /// When it will be given up; of a delay only.
    pub retry_until: Option<Date>,
}

/// RFC 3464 §2.3.3.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    Failed,
    Delayed,
    Delivered,
    /// To a system that offers no DSN: nothing more will be heard.
    Relayed,
    /// To several recipients, by an alias.
    Expanded,
}

/// The message that is told of.
#[derive(Debug, Clone, Copy)]
pub struct Original<'a> {
    /// Its content, or as much of its beginning as is at hand.
    pub content: &'a [u8],
    /// `content` is all of it.
    pub whole: bool,
    pub ret: Option<Return>,
    /// MAIL had SMTPUTF8.
    pub smtputf8: bool,
}

/// A notification, ready for the queue; its reverse-path is null.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Built {
    pub content: Vec<u8>,
    /// What it needs of the next hop.
    pub body: Body,
    pub smtputf8: bool,
}
