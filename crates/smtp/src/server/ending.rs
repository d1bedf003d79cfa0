//! What is said, and how a session ends.

use std::time::Instant;

use envelope::Enhanced;

use super::transaction::Transaction;
use super::{Ending, Refusal, Session, Stage, State, Step};
use crate::line::Line;
use crate::{Charset, Reply};

/// 4xx replies since the last message after which the session ends. A client may hand over a whole
/// list at once and be told of most recipients that they are too many (RFC 5321 §4.5.3.1.10).
const DEFERRALS: usize = 10_000;

impl Session {
    /// The answer to [`Step::Submit`].
    pub fn submitted(&mut self, reply: Reply) {
        self.patience.renew();
        if reply.class() == 2 {
            // Who brings mail may err: a list of many messages has many addresses that are gone.
            (self.errors, self.deferrals) = (0, 0);
            self.patience.accept();
            self.say(&reply);
        } else {
            let refusal = self.refusal(Stage::Content, reply);
            self.refuse(refusal);
        }
        self.transaction = None;
    }

    /// When the client's time is up.
    #[must_use]
    pub fn deadline(&self) -> Instant {
        match self.state {
            State::Commands | State::LongLine(_) | State::Closed(_) => self.patience.for_command(),
            State::Data | State::Chunk { .. } | State::Discard { .. } => {
                self.patience.for_content()
            }
        }
    }

    /// The same while others wait for a seat.
    #[must_use]
    pub fn deadline_in_a_crowd(&self) -> Instant {
        self.deadline().min(self.patience.in_a_crowd())
    }

    /// That deadline has passed.
    pub fn make_room(&mut self) {
        let reply = Reply::new(421, Enhanced(3, 2), "Too many sessions, try again later");
        self.hang_up(Stage::Command, reply);
    }

    /// The deadline has passed (RFC 5321 §4.5.3.2).
    pub fn time_out(&mut self) {
        self.hang_up(Stage::Command, Reply::new(421, Enhanced::BAD_CONNECTION, "Waited too long"));
    }

    /// The transaction under way may be finished, and then the session ends.
    pub const fn drain(&mut self) {
        self.draining = true;
    }

    /// The end of a line that is too long (RFC 5321 §4.5.3.1.9).
    pub(super) fn long_line(&mut self, line: &Line<'_>) -> Option<Step> {
        match line {
            Line::Partial => Some(Step::Read),
            Line::Bare => self.bare(Stage::Command),
            Line::TooLong => {
                let reply = Reply::new(421, Enhanced(5, 2), "The line has no end");
                self.hang_up(Stage::Command, reply)
            }
            Line::Whole(_) => {
                self.state = State::Commands;
                self.patience.renew();
                let text = format!("The line is over {} bytes", crate::line::MAX);
                let refusal = self.refusal(Stage::Command, Reply::new(500, Enhanced(5, 2), text));
                self.refuse(refusal);
                None
            }
        }
    }

    /// A CR or LF by itself: what one reader takes for text is a line for another, so that nothing
    /// that follows can be trusted.
    pub(super) fn bare(&mut self, stage: Stage) -> Option<Step> {
        let text = "A CR or LF by itself; lines end with both";
        self.hang_up(stage, Reply::new(554, Enhanced(5, 2), text))
    }

    /// The last reply of a session.
    pub(super) fn hang_up(&mut self, stage: Stage, reply: Reply) -> Option<Step> {
        self.say(&reply);
        let refusal = self.refusal(stage, reply);
        self.refusals.push(refusal);
        self.transaction = None;
        self.state = State::Closed(Ending::Forced);
        None
    }

    pub(super) fn refuse(&mut self, refusal: Refusal) {
        self.say(&refusal.reply);
        let error = refusal.reply.class() == 5;
        self.refusals.push(refusal);
        self.errors += usize::from(error);
        self.deferrals += usize::from(!error);
        if error && self.errors >= self.settings.commands_in_error || self.deferrals > DEFERRALS {
            self.hang_up(Stage::Command, Reply::new(421, Enhanced(7, 0), "Too many errors"));
        }
    }

    pub(super) fn refusal(&self, stage: Stage, reply: Reply) -> Refusal {
        let open = self.transaction.as_ref();
        let from = open.map(|open| open.reverse_path.clone());
        let tag = open.and_then(|open| open.submission.tag.clone());
        Refusal { stage, from, to: None, reply, tag }
    }

    pub(super) fn ok(&mut self, code: u16, text: &'static str) {
        self.say(&Reply::new(code, Enhanced::UNDEFINED, text));
    }

    pub(super) fn say(&mut self, reply: &Reply) {
        let charset = match self.transaction.as_deref() {
            Some(Transaction { smtputf8: true, .. }) => Charset::Utf8,
            Some(_) | None => Charset::Ascii,
        };
        reply.write(charset, &mut self.output);
    }
}
