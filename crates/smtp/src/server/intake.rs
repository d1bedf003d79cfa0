//! Content on its way in: what of it is kept, and what is wrong with it.

use envelope::{Body, Enhanced};

use super::Settings;
use crate::Reply;
use crate::content::{Bare, Facts, Progress, Receiver};

/// Bytes that are kept before they are handed on; a message up to this size is handed on whole.
pub const PIECE: usize = 64 * 1024;
/// Bytes of a line of content, without its end. RFC 5321 §4.5.3.1.6 asks for 998 at least; much
/// software writes longer ones, and no one should write longer ones than these.
pub(super) const MAX_LINE: usize = 64 * 1024;

/// Receives the content of one message.
#[derive(Debug)]
pub(super) struct Intake {
    receiver: Receiver,
    piece: Vec<u8>,
    /// The end was reached.
    complete: bool,
    /// Why the owner of the session cannot take it.
    refused: Option<Reply>,
    /// The message will be refused; what still comes is thrown away.
    void: bool,
}

/// What content is measured by: the settings, and what BODY said of it.
pub(super) type Rules<'a> = (&'a Settings, Option<Body>);

impl Intake {
    pub(super) fn data() -> Self {
        Self::new(Receiver::data())
    }

    pub(super) fn bdat() -> Self {
        Self::new(Receiver::bdat())
    }

    const fn new(receiver: Receiver) -> Self {
        Self { receiver, piece: Vec::new(), complete: false, refused: None, void: false }
    }

    pub(super) fn receive(
        &mut self,
        input: &mut &[u8],
        rules: Rules<'_>,
    ) -> Result<Progress, Bare> {
        let room = (PIECE + 1).saturating_sub(self.piece.len());
        let (mut now, later) = input.split_at(room.min(input.len()));
        let result = self.receiver.receive(&mut now, &mut self.piece);
        let (_, rest) = input.split_at(input.len() - later.len() - now.len());
        *input = rest;
        self.examine(rules);
        let progress = result?;
        self.complete = progress == Progress::End;
        Ok(progress)
    }

    /// The last chunk is complete.
    pub(super) fn finish(&mut self, rules: Rules<'_>) -> Result<(), Bare> {
        self.receiver.finish(&mut self.piece)?;
        self.complete = true;
        self.examine(rules);
        Ok(())
    }

    /// More than is kept has come.
    pub(super) fn piece(&mut self) -> Option<Vec<u8>> {
        (self.piece.len() > PIECE).then(|| self.rest())
    }

    /// What has come since the last piece.
    pub(super) fn rest(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.piece)
    }

    pub(super) fn facts(&self) -> &Facts {
        self.receiver.facts()
    }

    pub(super) fn may_be_eight_bit(&self) -> bool {
        !self.complete || self.facts().eight_bit
    }

    /// Why the message is refused. What is known of content only grows, so that at its end the
    /// answer does not depend on the pieces in which it came.
    pub(super) fn fault(&self, (settings, body): Rules<'_>) -> Option<Reply> {
        self.refused.clone().or_else(|| fault(self.facts(), settings, body))
    }

    pub(super) fn refuse(&mut self, reply: Reply) {
        self.refused.get_or_insert(reply);
        self.void = true;
    }

    fn examine(&mut self, rules: Rules<'_>) {
        self.void = self.void || self.fault(rules).is_some();
        if self.void {
            self.piece = Vec::new();
        }
    }
}

/// What is wrong with content of which this is known.
///
/// 8-bit content is refused only where BODY=7BIT said that there is none: RFC 6152 asks for BODY,
/// but most clients that say nothing are right about their content, which is then passed on as
/// BODY=8BITMIME.
fn fault(facts: &Facts, settings: &Settings, body: Option<Body>) -> Option<Reply> {
    if facts.size > settings.message_size {
        return Some(too_large(settings));
    }
    if facts.hops > settings.hops {
        let text = format!("Mail loop: over {} Received fields", settings.hops);
        return Some(Reply::new(554, Enhanced::LOOP, text));
    }
    if facts.nul {
        // RFC 5321 §4.1.1.4 has it in no content, and half of the programs behind us end there.
        return Some(Reply::new(554, Enhanced(6, 0), "The content holds a NUL"));
    }
    if facts.longest_line > MAX_LINE {
        let text = format!("The content has a line over {MAX_LINE} bytes");
        return Some(Reply::new(554, Enhanced(6, 0), text));
    }
    if facts.eight_bit && body == Some(Body::SevenBit) {
        return Some(Reply::new(554, Enhanced(6, 1), "The content is 8-bit, BODY=7BIT was said"));
    }
    None
}

/// RFC 1870 §6.
pub(super) fn too_large(settings: &Settings) -> Reply {
    let text = format!("The message is over {} bytes", settings.message_size);
    Reply::new(552, Enhanced(3, 4), text)
}
