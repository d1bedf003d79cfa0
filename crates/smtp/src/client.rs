//! The client's side of one connection, without I/O: says what to write, is told what was read.
//!
//! The driver repeats [`Session::step`]: it writes [`Session::outgoing`], reads, and hands what it
//! read to [`Session::receive`], until the session is [`Step::Ready`] for a transaction or the
//! transaction has [`Step::Ended`].
//!
//! With LMTP (RFC 2033) each recipient that was taken has a reply of its own to the final dot.
//!
//! **Invariant:** any doubt defers. A recipient is delivered by nothing but a 2xx to the final
//! dot, and failed by nothing but a 5xx to a command of its transaction, or because the host
//! announces that it cannot take such a message.

mod mail;
mod offers;
mod probe;
mod reply;
mod stuffing;
mod transaction;

pub use mail::Mail;
pub use stuffing::Stuffing;
pub use transaction::Answer;

use std::fmt;

use envelope::{Address, Detail, Dialogue, Enhanced, Heard, Protocol};
use offers::Offers;
use probe::Probe;
use reply::{Class, Malformed, Replies, Reply};
use transaction::{Progress, Transaction};

const QUIT: &[u8] = b"QUIT\r\n";
/// Before what we say, in a dialogue.
const SAID: &str = ">>> ";

/// One connection to one host.
#[derive(Debug)]
pub struct Session {
    protocol: Protocol,
    our_name: String,
    host: String,
    outgoing: Vec<u8>,
    replies: Replies,
    offers: Offers,
    state: State,
    /// What [`Step::Ended`] is still to say.
    end: Option<Ended>,
    /// `None`: nobody wants to know.
    dialogue: Option<Dialogue>,
}

#[derive(Debug)]
enum State {
    Greeting,
    Ehlo,
    Helo,
    Ready,
    Transaction(Transaction),
    Probe(Probe),
    Closed,
}

/// What the driver is to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Write [`Session::outgoing`] and read; the next reply is due within the time of this phase.
    Reply(Phase),
    /// Write the content through [`Stuffing`], then call [`Session::content_sent`].
    Content,
    /// The host has greeted us and nothing is under way.
    Ready,
    /// The greeting, the transaction or the question is over. Said once.
    Ended(Ended),
    /// The connection is of no more use.
    Closed,
}

/// What a reply is awaited for; RFC 5321 §4.5.3.2 gives each its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    Greeting,
    Hello,
    Mail,
    Rcpt,
    Data,
    FinalDot,
}

/// How it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// The host said nothing about any recipient: another host may be asked at once, and if there
    /// is none, all are deferred for this reason.
    ///
    /// That holds for a 5xx greeting too (RFC 5321 §3.1, RFC 7504): it speaks about the host, or
    /// about our address in a block list, so that time or another host may help.
    Undecided(Detail),
    /// One answer for each recipient of [`Mail`], in order.
    Decided(Vec<Answer>),
    /// What came of [`Session::ask_about`].
    Heard(Heard),
}

impl Session {
    /// A connection that was just made. `our_name` goes into EHLO or LHLO, `host` into every [`Detail`].
    #[must_use]
    pub fn new(our_name: &str, host: &str) -> Self {
        Self {
            protocol: Protocol::Smtp,
            our_name: our_name.to_owned(),
            host: host.to_owned(),
            outgoing: Vec::new(),
            replies: Replies::default(),
            offers: Offers::default(),
            state: State::Greeting,
            end: None,
            dialogue: None,
        }
    }

    /// In this protocol; SMTP where nothing is said.
    #[must_use]
    pub const fn speaking(mut self, protocol: Protocol) -> Self {
        self.protocol = protocol;
        self
    }

    /// What is to be done now.
    pub fn step(&mut self) -> Step {
        if let Some(end) = self.end.take() {
            return Step::Ended(end);
        }
        if let Some(phase) = self.awaited() {
            return Step::Reply(phase);
        }
        match self.state {
            State::Ready => Step::Ready,
            State::Transaction(_) => Step::Content,
            // Never: it always waits for a reply.
            State::Probe(_) => Step::Closed,
            State::Greeting | State::Ehlo | State::Helo | State::Closed => Step::Closed,
        }
    }

