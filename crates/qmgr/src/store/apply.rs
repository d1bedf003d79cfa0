//! What one request does to the tables.
//!
//! **Invariant:** applying a change twice is the same as applying it once.

use envelope::QueueId;
use redb::{ReadableTable as _, ReadableTableMetadata as _, StorageError};

use super::request::{EncodedChange, EncodedFate, EncodedUpdate, Rows};
use super::tables::Tables;
use crate::record::{MessageRecord, Place, RecipientRecord, Record, RecordError};
use crate::spool::Spool;

/// What is to be done once the transaction is durable.
#[derive(Debug, Default)]
pub(super) struct Effects {
    /// Content files that no record names any more.
    pub(super) unlink: Vec<QueueId>,
    /// The queue has run empty.
    pub(super) empty: bool,
}

/// What the table says of a message.
enum Found {
    Record(MessageRecord),
    Nothing,
    Unreadable(RecordError),
}

impl Tables<'_> {
    pub(super) fn enqueue(&mut self, rows: &Rows) -> Result<(), StorageError> {
        let id = rows.id.number();
        self.messages.insert(id, rows.record.as_slice())?;
        for (number, row) in (0..).zip(&rows.recipients) {
            self.recipients.insert((id, number), row.as_slice())?;
        }
        if let Some(content) = &rows.content {
            self.content.insert(id, content.as_ref())?;
        }
        self.schedule(id, rows.due, rows.held)
    }

    pub(super) fn change(
        &mut self,
        change: &EncodedChange,
        effects: &mut Effects,
    ) -> Result<(), StorageError> {
        let there = match &change.fate {
            EncodedFate::Retired => self.retire(change.id, effects)?,
            EncodedFate::Stays(update) => self.update(change.id, update, effects)?,
            EncodedFate::SetAside => self.set_aside(change.id)?,
        };
        if there {
            return change.enqueue.iter().try_for_each(|rows| self.enqueue(rows));
        }
        // Nothing is queued; but a change that is repeated has queued it before.
        for rows in change.enqueue.iter().filter(|rows| rows.file.is_some()) {
            if self.messages.get(rows.id.number())?.is_none() {
                effects.unlink.push(rows.id);
            }
        }
        Ok(())
    }

    /// Removes a message, also a damaged one; says whether it was there.
    fn retire(&mut self, id: QueueId, effects: &mut Effects) -> Result<bool, StorageError> {
        match self.find(id)? {
            Found::Record(record) => {
                self.messages.remove(id.number())?;
                self.unschedule(id.number(), &record)?;
                self.recipients.retain_in(recipients_of(id), |_, _| false)?;
                match record.place {
                    Place::Inline => drop(self.content.remove(id.number())?),
                    Place::File => effects.unlink.push(id),
                }
                Ok(true)
            }
            Found::Nothing | Found::Unreadable(_) => self.discard_damaged(id, effects),
        }
    }

    fn discard_damaged(
        &mut self,
        id: QueueId,
        effects: &mut Effects,
    ) -> Result<bool, StorageError> {
        self.set_aside(id)?;
        if self.damaged.remove(id.number())?.is_none() {
            return Ok(false);
        }
        self.damaged_recipients.retain_in(recipients_of(id), |_, _| false)?;
        self.content.remove(id.number())?;
        effects.unlink.push(id);
        Ok(true)
    }

    /// Says whether the message was there.
    fn update(
        &mut self,
        id: QueueId,
        update: &EncodedUpdate,
        effects: &mut Effects,
    ) -> Result<bool, StorageError> {
        let record = match self.find(id)? {
            Found::Record(record) => record,
            Found::Nothing => return Ok(false),
            Found::Unreadable(why) => {
                tracing::error!("{id}: set aside: {why}");
                self.set_aside(id)?;
                return Ok(false);
            }
        };
        for (number, row) in &update.recipients {
            let key = (id.number(), *number);
            match row {
                Some(row) => drop(self.recipients.insert(key, row.as_slice())?),
                None => drop(self.recipients.remove(key)?),
            }
        }
        let removes = update.recipients.iter().any(|(_, row)| row.is_none());
        if removes && self.recipients.range(recipients_of(id))?.next().is_none() {
            return self.retire(id, effects);
        }
        self.rewrite(id, record, update)?;
        Ok(true)
    }

    fn rewrite(
        &mut self,
        id: QueueId,
        old: MessageRecord,
        update: &EncodedUpdate,
    ) -> Result<(), StorageError> {
        let new = MessageRecord {
            due: update.due.unwrap_or(old.due),
            held: update.held.unwrap_or(old.held),
            warned: update.warned.unwrap_or(old.warned),
            quarantine: match update.held {
                Some(_) => update.quarantine.clone(),
                None => old.quarantine.clone(),
            },
            ..old.clone()
        };
        if new == old {
            return Ok(());
        }
        let row = new.encode().map_err(|error| StorageError::Corrupted(error.to_string()))?;
        self.messages.insert(id.number(), row.as_slice())?;
        if (new.due, new.held) == (old.due, old.held) {
            return Ok(());
        }
        self.unschedule(id.number(), &old)?;
        self.schedule(id.number(), new.due, new.held)
    }

    /// Moves the rows of a message that cannot be read away, unchanged. Its content stays.
    fn set_aside(&mut self, id: QueueId) -> Result<bool, StorageError> {
        let number = id.number();
        let Some(row) = self.messages.remove(number)? else { return Ok(false) };
        self.damaged.insert(number, row.value())?;
        drop(row);
        for taken in self.recipients.extract_from_if(recipients_of(id), |_, _| true)? {
            let (key, row) = taken?;
            self.damaged_recipients.insert(key.value(), row.value())?;
        }
        self.held.remove(number)?;
        // The record that knows its due time cannot be trusted: the one search through an index.
        self.due.retain(|(_, of), ()| of != number)?;
        Ok(true)
    }

    /// Takes back what was set aside and can be read now, by this release or with its file back.
    pub(super) fn restore(&mut self, spool: &Spool) -> Result<u64, StorageError> {
        let mut ids = Vec::new();
        for row in self.damaged.iter()? {
            ids.extend(QueueId::new(row?.0.value()));
        }
        let mut restored = 0;
        for id in ids {
            let Some(record) = self.readable(id, spool)? else { continue };
            let number = id.number();
            if let Some(row) = self.damaged.remove(number)? {
                self.messages.insert(number, row.value())?;
            }
            for taken in self.damaged_recipients.extract_from_if(recipients_of(id), |_, _| true)? {
                let (key, row) = taken?;
                self.recipients.insert(key.value(), row.value())?;
            }
            self.schedule(number, record.due, record.held)?;
            restored += 1;
        }
        Ok(restored)
    }

    /// The record of a message that was set aside, if all of it can be read.
    fn readable(&self, id: QueueId, spool: &Spool) -> Result<Option<MessageRecord>, StorageError> {
        let Some(row) = self.damaged.get(id.number())? else { return Ok(None) };
        let Ok(record) = MessageRecord::decode(row.value()) else { return Ok(None) };
        for row in self.damaged_recipients.range(recipients_of(id))? {
            if RecipientRecord::decode(row?.1.value()).is_err() {
                return Ok(None);
            }
        }
        let has_content = match record.place {
            Place::Inline => self.content.get(id.number())?.is_some(),
            Place::File => spool.read(id).is_ok(),
        };
        Ok(has_content.then_some(record))
    }

    pub(super) fn is_empty(&self) -> Result<bool, StorageError> {
        self.messages.is_empty()
    }

    fn find(&self, id: QueueId) -> Result<Found, StorageError> {
        let Some(row) = self.messages.get(id.number())? else { return Ok(Found::Nothing) };
        Ok(match MessageRecord::decode(row.value()) {
            Ok(record) => Found::Record(record),
            Err(error) => Found::Unreadable(error),
        })
    }

    fn schedule(&mut self, id: u64, due: u64, held: bool) -> Result<(), StorageError> {
        if held {
            self.held.insert(id, ())?;
        } else {
            self.due.insert((due, id), ())?;
        }
        Ok(())
    }

    fn unschedule(&mut self, id: u64, record: &MessageRecord) -> Result<(), StorageError> {
        if record.held {
            self.held.remove(id)?;
        } else {
            self.due.remove((record.due, id))?;
        }
        Ok(())
    }
}

/// The keys of the recipients of a message.
pub(super) fn recipients_of(id: QueueId) -> std::ops::RangeInclusive<(u64, u32)> {
    (id.number(), 0)..=(id.number(), u32::MAX)
}
