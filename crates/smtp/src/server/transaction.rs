//! One mail transaction (RFC 5321 §3.3).

use envelope::{
    Address, Body, Disposition, Envelope, Origin, Recipient, Return, ReversePath, Submission,
};

use super::intake::Intake;
use super::{Fate, Peer, Question};

/// From MAIL on.
#[derive(Debug)]
pub(super) struct Transaction {
    pub(super) reverse_path: ReversePath,
    /// The client gave the reverse-path without a domain.
    pub(super) unqualified: bool,
    pub(super) declared_size: Option<u64>,
    pub(super) body: Option<Body>,
    pub(super) smtputf8: bool,
    pub(super) ret: Option<Return>,
    pub(super) envid: Option<String>,
    pub(super) submission: Submission,
    pub(super) recipients: Vec<Recipient>,
    /// Accepted, and to get nothing.
    pub(super) omitted: Vec<Address>,
    pub(super) fate: Fate,
    /// Those whose RCPT has not been answered yet.
    pub(super) asked: Vec<Recipient>,
    /// Bytes of all addresses that were asked about.
    pub(super) bytes: usize,
    /// From DATA or the first BDAT on.
    pub(super) intake: Option<Intake>,
}

impl Transaction {
    /// A recipient is accepted.
    pub(super) fn accept(&mut self, recipient: Recipient, disposition: Disposition) {
        match (disposition, &self.fate) {
            (Disposition::Omit, _) => return self.omitted.push(recipient.address),
            // Who held it first has said why.
            (Disposition::Quarantine(reason), Fate::Deliver) => self.fate = Fate::Hold(reason),
            (Disposition::Discard, _) => self.fate = Fate::Discard,
            (Disposition::Deliver | Disposition::Quarantine(_), _) => {}
        }
        self.recipients.push(recipient);
    }

    /// What becomes of the message with all its recipients.
    pub(super) fn fate(&self) -> Fate {
        if self.recipients.is_empty() { Fate::Discard } else { self.fate.clone() }
    }

    /// Those that were answered with 250.
    pub(super) const fn accepted(&self) -> usize {
        self.recipients.len() + self.omitted.len()
    }

    /// Adds a recipient whose RCPT is to be answered.
    pub(super) fn ask(&mut self, recipient: Recipient) {
        let Recipient { address, orcpt, .. } = &recipient;
        let original = orcpt.as_ref().map_or(0, |orcpt| orcpt.kind.len() + orcpt.address.len());
        self.bytes += address.local().len() + address.domain().len() + original;
        self.asked.push(recipient);
    }

    /// About the recipients that are not answered.
    pub(super) fn question(&self) -> Question {
        let recipients = self.asked.iter().map(|recipient| recipient.address.clone()).collect();
        let (reverse_path, unqualified) = (self.reverse_path.clone(), self.unqualified);
        let aliasing = self.submission.aliasing;
        Question { reverse_path, unqualified, aliasing, recipients }
    }

    pub(super) fn envelope(&self, peer: &Peer, helo: &str) -> Envelope {
        Envelope {
            reverse_path: self.reverse_path.clone(),
            recipients: self.recipients.clone(),
            body: self.body(),
            smtputf8: self.smtputf8,
            ret: self.ret,
            envid: self.envid.clone(),
            origin: origin(peer, helo),
            aliasing: self.submission.aliasing,
        }
    }

    /// Content is 8-bit if it was declared or seen to be so, and if the end is not yet seen it may
    /// be: many clients declare nothing, and send what they have.
    fn body(&self) -> Body {
        let eight_bit = self.intake.as_ref().is_some_and(Intake::may_be_eight_bit);
        match self.body {
            Some(body) => body,
            None if eight_bit => Body::EightBitMime,
            None => Body::SevenBit,
        }
    }
}

fn origin(peer: &Peer, helo: &str) -> Origin {
    match peer {
        Peer::Network(address) => Origin::Client { address: *address, helo: helo.to_owned() },
        Peer::User { uid, name } => Origin::User { uid: *uid, name: name.clone() },
    }
}