    /// The phase whose reply is due, if one is.
    fn awaited(&self) -> Option<Phase> {
        match &self.state {
            State::Greeting => Some(Phase::Greeting),
            State::Ehlo | State::Helo => Some(Phase::Hello),
            State::Transaction(transaction) => transaction.awaited(),
            State::Probe(probe) => Some(probe.awaited()),
            State::Ready | State::Closed => None,
        }
    }

    /// Takes what is to be written.
    #[must_use]
    pub fn outgoing(&mut self) -> Vec<u8> {
        let outgoing = std::mem::take(&mut self.outgoing);
        if let Some(dialogue) = &mut self.dialogue {
            let commands = String::from_utf8_lossy(&outgoing);
            commands.lines().for_each(|command| dialogue.push(&format!("{SAID}{command}")));
        }
        outgoing
    }

    /// From now on adds what is said to this dialogue.
    pub fn record(&mut self, dialogue: Option<Dialogue>) {
        self.dialogue = dialogue;
    }

    /// Takes what was said since [`Session::record`], which ends with it.
    pub const fn recorded(&mut self) -> Option<Dialogue> {
        self.dialogue.take()
    }

    /// The last that is to be written before the connection is closed: QUIT, where the host still
    /// listens (RFC 5321 §4.1.1.10).
    #[must_use]
    pub fn farewell(&mut self) -> Vec<u8> {
        if matches!(self.state, State::Ready) { QUIT.to_vec() } else { self.outgoing() }
    }

