//! The queue on disk: what was acknowledged is durable, and nothing is lost.
//!
//! One thread owns the database. It takes everything that waits, writes it in one transaction,
//! syncs, and then answers all, so that those who wait share a commit. Requests reach it through
//! one bounded channel: when the disk is slow, callers wait and memory does not grow. An idle
//! message costs no memory.
//!
//! **Invariant:** an answer `Ok` to a submission or a change means that it is durable.
//! **Invariant:** an outcome is neither lost nor applied twice: when the disk is full or fails, the
//! thread keeps the change, opens the database anew and tries until it is durable.
//! See `docs/queue.md`.

mod apply;
mod at_rest;
mod inbox;
mod medium;
mod post;
mod read;
mod recovery;
mod request;
mod reserve;
mod start;
mod tables;
mod writer;

use std::fmt;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use envelope::QueueId;
use tokio::sync::{mpsc, oneshot};

pub use medium::{DatabaseFile, Medium, OpenError};
pub(crate) use reserve::available;

use crate::record::{MessageRecord, Millis, Place, Queued, RecipientRecord, RecordError};
use crate::spool::{Spool, SpoolFile, SpoolWriter};
use at_rest::Onlooker;
use inbox::{Inbox, Slots};
use post::{Answer, Post};
use request::{Read, Request};
use reserve::Reserve;
use writer::Writer;

/// Requests that wait for the thread, and outcomes beside them; then their callers wait.
const WAITING: usize = 1024;

/// Changes that are kept while the disk fails. No outcome may be among those beyond: there are
/// fewer rounds of attempts than this, each with one change at a time.
pub const CHANGES: usize = 4096;

/// Messages that one [`Store::look`] takes.
pub const LOAD: usize = 64;

/// What the administrator decides about the queue's disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Bytes of free disk below which nothing new is accepted.
    pub min_free_space: u64,
}

/// What was found at the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Opened {
    /// The largest id in the queue: new ones are later. 0 when it is empty.
    pub last_id: QueueId,
    pub counts: Counts,
    /// Spool files that belonged to no message, and were removed.
    pub swept: u64,
}

/// Messages by state; kept by the database, not counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// All but the damaged ones.
    pub messages: u64,
    pub held: u64,
    /// Set aside because they cannot be read.
    pub damaged: u64,
}

/// A message to be queued.
#[derive(Debug)]
pub struct NewMessage {
    id: QueueId,
    record: MessageRecord,
    recipients: Vec<RecipientRecord>,
    content: NewContent,
}

#[derive(Debug)]
enum NewContent {
    Inline(Bytes),
    File(SpoolFile),
}

impl NewMessage {
    /// Content inside the database: at most [`ipc::submission::INLINE`] bytes.
    #[must_use]
    pub fn inline(
        id: QueueId,
        mut record: MessageRecord,
        recipients: Vec<RecipientRecord>,
        content: Bytes,
    ) -> Self {
        record.size = content.len() as u64;
        record.place = Place::Inline;
        Self { id, record, recipients, content: NewContent::Inline(content) }
    }

    /// Content in a spool file; the id is the file's.
    #[must_use]
    pub fn spooled(
        mut record: MessageRecord,
        recipients: Vec<RecipientRecord>,
        file: SpoolFile,
    ) -> Self {
        record.size = file.size();
        record.place = Place::File;
        Self { id: file.id(), record, recipients, content: NewContent::File(file) }
    }

    #[must_use]
    pub const fn id(&self) -> QueueId {
        self.id
    }
}

/// Everything that happens to one message in one transaction. A change of a message that is not
/// there (deleted meanwhile) does nothing at all, so that it may be repeated.
#[derive(Debug)]
pub struct Change {
    pub id: QueueId,
    pub fate: Fate,
    /// Messages queued in the same transaction: bounces and warnings. Never refused for space.
    pub enqueue: Vec<NewMessage>,
}

/// What becomes of the message.
#[derive(Debug)]
pub enum Fate {
    /// Record, recipients and content go; the spool file after the commit is durable.
    Retired,
    Stays(Update),
}

/// What is new of a message that stays. When no recipient is left it is retired all the same.
#[derive(Debug, Default)]
pub struct Update {
    /// The next attempt; of a held message it is remembered for the release.
    pub due: Option<Millis>,
    /// Hold or release.
    pub held: Option<bool>,
    /// Why it is held, with `held`.
    pub quarantine: Option<String>,
    pub warned: Option<bool>,
    /// By number: `None` is done with, `Some` replaces the record, or adds it when the number is
    /// new (take one above all of [`Queued::recipients`]).
    pub recipients: Vec<(u32, Option<RecipientRecord>)>,
}

/// The content as an agent gets it.
#[derive(Debug)]
pub enum Content {
    Inline(Bytes),
    /// The spool file, opened for reading.
    File(File),
}

