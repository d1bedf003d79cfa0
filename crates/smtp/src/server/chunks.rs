//! Content: DATA to its dot (RFC 5321 §4.1.1.4), BDAT to its count (RFC 3030 §2).

use envelope::{Body, Enhanced, Extension};

use super::intake::{Intake, too_large};
use super::transaction::Transaction;
use super::{Message, Session, Stage, State, Step};
use crate::Reply;
use crate::command::CommandError;
use crate::content::{Bare, Progress};

/// Bytes over the limit that are read and thrown away so that the client can hear why; then the
/// session ends.
const PATIENT_EXCESS: u64 = 16 * 1024 * 1024;

impl Session {
    /// DATA was accepted.
    pub(super) fn begin_data(&mut self) {
        if let Some(transaction) = &mut self.transaction {
            transaction.intake = Some(Intake::data());
        }
        self.state = State::Data;
        self.say(&Reply::bare(354, "End data with <CRLF>.<CRLF>"));
    }

    /// BDAT came. Whatever we think of it, its chunk follows and is no command.
    pub(super) fn begin_chunk(&mut self, size: u64, last: bool) {
        let Some(refusal) = self.chunk_refusal(size) else {
            if let Some(transaction) = &mut self.transaction {
                transaction.intake.get_or_insert_with(Intake::bdat);
            }
            self.state = State::Chunk { left: size, last };
            return;
        };
        if size > self.settings.message_size.saturating_add(PATIENT_EXCESS) {
            self.hang_up(Stage::Content, refusal);
            return;
        }
        self.state = State::Discard { left: size, before: None };
        let refusal = self.refusal(Stage::Content, refusal);
        self.refuse(refusal);
        // RFC 3030 §2: no BDAT after a failed one.
        self.transaction = None;
    }

    fn chunk_refusal(&self, size: u64) -> Option<Reply> {
        if self.withheld.has(Extension::Chunking) {
            return Some(CommandError::NotOffered.reply());
        }
        let Some(transaction) = self.transaction.as_deref() else {
            return Some(Reply::new(503, Enhanced(5, 1), "MAIL first"));
        };
        if transaction.accepted() == 0 {
            return Some(Reply::new(503, Enhanced(5, 1), "No valid recipients"));
        }
        let before = transaction.intake.as_ref().map_or(0, |intake| intake.facts().size);
        let fits = before.saturating_add(size) <= self.settings.message_size;
        if fits { None } else { Some(too_large(&self.settings)) }
    }

    /// Input that is content of DATA.
    pub(super) fn data(&mut self, input: &mut &[u8]) -> Option<Step> {
        match self.take_in(input) {
            Ok(Progress::End) => self.end_of_content(),
            Ok(Progress::More) => self.more_content(input),
            Err(Bare) => self.bare(Stage::Content),
        }
    }

    /// Input that is a chunk.
    pub(super) fn chunk(&mut self, input: &mut &[u8], left: u64, last: bool) -> Option<Step> {
        let (chunk, _) = split_chunk(input, left);
        let mut unread = chunk;
        let taken = self.take_in(&mut unread);
        let consumed = chunk.len() - unread.len();
        *input = input.split_at(consumed).1;
        let left = left.saturating_sub(consumed as u64);
        self.state = State::Chunk { left, last };
        match taken {
            Err(Bare) => self.bare(Stage::Content),
            Ok(_) if left == 0 => self.end_of_chunk(last),
            Ok(_) => self.more_content(input),
        }
    }

    /// Input that is a refused chunk. `before`: the byte of it that came last.
    pub(super) fn discard(
        &mut self,
        input: &mut &[u8],
        left: u64,
        before: Option<u8>,
    ) -> Option<Step> {
        let (chunk, rest) = split_chunk(input, left);
        *input = rest;
        if has_bare(before, chunk) {
            return self.bare(Stage::Content);
        }
        let left = left.saturating_sub(chunk.len() as u64);
        if left > 0 {
            self.state = State::Discard { left, before: chunk.last().copied().or(before) };
            return Some(Step::Read);
        }
        self.state = State::Commands;
        None
    }

    /// The content that was being received cannot be taken, and why. What still comes of it is
    /// thrown away.
    pub fn refuse_content(&mut self, reply: Reply) {
        if let Some(intake) = self.transaction.as_mut().and_then(|open| open.intake.as_mut()) {
            intake.refuse(reply);
        }
    }

    fn take_in(&mut self, input: &mut &[u8]) -> Result<Progress, Bare> {
        match open_intake(&mut self.transaction) {
            Some((intake, body)) => intake.receive(input, (&self.settings, body)),
            None => Ok(Progress::More),
        }
    }

    fn more_content(&mut self, input: &[u8]) -> Option<Step> {
        let (intake, _) = open_intake(&mut self.transaction)?;
        if intake.facts().size > self.settings.message_size.saturating_add(PATIENT_EXCESS) {
            return self.hang_up(Stage::Content, too_large(&self.settings));
        }
        if let Some(piece) = intake.piece() {
            return Some(Step::Piece(piece));
        }
        input.is_empty().then_some(Step::Read)
    }

    fn end_of_chunk(&mut self, last: bool) -> Option<Step> {
        let (intake, body) = open_intake(&mut self.transaction)?;
        let rules = (&*self.settings, body);
        if last && intake.finish(rules).is_err() {
            return self.bare(Stage::Content);
        }
        if last || intake.fault(rules).is_some() {
            return self.end_of_content();
        }
        let text = format!("{} bytes so far", intake.facts().size);
        self.state = State::Commands;
        self.patience.renew();
        self.say(&Reply::new(250, Enhanced::UNDEFINED, text));
        None
    }

    fn end_of_content(&mut self) -> Option<Step> {
        self.state = State::Commands;
        self.patience.renew();
        let (intake, body) = open_intake(&mut self.transaction)?;
        if let Some(fault) = intake.fault((&self.settings, body)) {
            let refusal = self.refusal(Stage::Content, fault);
            self.refuse(refusal);
            self.transaction = None;
            return None;
        }
        let (content, size) = (intake.rest(), intake.facts().size);
        let opening = self.opening()?;
        self.idle_commands = 0;
        Some(Step::Submit(Message { opening, content, size }))
    }
}

/// The content that is being received, and what BODY said of it.
fn open_intake(transaction: &mut Option<Box<Transaction>>) -> Option<(&mut Intake, Option<Body>)> {
    let transaction = transaction.as_deref_mut()?;
    Some((transaction.intake.as_mut()?, transaction.body))
}

/// Does a CR or LF stand by itself? Not at the ends of a refused chunk: the refused chunk beside it
/// may have the other half.
fn has_bare(mut before: Option<u8>, bytes: &[u8]) -> bool {
    bytes.iter().any(|&byte| match before.replace(byte) {
        Some(b'\r') => byte != b'\n',
        Some(_) => byte == b'\n',
        None => false,
    })
}

fn split_chunk(input: &[u8], left: u64) -> (&[u8], &[u8]) {
    let available = usize::try_from(left).map_or(input.len(), |left| left.min(input.len()));
    input.split_at(available)
}
