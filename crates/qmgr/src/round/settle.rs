//! What came back becomes one change of the store: recipients retired or put off, and what the
//! reverse-path is to be told, all in the same transaction.

use std::collections::HashSet;

use envelope::{Address, DeliveryLine, Enhanced, Origin, Status};
use ipc::admin::News;
use ipc::delivery::History;
use message::Action;

use super::lists::Spot;
use super::{Back, Round};
use crate::bounce::{self, About, Notice};
use crate::outcome::{Circumstances, Ending, Fate};
use crate::priority;
use crate::record::{Goal, LastAttempt, Millis, RecipientRecord};
use crate::shared::{Arrived, Course, Wake};
use crate::statistics::Mailer;
use crate::store::{self, Change, NewMessage, StoreError, Update};

/// What is to be changed together.
#[derive(Default)]
pub(super) struct Batch {
    update: Update,
    /// Recipients that are done with.
    over: HashSet<u32>,
    notices: Vec<Notice>,
}

impl Round {
    /// Makes durable what came back so far. `last`: nothing is under way any more, so the next
    /// attempt is decided too.
    pub(super) async fn settle(&mut self, last: bool) -> Result<(), StoreError> {
        let batch = self.decide();
        let due = self.again.filter(|_| last && self.full.is_none() && !self.left);
        self.store(Batch { update: Update { due, ..batch.update }, ..batch }).await
    }

    /// Makes durable what came back so far, and new recipients of the message.
    pub(super) async fn add(&mut self, new: Vec<(u32, RecipientRecord)>) -> Result<(), StoreError> {
        let mut batch = self.decide();
        let rows = new.iter().cloned().map(|(number, recipient)| (number, Some(recipient)));
        batch.update.recipients.extend(rows);
        self.message.recipients.extend(new);
        self.store(batch).await
    }

    async fn store(&mut self, batch: Batch) -> Result<(), StoreError> {
        let Batch { update, over, notices } = batch;
        if update.recipients.is_empty() && update.due.is_none() {
            return Ok(());
        }
        self.message.recipients.retain(|(number, _)| !over.contains(number));
        self.message.record.warned |= update.warned.is_some();
        let (enqueue, born): (Vec<_>, Vec<_>) = self.write(notices).await.into_iter().unzip();
        let fate = if self.message.recipients.is_empty() {
            store::Fate::Retired
        } else {
            store::Fate::Stays(update)
        };
        let Self { shared, message, .. } = self;
        for arrived in &born {
            shared.begin(arrived.message.id);
        }
        let changed = shared.store.outcome(Change { id: message.id, fate, enqueue }).await;
        if changed.is_ok() {
            for arrived in &born {
                let size = arrived.message.record.size;
                shared.counters.arrived(Mailer::Local, size, false);
            }
        }
        // Of a message that was deleted meanwhile nothing is told; the store knows.
        let recalled = shared.course(message.id) == Some(Course::Recalled);
        for arrived in born {
            if recalled || changed.is_err() {
                let row = arrived.row();
                shared.end(row.id);
                shared.wake(Wake::Due(row)).await;
            } else {
                shared.wake(Wake::Arrived(arrived)).await;
            }
        }
        changed
    }

    /// The messages that tell of it.
    async fn write(&self, notices: Vec<Notice>) -> Vec<(NewMessage, Arrived)> {
        if notices.is_empty() {
            return Vec::new();
        }
        let content = self.beginning().await;
        let Self { shared, rules, message, .. } = self;
        let about = About {
            id: message.id,
            record: &message.record,
            content: &content,
            now: shared.clock.now(),
            config: &rules.config,
        };
        bounce::write(shared, about, notices)
    }

