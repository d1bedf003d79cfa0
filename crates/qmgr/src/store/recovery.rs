//! After the disk was full or failed: opening anew, and making durable what must be.
//!
//! A commit that failed may yet have reached the disk. A change is therefore repeated (twice is
//! once), and a submission, whose caller was told no, is retired.
//! **Invariant:** both happen before anything else is written.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use tokio::sync::mpsc::error::TryRecvError;

use super::inbox::{Batch, Changes, Inbox};
use super::medium::{Medium, OpenError};
use super::post::{Answer, Post};
use super::request::{EncodedChange, EncodedFate, Request};
use super::writer::{Fault, Writer};
use super::{CHANGES, StoreError};
use crate::spool::SpoolFile;

/// Between two tries to open the database, at first and at most.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// How long a caller waits to be told that the store is out of order.
const GLANCE: Duration = Duration::from_millis(10);

/// What is kept until it is durable.
#[derive(Debug, Default)]
pub(super) struct Kept {
    changes: VecDeque<Changes>,
    /// Files of submissions that were answered no: removed when no record can name them.
    files: Vec<SpoolFile>,
}

impl Kept {
    /// The store ends first: files that a durable record may name stay, and the next start looks.
    pub(super) fn leave(&mut self, post: &mut Post) {
        self.give_up(&StoreError::Closed, post);
        self.files.drain(..).for_each(SpoolFile::keep);
    }

    fn give_up(&mut self, error: &StoreError, post: &mut Post) {
        give_up(self.changes.drain(..), error, post);
    }
}

/// Answers no to changes that no waiting will make durable.
fn give_up(changes: impl IntoIterator<Item = Changes>, error: &StoreError, post: &mut Post) {
    for (changes, answer) in changes {
        changes.into_iter().for_each(EncodedChange::keep_files);
        answer.into_iter().for_each(|answer| post.answer(answer, Err(error.clone())));
    }
    post.send();
}

impl<M: Medium> Writer<M> {
    /// The transaction failed: answers the submissions, keeps the changes.
    pub(super) fn fail(&mut self, fault: Fault, batch: Batch) {
        self.close_failed(&fault);
        let error = StoreError::from(fault);
        let Batch { submits, changes, meta, .. } = batch;
        let mut undone = Vec::with_capacity(submits.len());
        for (rows, answer) in submits {
            undone.push(EncodedChange {
                id: rows.id,
                fate: EncodedFate::Retired,
                enqueue: Vec::new(),
            });
            self.kept.files.extend(rows.file);
            self.post.answer(answer, Err(error.clone()));
        }
        for (_, answer) in meta {
            self.post.answer(answer, Err(error.clone()));
        }
        self.post.send();
        if !undone.is_empty() {
            self.kept.changes.push_back((undone, None));
        }
        self.kept.changes.extend(changes);
    }

    /// Returns once the database is open and nothing is kept, or with whom to tell that the store
    /// is closed. Callers are answered meanwhile.
    pub(super) fn recover(&mut self, inbox: &mut Inbox) -> Option<Answer<()>> {
        let mut pause = FIRST_PAUSE;
        while !self.try_again() {
            match self.wait(inbox, pause) {
                Waited::Enough => pause = LONGEST_PAUSE.min(pause * 2),
                Waited::Closed(answer) => return Some(answer),
                Waited::Alone => return None,
            }
        }
        None
    }

    /// Opens the database if it is not, and makes durable what is kept, one request at a time: on a
    /// full disk a small transaction may have room where a large one has not.
    fn try_again(&mut self) -> bool {
        if self.database.is_none()
            && let Err(error) = self.open()
        {
            return self.cannot_open(&error);
        }
        while let Some(change) = self.kept.changes.pop_front() {
            let mut batch = Batch::default();
            batch.changes.push(change);
            match self.commit(&batch) {
                Ok(effects) => self.settle(batch, effects),
                Err(fault) => return self.postpone(fault, batch),
            }
        }
        self.kept.files.clear();
        true
    }

    fn cannot_open(&mut self, error: &OpenError) -> bool {
        tracing::error!("the queue cannot be opened anew: {error}");
        if matches!(error, OpenError::NotAQueue { .. }) {
            // Waiting cannot help.
            self.kept.give_up(&StoreError::Unavailable(error.to_string()), &mut self.post);
        }
        false
    }

    /// A change failed again: it stays first in line, unless waiting cannot help.
    fn postpone(&mut self, fault: Fault, batch: Batch) -> bool {
        self.close_failed(&fault);
        match fault {
            Fault::Full | Fault::Disk(_) => {
                batch.changes.into_iter().for_each(|change| self.kept.changes.push_front(change));
            }
            Fault::Damaged(why) => {
                give_up(batch.changes, &StoreError::Unavailable(why), &mut self.post);
            }
        }
        false
    }

    /// After a fault the handle is dead, whatever was the cause.
    fn close_failed(&mut self, fault: &Fault) {
        self.database = None;
        match fault {
            Fault::Full => self.reserve.spend(),
            Fault::Disk(why) | Fault::Damaged(why) => {
                tracing::error!("the queue could not be written: {why}");
            }
        }
    }

    /// Answers for a while that the store is out of order; changes are kept.
    fn wait(&mut self, inbox: &mut Inbox, pause: Duration) -> Waited {
        let until = Instant::now() + pause;
        loop {
            match inbox.try_next() {
                Ok(Request::Close(answer)) => return Waited::Closed(answer),
                Ok(Request::Change(changes, answer)) if self.kept.changes.len() < CHANGES => {
                    self.kept.changes.push_back((changes, answer));
                }
                Ok(request) => {
                    request.refuse(&self.out_of_order(), &mut self.post);
                    self.post.send();
                }
                Err(TryRecvError::Empty) if Instant::now() >= until => return Waited::Enough,
                Err(TryRecvError::Empty) => std::thread::sleep(GLANCE),
                Err(TryRecvError::Disconnected) => return Waited::Alone,
            }
        }
    }

    fn out_of_order(&self) -> StoreError {
        if self.reserve.is_spent() {
            return StoreError::Full;
        }
        StoreError::Unavailable("the disk fails".to_owned())
    }
}

/// How a wait ended.
enum Waited {
    Enough,
    Closed(Answer<()>),
    /// Nobody is left to ask.
    Alone,
}
