//! One transaction: MAIL, RCPT for each recipient, DATA, the content (RFC 5321 §3.3).

use std::collections::VecDeque;

use envelope::{Detail, Enhanced, Protocol, Recipient, Status};

use super::mail::rcpt;
use super::reply::{Class, Malformed, Reply};
use super::{Ended, Mail, Offers, Phase};

/// What came of one recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub status: Status,
    /// The host offers DSN and was given NOTIFY: once it has the message, it tells the
    /// reverse-path of success, and we do not (RFC 3461 §5.2.2).
    pub host_notifies: bool,
}

#[derive(Debug)]
pub(super) struct Transaction {
    protocol: Protocol,
    recipients: Vec<Place>,
    turn: Turn,
    /// Commands that wait for the reply to the one before; none with PIPELINING.
    unsent: VecDeque<String>,
}

/// One recipient on its way through the transaction.
#[derive(Debug)]
struct Place {
    state: PlaceState,
    host_notifies: bool,
}

#[derive(Debug)]
enum PlaceState {
    /// RCPT is not answered.
    Asked,
    /// RCPT got 2xx.
    Accepted,
    Settled(Status),
}

/// Whose reply is next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    Mail,
    /// Of the first recipient that is [`PlaceState::Asked`].
    Rcpt,
    Data,
    /// Nobody's: the content is being sent.
    Content,
    /// With LMTP, of the first recipient that is [`PlaceState::Accepted`]; else of all of them.
    FinalDot,
    /// Of the dot that ends a DATA which nobody is to get.
    EmptyDot,
}

/// What the session is to do after a reply.
#[derive(Debug)]
pub(super) enum Progress {
    Waits,
    Ask(Vec<u8>),
    Content,
    /// `open`: the connection can be used again.
    Over {
        open: bool,
    },
    Misbehaved(Malformed),
}

impl Transaction {
    /// The transaction, and its first commands: with PIPELINING (RFC 2920 §3.1) all of them.
    pub(super) fn begin(mail: &Mail<'_>, offers: &Offers, protocol: Protocol) -> (Self, Progress) {
        let recipients: Vec<_> = mail.recipients.iter().map(|r| place(r, mail, offers)).collect();
        let asked =
            || mail.recipients.iter().zip(&recipients).filter(|(_, place)| place.is_asked());
        let utf8 = mail.needs_utf8() || asked().any(|(r, _)| r.address.needs_utf8());
        let mut unsent = VecDeque::new();
        unsent.push_back(mail.command(offers, utf8));
        unsent.extend(asked().map(|(recipient, _)| rcpt(recipient, offers)));
        unsent.push_back("DATA\r\n".to_owned());
        let clean = unsent.iter().all(|command| is_one_line(command));
        let mut transaction = Self { protocol, recipients, turn: Turn::Mail, unsent };
        if !clean {
            transaction.settle(&Status::fault("the envelope holds a control character"));
        }
        if !transaction.recipients.iter().any(Place::is_asked) {
            return (transaction, Progress::Over { open: true });
        }
        let group = if offers.pipelining { transaction.unsent.len() } else { 1 };
        let commands = transaction.unsent.drain(..group).collect::<String>();
        (transaction, Progress::Ask(commands.into_bytes()))
    }

    pub(super) fn awaited(&self) -> Option<Phase> {
        match self.turn {
            Turn::Mail => Some(Phase::Mail),
            Turn::Rcpt => Some(Phase::Rcpt),
            Turn::Data => Some(Phase::Data),
            Turn::Content => None,
            Turn::FinalDot | Turn::EmptyDot => Some(Phase::FinalDot),
        }
    }

    pub(super) fn content_sent(&mut self) {
        self.turn = Turn::FinalDot;
    }

    pub(super) fn take(&mut self, reply: &Reply, host: &str) -> Progress {
        match self.turn {
            Turn::Mail => self.take_mail(reply, host),
            Turn::Rcpt => self.take_rcpt(reply, host),
            Turn::Data => self.take_data(reply, host),
            Turn::FinalDot => match self.protocol {
                Protocol::Smtp => {
                    self.settle(&reply.status(host));
                    Progress::Over { open: reply.class() == Class::Positive }
                }
                Protocol::Lmtp => self.take_one(reply, host),
            },
            Turn::EmptyDot => Progress::Over { open: false },
            Turn::Content => Progress::Misbehaved(Malformed::Unasked),
        }
    }

    fn take_mail(&mut self, reply: &Reply, host: &str) -> Progress {
        self.turn = Turn::Rcpt;
        if reply.class() == Class::Positive {
            return self.next();
        }
        // The replies to RCPT, which were sent along, change nothing any more.
        self.settle(&reply.status(host));
        Progress::Over { open: false }
    }

    fn take_rcpt(&mut self, reply: &Reply, host: &str) -> Progress {
        let crowded = is_too_many(reply) && self.recipients.iter().any(Place::is_accepted);
        let next = self.recipients.iter_mut().find(|place| place.is_asked());
        if let Some(place) = next {
            place.state = match reply.status(host) {
                Status::Delivered(_) => PlaceState::Accepted,
                Status::Failed(detail) if crowded => PlaceState::Settled(Status::Deferred(detail)),
                other @ (Status::Deferred(_) | Status::Failed(_)) => PlaceState::Settled(other),
            };
        }
        if self.recipients.iter().any(Place::is_asked) {
            return self.next();
        }
        self.turn = Turn::Data;
        if self.recipients.iter().any(Place::is_accepted) || self.unsent.is_empty() {
            return self.next();
        }
        Progress::Over { open: false }
    }

