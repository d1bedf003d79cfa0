//! A question without a message: would the host take mail for a recipient? MAIL, RCPT, RSET.
//!
//! **Invariant:** only a reply to RCPT says anything about the recipient.

use std::collections::VecDeque;

use envelope::{Address, Body, Detail, Enhanced, Heard, Recipient, ReversePath, Status};

use super::mail::rcpt;
use super::reply::{Class, Reply};
use super::transaction::{Progress, is_one_line};
use super::{Ended, Mail, Offers, Phase};

#[derive(Debug)]
pub(super) struct Probe {
    turn: Turn,
    /// Commands that wait for the reply to the one before; none with PIPELINING.
    unsent: VecDeque<String>,
    heard: Heard,
}

#[derive(Debug, Clone, Copy)]
enum Turn {
    Mail,
    Rcpt,
    Reset,
}

impl Probe {
    /// The reverse-path is null, so that nothing the host does can come back.
    pub(super) fn begin(recipient: &Address, offers: &Offers) -> (Self, Progress) {
        let recipient = Recipient::plain(recipient.clone());
        let utf8 = recipient.address.needs_utf8();
        let mail = Mail {
            reverse_path: &ReversePath::NULL,
            recipients: &[],
            body: Body::SevenBit,
            utf8_headers: utf8,
            ret: None,
            envid: None,
            size: 0,
            submission: None,
        };
        // Without SIZE: there is no message.
        let without_size = Offers { size: None, ..offers.clone() };
        let commands =
            [mail.command(&without_size, utf8), rcpt(&recipient, offers), "RSET\r\n".to_owned()];
        let impossible = if !commands.iter().all(|command| is_one_line(command)) {
            Some(Heard::Unclear(Detail::ours(Enhanced::SYSTEM, "a control character")))
        } else if utf8 && !offers.smtputf8 {
            // RFC 6531 §3.5.
            let text = "the host does not take addresses beyond ASCII (no SMTPUTF8)";
            Some(Heard::Refused(Detail::ours(Enhanced(6, 7), text)))
        } else {
            None
        };
        let heard = Heard::Unclear(Detail::ours(Enhanced::PROTOCOL, "the host was not asked"));
        let mut probe = Self { turn: Turn::Mail, unsent: commands.into(), heard };
        if let Some(heard) = impossible {
            probe.heard = heard;
            return (probe, Progress::Over { open: true });
        }
        let group = if offers.pipelining { probe.unsent.len() } else { 1 };
        let commands = probe.unsent.drain(..group).collect::<String>();
        (probe, Progress::Ask(commands.into_bytes()))
    }

    pub(super) const fn awaited(&self) -> Phase {
        match self.turn {
            Turn::Mail => Phase::Mail,
            Turn::Rcpt | Turn::Reset => Phase::Rcpt,
        }
    }

    pub(super) fn take(&mut self, reply: &Reply, host: &str) -> Progress {
        match (self.turn, reply.class() == Class::Positive) {
            (Turn::Mail, true) => {
                self.turn = Turn::Rcpt;
                self.next()
            }
            // It speaks about us, or about bounces.
            (Turn::Mail, false) => {
                self.heard = Heard::Unclear(reply.detail(host));
                Progress::Over { open: false }
            }
            (Turn::Rcpt, _) => {
                self.heard = match reply.status(host) {
                    Status::Delivered(_) => Heard::Taken,
                    Status::Deferred(detail) => Heard::Unclear(detail),
                    Status::Failed(detail) => Heard::Refused(detail),
                };
                self.turn = Turn::Reset;
                self.next()
            }
            (Turn::Reset, open) => Progress::Over { open },
        }
    }

    fn next(&mut self) -> Progress {
        let command = self.unsent.pop_front();
        command.map_or(Progress::Waits, |command| Progress::Ask(command.into_bytes()))
    }

    /// Ends it before its time; what was heard is heard.
    pub(super) fn abandon(self, why: Detail) -> Ended {
        match self.turn {
            Turn::Mail => Ended::Undecided(why),
            Turn::Rcpt => Ended::Heard(Heard::Unclear(why)),
            Turn::Reset => Ended::Heard(self.heard),
        }
    }

    pub(super) fn answer(self) -> Ended {
        Ended::Heard(self.heard)
    }
}
