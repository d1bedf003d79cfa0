//! The thread that owns the database.

use std::io::{self, ErrorKind};
use std::panic::{AssertUnwindSafe, catch_unwind};

use envelope::QueueId;
use redb::{Database, Durability, ReadableDatabase};
use tokio::sync::oneshot;

use super::apply::Effects;
use super::inbox::{Batch, Inbox};
use super::medium::{Medium, OpenError, unpanicked};
use super::post::{Answer, Post};
use super::read::Reader;
use super::recovery::Kept;
use super::request::{EncodedChange, Read};
use super::reserve::{Reserve, is_full};
use super::tables::{Tables, View};
use super::{Opened, StoreError};
use crate::spool::Spool;

/// A file of this size is worth compacting.
const BLOATED: u64 = 16 * 1024 * 1024;

/// The thread's state.
#[derive(Debug)]
pub(super) struct Writer<M> {
    pub(super) medium: M,
    /// `None`: it failed, and is to be opened anew.
    pub(super) database: Option<Database>,
    pub(super) reserve: Reserve,
    pub(super) spool: Spool,
    pub(super) post: Post,
    /// What must become durable before anything else is done.
    pub(super) kept: Kept,
    /// Size after the last compaction.
    compacted: u64,
    /// Size after the last commit: nobody else may make the file shorter.
    pub(super) size: u64,
}

/// Why a transaction failed.
#[derive(Debug)]
pub(super) enum Fault {
    Full,
    /// The disk: may go away.
    Disk(String),
    /// The database: will not.
    Damaged(String),
}

impl From<redb::Error> for Fault {
    fn from(error: redb::Error) -> Self {
        let why = error.to_string();
        if let redb::Error::Io(error) = error {
            return Self::io(&error, why);
        }
        if matches!(error, redb::Error::PreviousIo) { Self::Disk(why) } else { Self::Damaged(why) }
    }
}

impl Fault {
    fn io(error: &io::Error, why: String) -> Self {
        if is_full(error) {
            return Self::Full;
        }
        // The disk works, but what it holds is not what was written.
        let damage = matches!(error.kind(), ErrorKind::UnexpectedEof | ErrorKind::InvalidData);
        if damage { Self::Damaged(why) } else { Self::Disk(why) }
    }
}

impl From<Fault> for StoreError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Full => Self::Full,
            Fault::Disk(why) | Fault::Damaged(why) => Self::Unavailable(why),
        }
    }
}

impl<M: Medium> Writer<M> {
    pub(super) fn new(medium: M, reserve: Reserve, spool: Spool, post: Post) -> Self {
        Self {
            medium,
            database: None,
            reserve,
            spool,
            post,
            kept: Kept::default(),
            compacted: 0,
            size: 0,
        }
    }

    /// The thread's life: open, then serve until closed.
    pub(super) fn run(
        mut self,
        mut inbox: Inbox,
        opened: oneshot::Sender<Result<Opened, OpenError>>,
    ) {
        let start = self.start();
        let failed = start.is_err();
        if opened.send(start).is_err() || failed {
            return;
        }
        let mut close = None;
        while close.is_none() {
            let Some(batch) = self.next(&mut inbox) else { break };
            close = self.serve(batch).or_else(|| self.recover(&mut inbox));
        }
        self.kept.leave(&mut self.post);
        self.database = None;
        drop(inbox);
        close.into_iter().for_each(|answer| self.post.answer(answer, Ok(())));
    }

    /// What waits. Damaged messages that were found meanwhile are among the changes.
    fn next(&mut self, inbox: &mut Inbox) -> Option<Batch> {
        let mut damaged = Vec::new();
        let mut batch = inbox.gather(|reads| damaged.extend(self.read(reads)));
        if let Some(batch) = &mut batch {
            damaged.extend(self.read(std::mem::take(&mut batch.reads)));
            batch.set_aside(damaged);
        }
        batch
    }

    /// Serves what waited; returns whom to tell that the store is closed.
    fn serve(&mut self, mut batch: Batch) -> Option<Answer<()>> {
        if !batch.submits.is_empty() && !self.reserve.has_room() {
            for (_, answer) in batch.submits.drain(..) {
                self.post.answer(answer, Err(StoreError::Full));
            }
            self.post.send();
        }
        let close = batch.close.take();
        if batch.writes() {
            match self.commit(&batch) {
                Ok(effects) => self.settle(batch, effects),
                Err(fault) => self.fail(fault, batch),
            }
        }
        close
    }