    fn take_data(&mut self, reply: &Reply, host: &str) -> Progress {
        let accepted = self.recipients.iter().any(Place::is_accepted);
        match (reply.class(), accepted) {
            (Class::Intermediate, true) => {
                self.turn = Turn::Content;
                Progress::Content
            }
            // RFC 2920 §3.1: the host wants content that nobody is to get; with LMTP it must not
            // (RFC 2033 §4.2), and no reply would follow.
            (Class::Intermediate, false) if self.protocol == Protocol::Lmtp => {
                Progress::Misbehaved(Malformed::Unfitting)
            }
            (Class::Intermediate, false) => {
                self.turn = Turn::EmptyDot;
                Progress::Ask(b".\r\n".to_vec())
            }
            (Class::Positive, true) => Progress::Misbehaved(Malformed::Unfitting),
            (Class::Positive | Class::Transient | Class::Permanent, _) => {
                self.settle(&reply.status(host));
                Progress::Over { open: false }
            }
        }
    }

    /// RFC 2033 §4.2: a reply for each recipient that was accepted, in the order of RCPT.
    fn take_one(&mut self, reply: &Reply, host: &str) -> Progress {
        if let Some(place) = self.recipients.iter_mut().find(|place| place.is_accepted()) {
            place.state = PlaceState::Settled(reply.status(host));
        }
        if self.recipients.iter().any(Place::is_accepted) {
            return Progress::Waits;
        }
        Progress::Over { open: true }
    }

    fn next(&mut self) -> Progress {
        let command = self.unsent.pop_front();
        command.map_or(Progress::Waits, |command| Progress::Ask(command.into_bytes()))
    }

    /// Gives this status to all that have none.
    fn settle(&mut self, status: &Status) {
        for place in &mut self.recipients {
            match place.state {
                PlaceState::Asked | PlaceState::Accepted => {
                    place.state = PlaceState::Settled(status.clone());
                }
                PlaceState::Settled(_) => {}
            }
        }
    }

    /// Ends it before its time.
    pub(super) fn abandon(mut self, why: Detail) -> Ended {
        if self.turn == Turn::Mail {
            return Ended::Undecided(why);
        }
        self.settle(&Status::Deferred(why));
        Ended::Decided(self.answers())
    }

    /// One answer for each recipient.
    pub(super) fn answers(self) -> Vec<Answer> {
        let answer = |Place { state, host_notifies }| match state {
            PlaceState::Settled(status) => Answer { status, host_notifies },
            PlaceState::Asked | PlaceState::Accepted => {
                Answer { status: Status::fault("no reply was kept"), host_notifies }
            }
        };
        self.recipients.into_iter().map(answer).collect()
    }
}

impl Place {
    fn is_asked(&self) -> bool {
        matches!(self.state, PlaceState::Asked)
    }

    fn is_accepted(&self) -> bool {
        matches!(self.state, PlaceState::Accepted)
    }
}

fn place(recipient: &Recipient, mail: &Mail<'_>, offers: &Offers) -> Place {
    let refused = impossible(recipient, mail, offers);
    let state = refused.map_or(PlaceState::Asked, |why| PlaceState::Settled(Status::Failed(why)));
    Place { state, host_notifies: offers.dsn && recipient.notify.stated }
}

/// Why this host cannot take the message for this recipient, as far as it says so itself.
fn impossible(recipient: &Recipient, mail: &Mail<'_>, offers: &Offers) -> Option<Detail> {
    // RFC 1870 §6.1: over the fixed maximum there is no use in trying.
    if let Some(limit) = offers.size.filter(|limit| (1..mail.size).contains(limit)) {
        let text = format!("the message has {} bytes, the host takes {limit}", mail.size);
        return Some(Detail::ours(Enhanced(3, 4), text));
    }
    if offers.smtputf8 {
        return None;
    }
    // RFC 6531 §3.5 and §4.3: such a message is returned, never sent with other addresses.
    let address = recipient.address.needs_utf8();
    if address || mail.reverse_path.0.as_ref().is_some_and(envelope::Address::needs_utf8) {
        let text = "the host does not take addresses beyond ASCII (no SMTPUTF8)";
        return Some(Detail::ours(Enhanced(6, 7), text));
    }
    mail.utf8_headers.then(|| {
        let text = "the host does not take header fields beyond ASCII (no SMTPUTF8)";
        Detail::ours(Enhanced(6, 9), text)
    })
}

/// Whoever forged the envelope must not be able to say other commands in our name.
pub(super) fn is_one_line(command: &str) -> bool {
    command.strip_suffix("\r\n").is_some_and(|text| !text.contains(char::is_control))
}

/// RFC 5321 §4.5.3.1.10: old hosts say 552 for "too many recipients", which passes. A 552 with
/// another enhanced code means what it says.
fn is_too_many(reply: &Reply) -> bool {
    reply.code == 552 && reply.enhanced().is_none_or(|code| code == Enhanced(5, 3))
}