/// A row of the due index; ordered by time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Due {
    pub at: Millis,
    pub id: QueueId,
}

/// A piece of a listing.
#[derive(Debug)]
pub struct Page {
    pub messages: Vec<Queued>,
    /// Go on after this one; `None`: that was all.
    pub next: Option<QueueId>,
}

/// Numbers that outlive a restart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meta {
    /// What the clock showed last, in milliseconds since 1970.
    LastSeen,
    /// Queue time minus the clock, in milliseconds (two's complement).
    ClockCorrection,
    /// Since when there are counters, in seconds since 1970.
    CountedSince,
    /// One of [`Meta::COUNTERS`].
    Counter(u8),
}

impl Meta {
    /// Counters that can be kept.
    pub const COUNTERS: u8 = 48;
}

/// Why the queue did not do it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreError {
    /// No room: 452 4.3.1.
    Full,
    /// The database cannot be used now; it is being opened anew. 451 4.3.0.
    Unavailable(String),
    /// The store has ended.
    Closed,
}

impl StoreError {
    /// Of a queue at rest.
    fn at_rest() -> Self {
        Self::Unavailable("the mail system does not run, and it is only looked at".to_owned())
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full => f.write_str("the queue's disk is full"),
            Self::Unavailable(why) => write!(f, "the queue cannot be used now: {why}"),
            Self::Closed => f.write_str("the queue is closed"),
        }
    }
}

impl std::error::Error for StoreError {}

impl From<std::io::Error> for StoreError {
    fn from(error: std::io::Error) -> Self {
        if reserve::is_full(&error) { Self::Full } else { Self::Unavailable(error.to_string()) }
    }
}

impl From<RecordError> for StoreError {
    fn from(error: RecordError) -> Self {
        Self::Unavailable(error.to_string())
    }
}

/// The queue. Clones share it; it closes when the last one is gone, or with [`Store::close`].
#[derive(Debug, Clone)]
pub struct Store {
    slots: Slots,
    /// `None`: it is only looked at.
    spool: Option<Spool>,
    min_free_space: Arc<AtomicU64>,
}

impl Store {
    /// Opens the queue in `directory`, makes what is missing there, and removes spool files that
    /// belong to no message. Costs milliseconds, however long the queue is.
    ///
    /// # Errors
    /// [`OpenError`]: the file is no queue, is damaged, is in use, or the disk fails. Nothing was
    /// overwritten.
    pub async fn open(directory: &Path, options: Options) -> Result<(Self, Opened), OpenError> {
        Self::open_on(DatabaseFile::new(directory), directory, options).await
    }

