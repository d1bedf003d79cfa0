//! Log lines in sendmail's form, so that what reads its log reads ours.

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use config::{LogFormat, Role};
use envelope::{Body, Label, OriginalClient, QueueId, printable};
use smtp::Reply;
use smtp::server::{Fate, Message, Peer, Protocol, Refusal, Stage};

use crate::rate::Rate;

/// A message is accepted: it is in the queue, or goes nowhere. `message_id`: what its field says.
pub(crate) fn accepted(
    (id, message_id): (QueueId, &str),
    (role, peer, helo): (Role, &Peer, &str),
    message: &Message,
    original: Option<&OriginalClient>,
) {
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
    let fate = match &opening.fate {
        Fate::Deliver => String::new(),
        Fate::Hold(reason) => format!(", quarantine={}", printable(reason)),
        Fate::Discard => ", discarded".to_owned(),
    };
    let message_id = match message_id {
        "" => String::new(),
        stated => format!(", msgid={}", printable(stated)),
    };
    // Of the classes of `Precedence` there is one.
    tracing::info!(
        "{id}: from=<{}>, size={size}, class=0, nrcpts={}{message_id}{body}, proto={protocol}, \
         daemon={role}, relay={}{}{}{fate}",
        opening.envelope.reverse_path,
        opening.envelope.recipients.len(),
        Relay { peer, helo },
        Original(original),
        Tag(opening.submission.tag.as_ref()),
    );
    for address in &opening.omitted {
        tracing::info!("{id}: to=<{address}>, discarded");
    }
}

/// Refusals that are logged: not endlessly many, or journald drops lines of everybody's (it takes
/// 10,000 in 30 seconds, `RateLimitBurst` of journald.conf(5)).
#[derive(Debug)]
pub(crate) struct Quota {
    rate: Rate,
    until: Instant,
    untold: u64,
    /// What reads sendmail's log knows the line of a refused recipient without the sender.
    names_sender: bool,
}

impl Quota {
    /// For one session: far more than a client has that means well.
    pub(crate) fn of_a_session(now: Instant) -> Self {
        Self::new(200, now, true)
    }

    /// For the whole process.
    pub(crate) fn of_all(now: Instant, format: LogFormat) -> Self {
        Self::new(2000, now, format != LogFormat::Sendmail)
    }

    fn new(many: usize, now: Instant, names_sender: bool) -> Self {
        Self { rate: Rate::new(many, Duration::from_secs(20)), until: now, untold: 0, names_sender }
    }

    /// Is one more to be logged? Then with the number of those that were not since the last.
    fn take(&mut self, now: Instant) -> Option<u64> {
        if self.rate.allows(&mut self.until, now) {
            return Some(std::mem::take(&mut self.untold));
        }
        self.untold += 1;
        None
    }
}

/// Something was refused in a session.
pub(crate) fn refusal(
    (own, all): (&mut Quota, &Mutex<Quota>),
    peer: &Peer,
    helo: &str,
    refusal: &Refusal,
) {
    let now = Instant::now();
    let Some(untold) = own.take(now) else { return };
    more(untold, peer, helo);
    write(all, now, (peer, helo), refusal);
}

/// The session has ended.
pub(crate) fn end(own: &Quota, peer: &Peer, helo: &str) {
    more(own.untold, peer, helo);
}

fn more(untold: u64, peer: &Peer, helo: &str) {
    if untold > 0 {
        tracing::info!("relay={}, {untold} more refusals", Relay { peer, helo });
    }
}

/// A client was sent away, and so many times before it without a word.
pub(crate) fn rejection(all: &Mutex<Quota>, peer: &Peer, reply: &Reply, untold: u64) {
    let reply = reply.clone();
    let refusal = Refusal { stage: Stage::Connect, from: None, to: None, reply, tag: None };
    write(all, Instant::now(), (peer, ""), &refusal);
    if untold > 0 {
        tracing::info!("relay={}, sent away {untold} more times", Relay { peer, helo: "" });
    }
}

fn write(all: &Mutex<Quota>, now: Instant, (peer, helo): (&Peer, &str), refusal: &Refusal) {
    let mut all = all.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(untold) = all.take(now) else { return };
    if untold > 0 {
        tracing::info!("{untold} refusals were not logged, they came too fast");
    }
    let ruleset = match refusal.stage {
        Stage::Connect => "check_relay",
        Stage::Command => "check_command",
        Stage::Mail => "check_mail",
        Stage::Rcpt => "check_rcpt",
        Stage::Content => "check_eom",
    };
    tracing::info!(
        "ruleset={ruleset}{}{}, relay={}{}, reject={}",
        Shown(", arg1", refusal.to.as_ref()),
        Shown(", from", refusal.from.as_ref().filter(|_| all.names_sender)),
        Relay { peer, helo },
        Tag(refusal.tag.as_ref()),
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

/// `, orig_client=mx.test [192.0.2.1], orig_proto=SMTP`, as Postfix names what a filter says, or nothing.
struct Original<'a>(Option<&'a OriginalClient>);

impl fmt::Display for Original<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(OriginalClient { address, name, protocol, user: _ }) = self.0 else {
            return Ok(());
        };
        match (name, address) {
            (Some(name), Some(address)) => write!(f, ", orig_client={name} [{address}]")?,
            (Some(name), None) => write!(f, ", orig_client={name}")?,
            (None, Some(address)) => write!(f, ", orig_client=[{address}]")?,
            (None, None) => {}
        }
        protocol.as_ref().map_or(Ok(()), |protocol| write!(f, ", orig_proto={protocol}"))
    }
}

/// `, tag=cron` (sendmail's `-L`), or nothing.
struct Tag<'a>(Option<&'a Label>);

impl fmt::Display for Tag<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |tag| write!(f, ", tag={tag}"))
    }
}

/// `name=<value>`, or nothing.
struct Shown<T>(&'static str, Option<T>);

impl<T: fmt::Display> fmt::Display for Shown<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.1.as_ref().map_or(Ok(()), |value| write!(f, "{}=<{value}>", self.0))
    }
}
