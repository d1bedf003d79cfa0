//! The receiving side of one SMTP session (RFC 5321) as a value.
//!
//! Bytes and the time go in; [`Step`]s come out, which the owner carries out and answers before it
//! asks for the next one. Replies gather in an output buffer, so that all replies to one group of
//! pipelined commands go out in one write (RFC 2920 §3.2).
//!
//! **Invariant:** content is handed on only between an accepted RCPT and the end of its data.
//!
//! **Invariant:** after a bare CR or LF, or input that came before the reply it had to wait for,
//! nothing that follows is read.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use envelope::{
    Address, Aliasing, Disposition, Enhanced, Envelope, Extensions, Label, ReversePath, Submission,
};

use crate::Reply;
use crate::line::Skip;

pub use intake::PIECE;

mod chunks;
mod dialogue;
mod ending;
mod intake;
mod patience;
mod transaction;

use patience::Patience;
use transaction::Transaction;

/// What is the same for all sessions of a role.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The name of this host in greeting and EHLO.
    pub hostname: String,
    /// Bytes of content (SIZE, RFC 1870).
    pub message_size: u64,
    /// Recipients of one transaction (RCPTMAX, RFC 9422).
    pub recipients: usize,
    /// 5xx replies, without a message between them, after which the session ends.
    pub commands_in_error: usize,
    /// `Received` fields after which a message is a loop (RFC 5321 §6.3).
    pub hops: usize,
    pub unqualified: Unqualified,
}

/// The answer to [`Step::Check`] for one recipient: what becomes of it, or the reply that refuses it.
pub type Verdict = Result<Disposition, Reply>;

/// What an address without a domain means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unqualified {
    /// A recipient is refused, `<postmaster>` apart (RFC 5321 §4.1.1.3). Of a reverse-path
    /// [`Question::unqualified`] tells.
    Refused,
    /// It is in the domain of this host, as a submission's may be (RFC 6409 §4.2).
    Ours,
}

/// Who is at the other end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Peer {
    Network(IpAddr),
    /// A user of this machine. He may send ahead as he likes: `sendmail -bs <script` does.
    User {
        uid: u32,
        name: String,
    },
}

/// What the owner of a [`Session`] is to do.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// Write the output, and come back with more input.
    Read,
    /// Ask whether these recipients are to be accepted; then [`Session::verdicts`].
    Check(Question),
    /// Content that is too long to be kept; more follows. If it cannot be taken:
    /// [`Session::refuse_content`]. Once [`Session::in_content`] is false without a
    /// [`Step::Submit`], the message is void.
    Piece(Vec<u8>),
    /// The message is complete; then [`Session::submitted`].
    Submit(Message),
    /// Write the output and close the connection.
    Close(Ending),
}

/// Why a session ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// QUIT.
    Agreed,
    /// The client was not asked. It may still be sending: read on for a moment, or what was said
    /// last may be lost with the connection (RFC 1122 §4.2.2.13).
    Forced,
}

/// [`Step::Check`]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    pub reverse_path: ReversePath,
    /// It came without a domain, from another system, and was given that of this host.
    pub unqualified: bool,
    pub aliasing: Aliasing,
    pub recipients: Vec<Address>,
}

/// [`Step::Submit`]
#[derive(Debug, PartialEq, Eq)]
pub struct Message {
    pub opening: Opening,
    /// All content, or what follows the last [`Step::Piece`].
    pub content: Vec<u8>,
    /// Bytes of the whole content.
    pub size: u64,
}

/// What is known of a message before its content is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opening {
    pub envelope: Envelope,
    pub fate: Fate,
    /// Recipients that were accepted, and are not in the envelope.
    pub omitted: Vec<Address>,
    pub protocol: Protocol,
    /// SIZE
    pub declared_size: Option<u64>,
    pub submission: Box<Submission>,
}

/// What becomes of a message that is accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    Deliver,
    /// It is held, for this reason.
    Hold(String),
    /// Nobody gets it.
    Discard,
}

/// `with` of the `Received` field (RFC 3848, RFC 6531 §4.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    Smtp,
    Esmtp,
    Utf8Smtp,
}

/// One 4xx or 5xx reply, for the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    pub stage: Stage,
    pub from: Option<ReversePath>,
    pub to: Option<Address>,
    pub reply: Reply,
    /// What the submitter had marked the message with.
    pub tag: Option<Label>,
}

/// What was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// The client.
    Connect,
    /// A command, or the order of commands.
    Command,
    /// A reverse-path.
    Mail,
    /// A recipient.
    Rcpt,
    Content,
}