    /// May a transaction begin? Nothing is under way, and the host said nothing unasked.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        matches!(self.state, State::Ready) && self.end.is_none() && self.replies.is_empty()
    }

    /// Begins a transaction on a session that [`Session::is_ready`]; on any other it ends
    /// undecided.
    pub fn begin(&mut self, mail: &Mail<'_>) {
        if !self.is_ready() {
            return self.lost("the connection is out of step");
        }
        let (transaction, progress) = Transaction::begin(mail, &self.offers, self.protocol);
        self.state = State::Transaction(transaction);
        self.follow(progress);
    }

    /// Asks whether the host would take mail for this recipient, on a session that
    /// [`Session::is_ready`]; on any other that ends undecided.
    pub fn ask_about(&mut self, recipient: &Address) {
        if !self.is_ready() {
            return self.lost("the connection is out of step");
        }
        let (probe, progress) = Probe::begin(recipient, &self.offers);
        self.state = State::Probe(probe);
        self.follow(progress);
    }

    /// Takes in what the host sent. What comes while no reply is due is kept by nobody, however
    /// much it is.
    pub fn receive(&mut self, bytes: &[u8]) {
        if self.awaited().is_none() {
            return self.misbehaved(Malformed::Unasked);
        }
        self.replies.push(bytes);
        while self.awaited().is_some() {
            match self.replies.next_reply() {
                Ok(Some(reply)) => self.take(&reply),
                Ok(None) => return,
                Err(malformed) => return self.misbehaved(malformed),
            }
        }
    }

    /// The whole content and the final dot are written.
    pub fn content_sent(&mut self) {
        if let State::Transaction(transaction) = &mut self.state {
            transaction.content_sent();
            if let Some(dialogue) = &mut self.dialogue {
                dialogue.push(&format!("{SAID}."));
            }
        }
    }

    /// The connection broke, or the time is over: `why` as a person reads it.
    pub fn lost(&mut self, why: &str) {
        let doing = match (&self.state, self.awaited()) {
            (_, Some(phase)) => format!(" while waiting for {phase}"),
            (State::Transaction(_), None) => " while sending the content".to_owned(),
            _ => String::new(),
        };
        // RFC 1047: without the last reply nobody knows; a second copy is better than none.
        let risk =
            if self.awaited() == Some(Phase::FinalDot) { " (sent, unconfirmed)" } else { "" };
        let text = format!("{}: {why}{doing}{risk}", self.host);
        self.abandon(Detail::ours(Enhanced::BAD_CONNECTION, text));
    }

    /// A fault of ours in the middle of the content: nobody gets this message.
    pub fn fault(&mut self, why: &str) {
        self.abandon(Detail::ours(Enhanced::SYSTEM, why));
    }

    fn misbehaved(&mut self, how: Malformed) {
        let text = format!("{} broke the protocol: {how}", self.host);
        self.abandon(Detail::ours(Enhanced::PROTOCOL, text));
    }

    /// Ends what is under way; who has no answer yet is deferred.
    fn abandon(&mut self, why: Detail) {
        self.outgoing.clear();
        let end = match std::mem::replace(&mut self.state, State::Closed) {
            State::Transaction(transaction) => transaction.abandon(why),
            State::Probe(probe) => probe.abandon(why),
            State::Greeting | State::Ehlo | State::Helo | State::Ready | State::Closed => {
                Ended::Undecided(why)
            }
        };
        self.end.get_or_insert(end);
    }

    fn take(&mut self, reply: &Reply) {
        if let Some(dialogue) = &mut self.dialogue {
            reply.lines().for_each(|line| dialogue.push(&line));
        }
        // RFC 5321 §3.8: 421 may answer anything, and the connection is over.
        if reply.code == 421 {
            return self.abandon(reply.detail(&self.host));
        }
        let positive = reply.class() == Class::Positive;
        match &mut self.state {
            State::Greeting if positive => self.hello(self.greeting(), State::Ehlo),
            State::Ehlo if positive => {
                self.offers = Offers::read(&reply.text);
                self.state = State::Ready;
            }
            State::Helo if positive => self.state = State::Ready,
            // RFC 5321 §3.2: a host that does not know EHLO may know HELO.
            State::Ehlo if reply.class() == Class::Permanent && self.protocol == Protocol::Smtp => {
                self.hello("HELO", State::Helo);
            }
            State::Transaction(transaction) => {
                let progress = transaction.take(reply, &self.host);
                self.follow(progress);
            }
            State::Probe(probe) => {
                let progress = probe.take(reply, &self.host);
                self.follow(progress);
            }
            // RFC 5321 §3.1: to a host that does not want us, there is only QUIT left to say.
            State::Greeting | State::Ehlo | State::Helo => {
                self.abandon(reply.detail(&self.host));
                self.outgoing.extend_from_slice(QUIT);
            }
            State::Ready | State::Closed => {}
        }
    }

    const fn greeting(&self) -> &'static str {
        match self.protocol {
            Protocol::Smtp => "EHLO",
            Protocol::Lmtp => "LHLO",
        }
    }

    fn hello(&mut self, verb: &str, next: State) {
        self.state = next;
        let command = format!("{verb} {}\r\n", self.our_name);
        self.ask(command.as_bytes());
    }

    fn follow(&mut self, progress: Progress) {
        match progress {
            Progress::Waits => {}
            Progress::Ask(command) => self.ask(&command),
            Progress::Content => {
                if !self.replies.is_empty() {
                    self.misbehaved(Malformed::Unasked);
                }
            }
            Progress::Misbehaved(how) => self.misbehaved(how),
            Progress::Over { open } => self.over(open),
        }
    }

    fn over(&mut self, open: bool) {
        let next = if open { State::Ready } else { State::Closed };
        self.end = match std::mem::replace(&mut self.state, next) {
            State::Transaction(transaction) => Some(Ended::Decided(transaction.answers())),
            State::Probe(probe) => Some(probe.answer()),
            State::Greeting | State::Ehlo | State::Helo | State::Ready | State::Closed => None,
        };
        if !open {
            self.outgoing.extend_from_slice(QUIT);
        }
    }

    /// A reply that came before its command was written answers nothing.
    fn ask(&mut self, command: &[u8]) {
        if self.replies.is_empty() {
            self.outgoing.extend_from_slice(command);
        } else {
            self.misbehaved(Malformed::Unasked);
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Greeting => "the greeting",
            Self::Hello => "the reply to EHLO",
            Self::Mail => "the reply to MAIL",
            Self::Rcpt => "the reply to RCPT",
            Self::Data => "the reply to DATA",
            Self::FinalDot => "the reply to the content",
        })
    }
}

#[cfg(test)]
mod tests;
