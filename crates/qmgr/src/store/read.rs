//! What is read from the tables: all within one short transaction a batch, because an open one
//! makes the file grow.

use std::fs::File;
use std::io::ErrorKind;

use bytes::Bytes;
use envelope::QueueId;
use redb::StorageError;

use super::apply::recipients_of;
use super::post::Post;
use super::request::Read;
use super::tables::View;
use super::{Content, Due, LOAD, Page, StoreError};
use crate::record::{MessageRecord, Place, Queued, RecipientRecord, Record, RecordError};
use crate::spool::Spool;

/// Bytes of rows that one page of a listing reads, give or take one message.
const PAGE_BYTES: usize = 4 * 1024 * 1024;

/// Answers requests from one moment's tables.
pub(super) struct Reader<'v> {
    pub(super) view: &'v View,
    /// `None`: nobody is to have content.
    pub(super) spool: Option<&'v Spool>,
    pub(super) post: &'v mut Post,
    /// Messages that turned out to be damaged: to be set aside.
    pub(super) damaged: Vec<QueueId>,
}

/// Why a message cannot be shown.
enum Trouble {
    /// The message is damaged.
    Damaged(String),
    /// The database or the disk is.
    Store(StoreError),
}

impl From<StorageError> for Trouble {
    fn from(error: StorageError) -> Self {
        Self::Store(StoreError::Unavailable(error.to_string()))
    }
}

impl From<RecordError> for Trouble {
    fn from(error: RecordError) -> Self {
        Self::Damaged(error.to_string())
    }
}

impl Reader<'_> {
    pub(super) fn answer(&mut self, read: Read) {
        match read {
            Read::Look(ids, answer) => {
                let found = self.look_at(&ids);
                self.post.answer(answer, found);
            }
            Read::Content(id, answer) => {
                let content = self.content(id);
                let content = self.sound(id, content).map(Option::flatten);
                self.post.answer(answer, content);
            }
            Read::Due { after, limit, answer } => {
                let rows = self.due(after, limit).map_err(unavailable);
                self.post.answer(answer, rows);
            }
            Read::Page { after, limit, answer } => {
                let page = self.page(after, limit);
                self.post.answer(answer, page);
            }
            Read::Damaged(ids, answer) => {
                let damaged = self.set_aside(ids);
                self.post.answer(answer, damaged);
            }
            Read::Counts(answer) => {
                self.post.answer(answer, self.view.counts().map_err(unavailable));
            }
            Read::Meta(key, answer) => {
                let value = self.view.meta.get(key.key());
                let value = value.map(|row| row.map(|row| row.value()));
                self.post.answer(answer, value.map_err(unavailable));
            }
        }
    }

    /// Those of `ids` that were set aside.
    fn set_aside(&self, ids: Vec<QueueId>) -> Result<Vec<QueueId>, StoreError> {
        let mut found = Vec::new();
        for id in ids.into_iter().take(LOAD) {
            let row = self.view.damaged.get(id.number()).map_err(unavailable)?;
            found.extend(row.map(|_| id));
        }
        Ok(found)
    }

    /// What is there of `ids`; what is damaged is noted and left out.
    fn look_at(&mut self, ids: &[QueueId]) -> Result<Vec<Queued>, StoreError> {
        let mut found = Vec::with_capacity(ids.len().min(LOAD));
        for &id in ids.iter().take(LOAD) {
            let message = self.look(id);
            found.extend(self.sound(id, message)?.flatten());
        }
        Ok(found)
    }

    /// Notes a damaged message, and passes on everything else.
    fn sound<T>(&mut self, id: QueueId, it: Result<T, Trouble>) -> Result<Option<T>, StoreError> {
        match it {
            Ok(it) => Ok(Some(it)),
            Err(Trouble::Store(error)) => Err(error),
            Err(Trouble::Damaged(why)) => {
                tracing::error!("{id}: to be set aside: {why}");
                self.damaged.push(id);
                Ok(None)
            }
        }
    }

    fn content(&self, id: QueueId) -> Result<Option<Content>, Trouble> {
        let Some(row) = self.view.messages.get(id.number())? else { return Ok(None) };
        match MessageRecord::decode(row.value())?.place {
            Place::Inline => {
                let row = self.view.content.get(id.number())?;
                let row = row.ok_or_else(|| Trouble::Damaged("it has no content".to_owned()))?;
                Ok(Some(Content::Inline(Bytes::copy_from_slice(row.value()))))
            }
            Place::File => self.file(id).map(|file| Some(Content::File(file))),
        }
    }

    fn file(&self, id: QueueId) -> Result<File, Trouble> {
        let Some(spool) = self.spool else { return Err(Trouble::Store(StoreError::at_rest())) };
        spool.read(id).map_err(|error| {
            if error.kind() == ErrorKind::NotFound {
                return Trouble::Damaged("its content file is missing".to_owned());
            }
            Trouble::Store(error.into())
        })
    }

    fn look(&self, id: QueueId) -> Result<Option<Queued>, Trouble> {
        let Some(row) = self.view.messages.get(id.number())? else { return Ok(None) };
        Ok(Some(self.queued(id, row.value(), &mut 0)?))
    }

    /// A message from its row; adds the bytes that were read to `weight`.
    fn queued(&self, id: QueueId, row: &[u8], weight: &mut usize) -> Result<Queued, Trouble> {
        let record = MessageRecord::decode(row)?;
        *weight += row.len();
        let mut recipients = Vec::new();
        for found in self.view.recipients.range(recipients_of(id))? {
            let (key, row) = found?;
            *weight += row.value().len();
            recipients.push((key.value().1, RecipientRecord::decode(row.value())?));
        }
        Ok(Queued { id, record, recipients })
    }

    fn due(&self, after: Option<Due>, limit: usize) -> Result<Vec<Due>, StorageError> {
        let from = match after {
            Some(Due { at, id }) => self.view.due.range((at, id.number() + 1)..)?,
            None => self.view.due.range::<(u64, u64)>(..)?,
        };
        let mut found = Vec::new();
        for row in from.take(limit) {
            let (at, id) = row?.0.value();
            found.extend(QueueId::new(id).map(|id| Due { at, id }));
        }
        Ok(found)
    }

    fn page(&mut self, after: Option<QueueId>, limit: usize) -> Result<Page, StoreError> {
        let first = after.map_or(0, |id| id.number() + 1);
        let mut messages = Vec::new();
        let mut weight = 0;
        let mut last = None;
        for row in self.view.messages.range(first..).map_err(unavailable)? {
            if messages.len() >= limit || weight >= PAGE_BYTES {
                return Ok(Page { messages, next: last });
            }
            let (key, row) = row.map_err(unavailable)?;
            let Some(id) = QueueId::new(key.value()) else { continue };
            let shown = self.queued(id, row.value(), &mut weight);
            messages.extend(self.sound(id, shown)?);
            last = Some(id);
        }
        Ok(Page { messages, next: None })
    }
}

fn unavailable(error: StorageError) -> StoreError {
    StoreError::Unavailable(error.to_string())
}