/// One session.
#[derive(Debug)]
pub struct Session {
    settings: Arc<Settings>,
    peer: Peer,
    /// What this client is not offered.
    withheld: Extensions,
    state: State,
    hello: Option<Hello>,
    transaction: Option<Box<Transaction>>,
    output: Vec<u8>,
    refusals: Vec<Refusal>,
    /// 5xx replies since the last message.
    errors: usize,
    /// 4xx replies since then.
    deferrals: usize,
    /// Commands since the last message that led to none.
    idle_commands: usize,
    draining: bool,
    patience: Patience,
}

/// What the input is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Commands,
    /// The rest of a line that is too long.
    LongLine(Skip),
    Data,
    Chunk {
        left: u64,
        last: bool,
    },
    /// A refused chunk.
    Discard {
        left: u64,
        before: Option<u8>,
    },
    Closed(Ending),
}

/// How the client introduced itself.
#[derive(Debug, Clone)]
struct Hello {
    name: String,
    /// With EHLO.
    extended: bool,
}

impl Session {
    /// A session that begins now.
    #[must_use]
    pub fn new(settings: Arc<Settings>, peer: Peer, now: Instant) -> Self {
        Self {
            settings,
            peer,
            withheld: Extensions::NONE,
            state: State::Commands,
            hello: None,
            transaction: None,
            output: Vec::new(),
            refusals: Vec::new(),
            errors: 0,
            deferrals: 0,
            idle_commands: 0,
            draining: false,
            patience: Patience::new(now),
        }
    }

    /// The same with less on offer.
    #[must_use]
    pub fn without(self, withheld: Extensions) -> Self {
        Self { withheld, ..self }
    }

    /// Greets the client. One that has spoken already is no mail system, or its words are not its
    /// own: it is told so instead (RFC 5321 §3.1, §4.3.1).
    pub fn greet(&mut self, spoke_first: bool) {
        self.patience.renew();
        if spoke_first {
            self.hang_up(
                Stage::Connect,
                Reply::new(554, Enhanced(5, 1), "You spoke before the banner"),
            );
        } else {
            let banner = format!("{} ESMTP Pennypost", self.settings.hostname);
            self.say(&Reply::bare(220, banner));
        }
    }

    /// The next step. Consumes what it can of `input`; what is left over is to be given again, with
    /// what arrives after it.
    pub fn step(&mut self, input: &mut &[u8], now: Instant) -> Step {
        let before = input.len();
        let step = loop {
            if let Some(step) = self.advance(input) {
                break step;
            }
        };
        self.patience.note(before - input.len(), now);
        step
    }

    fn advance(&mut self, input: &mut &[u8]) -> Option<Step> {
        match self.state {
            State::Commands => self.command(input),
            State::LongLine(mut skip) => {
                let line = skip.advance(input);
                self.state = State::LongLine(skip);
                self.long_line(&line)
            }
            State::Data => self.data(input),
            State::Chunk { left, last } => self.chunk(input, left, last),
            State::Discard { left, before } => self.discard(input, left, before),
            State::Closed(ending) => Some(Step::Close(ending)),
        }
    }

    /// What is to be written; the owner empties it.
    pub fn output(&mut self) -> &mut Vec<u8> {
        &mut self.output
    }

    /// What was refused since the last call.
    pub fn refusals(&mut self) -> Vec<Refusal> {
        std::mem::take(&mut self.refusals)
    }

    /// Content is arriving, also between two chunks.
    #[must_use]
    pub fn in_content(&self) -> bool {
        self.transaction.as_ref().is_some_and(|transaction| transaction.intake.is_some())
    }

    /// The name that the client gave itself; empty before EHLO.
    #[must_use]
    pub fn client_name(&self) -> &str {
        self.hello.as_ref().map_or("", |hello| &hello.name)
    }

    #[must_use]
    pub const fn peer(&self) -> &Peer {
        &self.peer
    }

    /// What is known of the message under way: for content that is handed on in pieces.
    #[must_use]
    pub fn opening(&self) -> Option<Opening> {
        let transaction = self.transaction.as_deref()?;
        Some(Opening {
            envelope: transaction.envelope(&self.peer, self.client_name()),
            fate: transaction.fate(),
            omitted: transaction.omitted.clone(),
            protocol: self.protocol(transaction),
            declared_size: transaction.declared_size,
            submission: Box::new(transaction.submission.clone()),
        })
    }

    fn protocol(&self, transaction: &Transaction) -> Protocol {
        let extended = self.hello.as_ref().is_some_and(|hello| hello.extended);
        match (transaction.smtputf8, extended) {
            (true, _) => Protocol::Utf8Smtp,
            (false, true) => Protocol::Esmtp,
            (false, false) => Protocol::Smtp,
        }
    }
}

#[cfg(test)]
mod tests;