    /// What follows for each recipient that came back.
    pub(super) fn decide(&mut self) -> Batch {
        let now = self.shared.clock.now();
        let mut batch = Batch::default();
        for Back { number, address, ending } in std::mem::take(&mut self.back) {
            let Some(recipient) = self.recipient(number) else {
                continue;
            };
            let RecipientRecord { reverse_path, orcpt, .. } = recipient.clone();
            let spot = (self.message.recipients.len() > 1
                && !matches!(ending, Ending::Expanded(_)))
            .then(|| Spot::of(&recipient.address, &recipient.goal));
            let ours = !matches!(ending, Ending::Answered(_));
            let fate = self.circumstances(recipient, now).fate(ending);
            self.log(number, &address, &fate, ours);
            self.tell(&address, &fate);
            let (status, action) = match fate {
                Fate::Over { status, tell } => {
                    self.served.extend(spot);
                    batch.over.insert(number);
                    batch.update.recipients.push((number, None));
                    (status, tell)
                }
                Fate::Again { status, due, attempts, warn } => {
                    let last = LastAttempt { at: now, status: status.clone() };
                    self.again = Some(self.again.map_or(due, |again| again.min(due)));
                    let again = self.note_attempt(number, attempts, last);
                    batch.update.recipients.extend(again.map(|again| (number, Some(again))));
                    batch.update.warned = batch.update.warned.or(warn.then_some(true));
                    (status, warn.then_some(Action::Delayed))
                }
            };
            let notice = |action| Notice { reverse_path, address, orcpt, action, status };
            batch.notices.extend(action.map(notice));
        }
        batch
    }

    fn note_attempt(
        &mut self,
        number: u32,
        attempts: u32,
        last: LastAttempt,
    ) -> Option<RecipientRecord> {
        let recipients = &mut self.message.recipients;
        let place = recipients.binary_search_by_key(&number, |(it, _)| *it).ok()?;
        let (_, recipient) = recipients.get_mut(place)?;
        recipient.attempts = attempts;
        recipient.last = Some(last);
        Some(recipient.clone())
    }

    fn circumstances(&self, recipient: &RecipientRecord, now: Millis) -> Circumstances<'_> {
        Circumstances {
            queue: &self.rules.config.queue,
            now,
            arrival: self.message.record.arrival,
            bounce: recipient.reverse_path.0.is_none(),
            notify: recipient.notify,
            attempts: recipient.attempts,
            warned: self.message.record.warned,
            random: fastrand::u8(..),
        }
    }

    /// Those who watch hear of it as it comes.
    fn tell(&self, address: &Address, fate: &Fate) {
        let (status, again) = match fate {
            Fate::Over { status, .. } => (status, None),
            Fate::Again { status, due, .. } => (status, Some(self.shared.clock.wall_seconds(*due))),
        };
        let news = || News::Recipient {
            id: self.message.id,
            address: address.clone(),
            status: status.clone(),
            again,
        };
        self.shared.reporter.tell(&self.message.record.origin, news);
    }

    /// Agents log what they did; what was decided here is logged here, in the same form.
    fn log(&self, number: u32, address: &Address, fate: &Fate, ours: bool) {
        let (Fate::Over { status, .. } | Fate::Again { status, .. }) = fate;
        let too_old = status.detail().enhanced == Enhanced::EXPIRED;
        if ours || too_old {
            let why = if too_old { ", given up: too old" } else { "" };
            self.log_line(number, address, status, why);
        }
    }

    /// A recipient's line when no agent has one. `why` is added to it.
    pub(super) fn log_line(&self, number: u32, address: &Address, status: &Status, why: &str) {
        let Some(recipient) = self.recipient(number) else { return };
        let now = self.shared.clock.now();
        let History { controller, attempts } = self.history(recipient, address);
        let line = DeliveryLine {
            id: self.message.id,
            to: address,
            special: match &recipient.goal {
                Goal::Special { what, .. } => Some(what),
                Goal::Mailbox | Goal::Tables => None,
            },
            controller: controller.as_ref(),
            delay: now.saturating_sub(self.message.record.arrival) / 1000,
            attempt: None,
            mailer: None,
            priority: priority::number(&self.message),
            relay: None,
            tries: attempts.saturating_add(1),
            status,
        };
        tracing::info!("{line}{why}");
    }

    /// What the log tells of a recipient whose way leads to this address.
    pub(super) fn history(&self, recipient: &RecipientRecord, address: &Address) -> History {
        let alias = (recipient.address != *address).then_some(&recipient.address);
        let named_by = alias.or(recipient.expanded_from.last()).cloned();
        let author = || match &self.message.record.origin {
            Origin::User { name, .. } => Address::new(name, &self.rules.config.hostname).ok(),
            Origin::Client { .. } | Origin::Ourselves => None,
        };
        History { controller: named_by.or_else(author), attempts: recipient.attempts }
    }
}
