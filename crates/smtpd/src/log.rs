//! Log lines in sendmail's form, so that what reads its log reads ours.

use std::fmt;

use envelope::{Body, QueueId};
use smtp::server::{Message, Peer, Protocol, Refusal, Stage};

/// A message is in the queue.
pub(crate) fn accepted(id: QueueId, peer: &Peer, helo: &str, message: &Message) {
    let Message { opening, size, .. } = message;
    let protocol = match opening.protocol {
        Protocol::Smtp => "SMTP",
        Protocol::Esmtp => "ESMTP",
        Protocol::Utf8Smtp => "UTF8SMTP",
    };
    // Also where the client declared nothing and sent 8-bit content.
    let body = match opening.envelope.body {
        Body::SevenBit => "",
        Body::EightBitMime => ", bodytype=8BITMIME",
    };
    tracing::info!(
        "{id}: from=<{}>, size={size}, nrcpts={}{body}, proto={protocol}, relay={}",
        opening.envelope.reverse_path,
        opening.envelope.recipients.len(),
        Relay { peer, helo },
    );
}

/// Something was refused.
pub(crate) fn refusal(peer: &Peer, helo: &str, refusal: &Refusal) {
    let ruleset = match refusal.stage {
        Stage::Connect => "check_relay",
        Stage::Command => "check_command",
        Stage::Mail => "check_mail",
        Stage::Rcpt => "check_rcpt",
        Stage::Content => "check_eom",
    };
    tracing::info!(
        "ruleset={ruleset}{}{}, relay={}, reject={}",
        Shown(", arg1", refusal.to.as_ref()),
        Shown(", from", refusal.from.as_ref()),
        Relay { peer, helo },
        refusal.reply
    );
}

/// The client went away in the middle of a transaction.
pub(crate) fn lost(peer: &Peer, helo: &str, error: &std::io::Error) {
    tracing::info!("lost input channel from {}: {error}", Relay { peer, helo });
}

/// `helo [192.0.2.1]`, `[192.0.2.1]`, `alice@localhost`.
struct Relay<'a> {
    peer: &'a Peer,
    helo: &'a str,
}

impl fmt::Display for Relay<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.peer {
            Peer::Network(address) if self.helo.is_empty() => write!(f, "[{address}]"),
            Peer::Network(address) => write!(f, "{} [{address}]", self.helo),
            Peer::User { name, .. } => write!(f, "{name}@localhost"),
        }
    }
}

/// `name=<value>`, or nothing.
struct Shown<T>(&'static str, Option<T>);

impl<T: fmt::Display> fmt::Display for Shown<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.1.as_ref().map_or(Ok(()), |value| write!(f, "{}=<{value}>", self.0))
    }
}
