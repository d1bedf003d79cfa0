//! What the callers sent and the thread has not yet taken.
//!
//! **Invariant:** whoever waits for an answer waits for no timer: only outcomes of attempts, which
//! nobody waits for, are left lying for a moment, so that many share a commit, or the next
//! submission takes them along.

use std::time::Duration;

use envelope::QueueId;
use tokio::runtime::Runtime;
use tokio::sync::mpsc::{self, error::TryRecvError};
use tokio::time::{Instant, timeout_at};

use super::post::Answer;
use super::request::{EncodedChange, Read, Request, Rows};
use super::{Meta, WAITING};

/// How long an outcome waits for company. Should the process be killed meanwhile, its attempt is
/// made again, like one that was under way.
const LINGER: Duration = Duration::from_millis(5);

/// Bytes of new messages after which a transaction takes no more requests.
const BATCH_BYTES: usize = 16 * 1024 * 1024;

/// What is to be changed, and whom to tell; nobody waits for what the store wants itself.
pub(super) type Changes = (Vec<EncodedChange>, Option<Answer<()>>);

/// Numbers to be kept.
pub(super) type Numbers = Vec<(Meta, u64)>;

/// The thread's end of the channels.
#[derive(Debug)]
pub(super) struct Inbox {
    requests: mpsc::Receiver<Request>,
    outcomes: mpsc::Receiver<Changes>,
    /// It only waits: for a request and for the time.
    clock: Runtime,
}

/// The callers' end.
#[derive(Debug, Clone)]
pub(super) struct Slots {
    pub(super) requests: mpsc::Sender<Request>,
    pub(super) outcomes: mpsc::Sender<Changes>,
}

/// What waits, sorted.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) submits: Vec<(Box<Rows>, Answer<()>)>,
    pub(super) changes: Vec<Changes>,
    pub(super) meta: Vec<(Numbers, Answer<()>)>,
    pub(super) reads: Vec<Read>,
    pub(super) close: Option<Answer<()>>,
    /// There is more than reads and outcomes.
    is_awaited: bool,
    requests: usize,
    bytes: usize,
}

impl Inbox {
    pub(super) fn new() -> std::io::Result<(Slots, Self)> {
        let clock = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
        let (to_requests, requests) = mpsc::channel(WAITING);
        let (to_outcomes, outcomes) = mpsc::channel(WAITING);
        let slots = Slots { requests: to_requests, outcomes: to_outcomes };
        Ok((slots, Self { requests, outcomes, clock }))
    }

    /// Everything that waits; sleeps until something does. `None`: nobody is left to ask.
    /// `meanwhile` answers what is only read.
    pub(super) fn gather(&mut self, meanwhile: impl FnMut(Vec<Read>)) -> Option<Batch> {
        let Self { requests, outcomes, clock } = self;
        let mut batch = clock.block_on(first(requests, outcomes, meanwhile))?;
        batch.fill(requests);
        // All of them, one a round at most: however much is submitted, rounds come to their end.
        while let Ok(changes) = outcomes.try_recv() {
            batch.add(changes);
        }
        Some(batch)
    }

    /// What waits now, without sleeping.
    pub(super) fn try_next(&mut self) -> Result<Request, TryRecvError> {
        self.requests.try_recv().or_else(|end| match self.outcomes.try_recv() {
            Ok((changes, answer)) => Ok(Request::Change(changes, answer)),
            Err(_) => Err(end),
        })
    }
}

/// Sleeps until somebody asks, or an outcome has waited long enough.
async fn first(
    requests: &mut mpsc::Receiver<Request>,
    outcomes: &mut mpsc::Receiver<Changes>,
    mut meanwhile: impl FnMut(Vec<Read>),
) -> Option<Batch> {
    let mut batch = Batch::default();
    tokio::select! {
        biased;
        Some(request) = requests.recv() => {
            batch.take(request);
            return Some(batch);
        }
        Some(changes) = outcomes.recv() => batch.add(changes),
        else => return None,
    }
    let until = Instant::now() + LINGER;
    while let Ok(Some(request)) = timeout_at(until, requests.recv()).await {
        batch.take(request);
        batch.fill(requests);
        if batch.is_awaited {
            break;
        }
        meanwhile(std::mem::take(&mut batch.reads));
    }
    Some(batch)
}

impl Batch {
    fn take(&mut self, request: Request) {
        self.requests += 1;
        self.bytes += request.weight();
        self.is_awaited |= !matches!(request, Request::Read(_));
        match request {
            Request::Submit(rows, answer) => self.submits.push((rows, answer)),
            Request::Change(changes, answer) => self.changes.push((changes, answer)),
            Request::SetMeta(values, answer) => self.meta.push((values, answer)),
            Request::Read(read) => self.reads.push(read),
            Request::Close(answer) => self.close = Some(answer),
        }
    }

    fn add(&mut self, outcome: Changes) {
        self.requests += 1;
        self.bytes += outcome.0.iter().map(EncodedChange::weight).sum::<usize>();
        self.changes.push(outcome);
    }

    fn fill(&mut self, requests: &mut mpsc::Receiver<Request>) {
        while self.has_room()
            && self.close.is_none()
            && let Ok(request) = requests.try_recv()
        {
            self.take(request);
        }
    }

    /// These messages cannot be read.
    pub(super) fn set_aside(&mut self, damaged: Vec<QueueId>) {
        if !damaged.is_empty() {
            self.changes.push((damaged.into_iter().map(EncodedChange::set_aside).collect(), None));
        }
    }

    const fn has_room(&self) -> bool {
        self.requests < WAITING && self.bytes < BATCH_BYTES
    }

    pub(super) const fn writes(&self) -> bool {
        !self.submits.is_empty() || !self.changes.is_empty() || !self.meta.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_go_along_however_much_is_submitted() {
        let (slots, mut inbox) = Inbox::new().unwrap();
        for _ in 0..WAITING {
            let (answer, _) = tokio::sync::oneshot::channel();
            slots.requests.try_send(Request::SetMeta(vec![(Meta::LastSeen, 0)], answer)).unwrap();
        }
        let outcome = EncodedChange::set_aside(QueueId::new(1).unwrap());
        slots.outcomes.try_send((vec![outcome], None)).unwrap();
        let batch = inbox.gather(|_| {}).unwrap();
        assert_eq!((batch.meta.len(), batch.changes.len()), (WAITING, 1));
    }
}