    fn read(&mut self, reads: Vec<Read>) -> Vec<QueueId> {
        let Some(database) = self.database.as_ref().filter(|_| !reads.is_empty()) else {
            return Vec::new();
        };
        let Self { spool, post, .. } = self;
        // redb may panic on a damaged file; whoever has no answer then is told so.
        let damaged = catch_unwind(AssertUnwindSafe(|| answer(database, Some(spool), reads, post)));
        self.post.send();
        damaged.unwrap_or_else(|_| {
            // Whatever the matter is, the handle is not to be trusted; the file is looked at anew.
            self.database = None;
            self.open().unwrap_or_else(|error| tracing::error!("the queue is damaged: {error}"));
            Vec::new()
        })
    }

    pub(super) fn open(&mut self) -> Result<(), OpenError> {
        self.database = Some(self.medium.open()?);
        self.size = self.medium.size();
        Ok(())
    }

    /// One transaction, durable when it returns.
    pub(super) fn commit(&mut self, batch: &Batch) -> Result<Effects, Fault> {
        let Some(database) = &self.database else {
            return Err(Fault::Disk("it is being opened anew".to_owned()));
        };
        // redb would go on: what it needs is in its cache, and the rest would read as zeros.
        if self.medium.size() < self.size {
            return Err(Fault::Damaged("somebody has removed the file or cut it off".to_owned()));
        }
        // redb may panic on a damaged file; the transaction is then gone and nothing was written.
        let done = catch_unwind(AssertUnwindSafe(|| transact(database, batch)))
            .unwrap_or_else(|_| Err(Fault::Damaged("redb panicked".to_owned())));
        self.size = self.medium.size();
        done
    }

    /// Everything in `batch` is durable.
    pub(super) fn settle(&mut self, batch: Batch, effects: Effects) {
        let Batch { submits, changes, meta, .. } = batch;
        for (rows, answer) in submits {
            rows.keep();
            self.post.answer(answer, Ok(()));
        }
        for (changes, answer) in changes {
            changes.into_iter().for_each(EncodedChange::keep_files);
            answer.into_iter().for_each(|answer| self.post.answer(answer, Ok(())));
        }
        for (_, answer) in meta {
            self.post.answer(answer, Ok(()));
        }
        self.post.send();
        effects.unlink.into_iter().for_each(|id| self.spool.remove(id));
        if effects.empty {
            self.compact();
        }
    }

    /// Gives back what a burst took, once the queue is (nearly) empty.
    pub(super) fn compact(&mut self) {
        if self.medium.size() <= BLOATED.max(self.compacted.saturating_mul(2)) {
            return;
        }
        let Some(database) = &mut self.database else { return };
        let compacted = unpanicked(&self.medium.path(), || Ok(database.compact()?));
        if let Err(error) = compacted {
            tracing::warn!("the queue file cannot be compacted: {error}");
            self.database = None;
        }
        self.compacted = self.medium.size();
        self.size = self.compacted;
    }
}

/// Answers from one moment's tables, and tells which messages turned out to be damaged.
pub(super) fn answer(
    database: &impl ReadableDatabase,
    spool: Option<&Spool>,
    reads: Vec<Read>,
    post: &mut Post,
) -> Vec<QueueId> {
    let view = database.begin_read().map_err(redb::Error::from);
    match view.and_then(|transaction| Ok(View::open(&transaction)?)) {
        Ok(view) => {
            let mut reader = Reader { view: &view, spool, post, damaged: Vec::new() };
            reads.into_iter().for_each(|read| reader.answer(read));
            reader.damaged
        }
        Err(error) => {
            let error = StoreError::Unavailable(error.to_string());
            reads.into_iter().for_each(|read| read.refuse(&error, post));
            Vec::new()
        }
    }
}

fn transact(database: &Database, batch: &Batch) -> Result<Effects, Fault> {
    write(database, batch).map_err(Fault::from)
}

fn write(database: &Database, batch: &Batch) -> Result<Effects, redb::Error> {
    let mut effects = Effects::default();
    let transaction = begin(database)?;
    {
        let mut tables = Tables::open(&transaction)?;
        for (rows, _) in &batch.submits {
            tables.enqueue(rows)?;
        }
        for change in batch.changes.iter().flat_map(|(changes, _)| changes) {
            tables.change(change, &mut effects)?;
        }
        for (key, value) in batch.meta.iter().flat_map(|(values, _)| values) {
            tables.meta.insert(key.key(), value)?;
        }
        effects.empty = !batch.changes.is_empty() && tables.is_empty()?;
    }
    transaction.commit()?;
    Ok(effects)
}

/// A transaction that is durable once committed. With two phases and quick repair a torn write
/// cannot be taken for a commit, and opening costs the same however long the queue is.
pub(super) fn begin(database: &Database) -> Result<redb::WriteTransaction, redb::Error> {
    let mut transaction = database.begin_write()?;
    transaction.set_durability(Durability::Immediate)?;
    transaction.set_quick_repair(true);
    Ok(transaction)
}