    /// The same with the database on another medium; the reserve and the spool are in `directory`.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub async fn open_on(
        medium: impl Medium,
        directory: &Path,
        options: Options,
    ) -> Result<(Self, Opened), OpenError> {
        let min_free_space = Arc::new(AtomicU64::new(options.min_free_space));
        let spool = Spool::open(directory, &min_free_space)?;
        let reserve = Reserve::new(directory, &min_free_space);
        let (slots, inbox) = Inbox::new().map_err(|error| OpenError::Thread(error.to_string()))?;
        let writer = Writer::new(medium, reserve, spool.clone(), Post::start());
        let opened = Self::begin(move |opened| writer.run(inbox, opened)).await?;
        Ok((Self { slots, spool: Some(spool), min_free_space }, opened))
    }

    /// The queue in `directory` as it is while nobody has it open: what is there can be looked at, and
    /// whatever would change it is refused. Whoever wants to open it meanwhile can.
    ///
    /// # Errors
    /// [`OpenError`]: also a queue that is not there, or was not closed.
    pub async fn at_rest(directory: &Path) -> Result<Self, OpenError> {
        let (requests, asked) = mpsc::channel(WAITING);
        let (outcomes, _) = mpsc::channel(1);
        let onlooker = Onlooker::new(DatabaseFile::new(directory), Post::start());
        Self::begin(move |opened| onlooker.run(asked, opened)).await?;
        let slots = Slots { requests, outcomes };
        Ok(Self { slots, spool: None, min_free_space: Arc::default() })
    }

    /// Starts the thread, and waits until it has opened the database or failed to.
    async fn begin<T: Send + 'static>(
        life: impl FnOnce(oneshot::Sender<Result<T, OpenError>>) + Send + 'static,
    ) -> Result<T, OpenError> {
        let (opened, is_open) = oneshot::channel();
        let thread = std::thread::Builder::new().name("store".to_owned());
        let thread = thread.spawn(move || life(opened));
        thread.map_err(|error| OpenError::Thread(error.to_string()))?;
        is_open.await.map_err(|_| OpenError::Thread("it ended".to_owned()))?
    }

    /// Bytes of free disk below which nothing new is accepted, from now on.
    pub fn keep_free(&self, bytes: u64) {
        self.min_free_space.store(bytes, Ordering::Relaxed);
    }

    /// Starts a spool file for content beyond [`ipc::submission::INLINE`] bytes.
    ///
    /// # Errors
    /// [`StoreError`]: no room, or the file cannot be made.
    pub async fn spool(&self, id: QueueId) -> Result<SpoolWriter, StoreError> {
        match &self.spool {
            Some(spool) => spool.create(id).await,
            None => Err(StoreError::at_rest()),
        }
    }

    /// Queues a message. `Ok`: it is durable.
    ///
    /// # Errors
    /// [`StoreError`]: it is not queued.
    pub async fn submit(&self, message: NewMessage) -> Result<(), StoreError> {
        let row = request::encode(message)?;
        self.ask(|answer| Request::Submit(Box::new(row), answer)).await
    }

    /// Makes changes durable, all in one transaction. Waits as long as the disk is full or fails:
    /// dropping the wait does not undo it.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]: the database is damaged, or [`CHANGES`] wait for a failed disk
    /// already; [`StoreError::Closed`]. Then a restart tries the messages again.
    pub async fn change(&self, changes: Vec<Change>) -> Result<(), StoreError> {
        if changes.is_empty() {
            return Ok(());
        }
        let changes =
            changes.into_iter().map(request::encode_change).collect::<Result<Vec<_>, _>>()?;
        self.ask(|answer| Request::Change(changes, Some(answer))).await
    }

    /// The same for what came of attempts, for which nobody waits: it goes with what others want
    /// written, or with other outcomes after a few milliseconds.
    ///
    /// # Errors
    /// As [`Store::change`].
    pub async fn outcome(&self, change: Change) -> Result<(), StoreError> {
        let changes = vec![request::encode_change(change)?];
        let (answer, answered) = oneshot::channel();
        let sent = self.slots.outcomes.send((changes, Some(answer))).await;
        sent.map_err(|_| StoreError::Closed)?;
        self.answered(answered).await
    }

    /// The messages with these ids, at most [`LOAD`]. Those that are not there or are damaged are left
    /// out.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn look(&self, ids: Vec<QueueId>) -> Result<Vec<Queued>, StoreError> {
        self.ask(|answer| Request::Read(Read::Look(ids, answer))).await
    }

    /// The content of a message; `None`: it is not there, or is damaged.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn content(&self, id: QueueId) -> Result<Option<Content>, StoreError> {
        self.ask(|answer| Request::Read(Read::Content(id, answer))).await
    }

    /// The due index after `after`, earliest first, whether due by now or later: the first row that
    /// lies in the future is when to look again.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn due(&self, after: Option<Due>, limit: usize) -> Result<Vec<Due>, StoreError> {
        self.ask(|answer| Request::Read(Read::Due { after, limit, answer })).await
    }

    /// Messages after `after` in the order of their ids, at most `limit` and a few megabytes.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn page(&self, after: Option<QueueId>, limit: usize) -> Result<Page, StoreError> {
        self.ask(|answer| Request::Read(Read::Page { after, limit, answer })).await
    }

    /// Which of these, at most [`LOAD`], were set aside because they are damaged.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn damaged(&self, ids: Vec<QueueId>) -> Result<Vec<QueueId>, StoreError> {
        self.ask(|answer| Request::Read(Read::Damaged(ids, answer))).await
    }

    /// # Errors
    /// [`StoreError`]
    pub async fn counts(&self) -> Result<Counts, StoreError> {
        self.ask(|answer| Request::Read(Read::Counts(answer))).await
    }

    /// # Errors
    /// [`StoreError`]
    pub async fn meta(&self, key: Meta) -> Result<Option<u64>, StoreError> {
        self.ask(|answer| Request::Read(Read::Meta(key, answer))).await
    }

    /// Makes numbers durable.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn set_meta(&self, values: Vec<(Meta, u64)>) -> Result<(), StoreError> {
        self.ask(|answer| Request::SetMeta(values, answer)).await
    }

    /// Finishes what waits, and closes the database. Later requests are answered
    /// [`StoreError::Closed`].
    pub async fn close(&self) {
        // An error says that it is closed already.
        let _closed = self.ask(Request::Close).await;
    }

    /// Returns once the thread has ended: closed, or after a panic.
    pub async fn ended(&self) {
        self.slots.requests.closed().await;
    }

    async fn ask<T>(&self, request: impl FnOnce(Answer<T>) -> Request) -> Result<T, StoreError> {
        let (answer, answered) = oneshot::channel();
        self.slots.requests.send(request(answer)).await.map_err(|_| StoreError::Closed)?;
        self.answered(answered).await
    }

    async fn answered<T>(
        &self,
        answered: oneshot::Receiver<Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        answered.await.unwrap_or_else(|_| {
            if self.slots.requests.is_closed() {
                return Err(StoreError::Closed);
            }
            Err(StoreError::Unavailable("a part of the queue cannot be read".to_owned()))
        })
    }
}

#[cfg(test)]
mod tests;
