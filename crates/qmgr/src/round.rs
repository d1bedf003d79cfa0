//! One round of attempts at one message: every open recipient is routed, each destination is tried
//! once, and what comes back is made durable as it comes.
//!
//! **Invariant:** until a round has ended, its message stays due in the store: should the process
//! die, all that has not come back is tried again. What was deferred waits for the end of the
//! round too.

mod attempt;
mod foresight;
mod lists;
mod plan;
mod settle;

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use bytes::Bytes;
use envelope::{Address, QueueId};
use ipc::admin::News;
use ipc::delivery::{Destination, Outcome};
use tokio::task::{JoinError, JoinSet};

use crate::bounce::RETURNED;
use crate::hops::Entrance;
use crate::outcome::Ending;
use crate::record::{Millis, Place, Queued, RecipientRecord};
use crate::rules::Rules;
use crate::shared::{Arrived, AtHand, Shared, rethrow};
use crate::store::{Content, Due, StoreError};
pub use foresight::foresee;
use lists::{List, Spot};
use plan::Plan;

/// What a round leaves behind.
#[derive(Debug)]
pub struct Report {
    pub id: QueueId,
    pub next: Next,
}

/// What becomes of the message.
#[derive(Debug)]
pub enum Next {
    /// It is served, or was deleted meanwhile.
    Gone,
    /// To be tried again.
    Waits(Due),
    /// Still due, but this destination was full.
    Parks(Destination),
    /// Still due: it was held, the process is ending, or the store is out of order.
    Left,
    /// What came of its attempts could not be stored. It would be delivered again and again.
    Unstored,
}

/// A round in progress.
struct Round {
    shared: Arc<Shared>,
    rules: Arc<Rules>,
    message: Queued,
    content: Option<AtHand>,
    back: Vec<Back>,
    /// The earliest time at which a deferred recipient is to be tried again.
    again: Option<Millis>,
    full: Option<Destination>,
    left: bool,
    /// Recipients for whom others get the message, still to be replaced by these.
    lists: Vec<List>,
    /// Where the message has gone in this round, when it goes to several.
    served: Vec<Spot>,
}

/// What came back for one recipient.
#[derive(Debug)]
struct Back {
    number: u32,
    /// Where an alias led; the recipient's own address otherwise.
    address: Address,
    ending: Ending,
}

/// What came back for one attempt; empty: it was not made.
type Attempts = JoinSet<Vec<Back>>;

/// Runs a round. Dropping it abandons the attempts under way.
pub async fn run(shared: Arc<Shared>, arrived: Arrived) -> Report {
    let mut round = Round::new(shared, arrived);
    let id = round.message.id;
    let origin = round.message.record.origin.clone();
    let next = match round.run().await {
        Ok(()) => round.next(),
        Err(error) => {
            tracing::error!(
                "{id}: left alone until a restart: what came of it is not stored: {error}"
            );
            Next::Unstored
        }
    };
    round.shared.reporter.tell(&origin, || News::Rest(id));
    Report { id, next }
}

impl Round {
    fn new(shared: Arc<Shared>, arrived: Arrived) -> Self {
        let Arrived { message, content } = arrived;
        Self {
            rules: shared.rules(),
            shared,
            message,
            content,
            back: Vec::new(),
            again: None,
            full: None,
            left: false,
            lists: Vec::new(),
            served: Vec::new(),
        }
    }

    async fn run(&mut self) -> Result<(), StoreError> {
        let mut attempts = JoinSet::new();
        let mut numbers = self.open();
        loop {
            let plan = self.plan(numbers).await?;
            self.start(plan, &mut attempts);
            self.settle(attempts.is_empty()).await?;
            let Some(back) = attempts.join_next().await else {
                return Ok(());
            };
            self.take(back);
            while let Some(back) = attempts.try_join_next() {
                self.take(back);
            }
            let lists = std::mem::take(&mut self.lists);
            numbers = self.expand(lists).await?;
        }
    }

    /// Asks for a place at each destination, and starts an attempt where there is one.
    fn start(&mut self, plan: Plan, attempts: &mut Attempts) {
        for group in plan.groups {
            match self.shared.hops.claim(&group.destination, self.shared.clock.now()) {
                Entrance::Claim(claim) => {
                    let request = self.request(&group);
                    let shared = Arc::clone(&self.shared);
                    let content = self.content();
                    let watched = request.watched.then(|| self.message.record.origin.clone());
                    let endings = attempt::make(shared, claim, request, content, watched);
                    attempts.spawn(group.wait(endings));
                }
                Entrance::Alone(alone) => {
                    let endings = vec![Ending::Alone(alone); group.recipients.len()];
                    self.back.extend(group.back(endings));
                }
                Entrance::Full => self.full = Some(group.destination),
            }
        }
    }

    /// Where an attempt gets the content from.
    fn content(&self) -> attempt::Content {
        match (&self.content, self.message.record.place) {
            (Some(content), _) => attempt::Content::AtHand(content.clone()),
            (None, Place::Inline) => attempt::Content::Short,
            (None, Place::File) => attempt::Content::Long,
        }
    }

    fn take(&mut self, back: Result<Vec<Back>, JoinError>) {
        let back = match back {
            Ok(back) => back,
            Err(error) => return rethrow(error),
        };
        self.left |= back.is_empty();
        for Back { number, address, ending } in back {
            match ending {
                Ending::Answered(Outcome::Expanded(members)) => {
                    self.named(number, address, members);
                }
                ending @ (Ending::Answered(_)
                | Ending::Alone(_)
                | Ending::Expanded(_)
                | Ending::Fault(_)) => self.back.push(Back { number, address, ending }),
            }
        }
    }

    fn next(&mut self) -> Next {
        if self.message.recipients.is_empty() {
            return Next::Gone;
        }
        if self.left {
            return Next::Left;
        }
        match (self.full.take(), self.again) {
            (Some(destination), _) => Next::Parks(destination),
            (None, Some(at)) => Next::Waits(Due { at, id: self.message.id }),
            (None, None) => Next::Left,
        }
    }

    fn recipient(&self, number: u32) -> Option<&RecipientRecord> {
        let recipients = &self.message.recipients;
        // In the order of their numbers: the store keeps them so, and new ones get higher numbers.
        let place = recipients.binary_search_by_key(&number, |(it, _)| *it).ok()?;
        recipients.get(place).map(|(_, record)| record)
    }

    /// As much of the content as is returned in a bounce; what cannot be read is not returned.
    async fn beginning(&self) -> Bytes {
        if let Some(content) = &self.content {
            return content.bytes.clone();
        }
        beginning(&self.shared, self.message.id).await
    }
}

/// As much of the content of a message as is returned in a bounce; what cannot be read is not
/// returned.
pub async fn beginning(shared: &Shared, id: QueueId) -> Bytes {
    match shared.store.content(id).await {
        Ok(Some(Content::Inline(content))) => content,
        Ok(Some(Content::File(file))) => read_beginning(&file),
        Ok(None) | Err(_) => Bytes::new(),
    }
}

fn read_beginning(file: &File) -> Bytes {
    let mut beginning = vec![0; RETURNED];
    let mut filled = 0;
    while let Some(rest) = beginning.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, filled as u64) {
            Ok(0) | Err(_) => break,
            Ok(read) => filled += read,
        }
    }
    beginning.truncate(filled);
    beginning.into()
}
