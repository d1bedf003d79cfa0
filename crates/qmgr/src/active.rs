//! The active set: what is due is taken up here, as far as there is room, and goes through a
//! round of attempts.
//!
//! Idle messages cost no memory: the due index is read in pages, only when its next row is due,
//! and never from its beginning, because what lies before the cursor has been seen. A message that
//! just arrived is taken up without being read back. While the machine is busy, what
//! [`crate::priority`] says is left in the store.
//!
//! **Invariant:** no due row is lost from sight: it is active, parked, after the cursor, or the
//! cursor goes back to it.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use daemon::{Drain, LoadGauge};
use envelope::QueueId;
use ipc::admin::News;
use ipc::delivery::Destination;
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until, timeout};

use crate::hops::Parked;
use crate::priority::Bound;
use crate::record::{Millis, Queued};
use crate::round::{self, Next, Report};
use crate::shared::{Arrived, Shared, Wake, rethrow};
use crate::store::{CHANGES, Due, LOAD, StoreError};

/// Messages in a round of attempts.
const ACTIVE: usize = 2000;
/// With the changes of administrators no more than the store keeps.
const _: () = assert!(2 * ACTIVE <= CHANGES);
/// Rows of the due index read at a time.
const ROWS: usize = 512;
/// How often destinations are looked after.
const MINUTE: Duration = Duration::from_secs(60);
/// How often the time is saved: well below the steps that matter.
const SAVE: Millis = 10 * 60 * 1000;
/// The longest sleep: a step of the clock is noticed by then.
const NAP: Duration = MINUTE;
/// How long attempts under way may take once the process is to end.
const LAST_ATTEMPTS: Duration = Duration::from_secs(30);

/// The state of the task.
#[derive(Debug)]
pub struct Active {
    shared: Arc<Shared>,
    rounds: JoinSet<Report>,
    /// Messages that wait for a full destination.
    parked: HashSet<QueueId>,
    /// Those of them that were called back, to be taken up before all others.
    called_back: VecDeque<QueueId>,
    /// Rows that were read and are due.
    rows: VecDeque<Due>,
    /// The last row that was read.
    cursor: Option<Due>,
    /// When there may be a due row after the cursor.
    horizon: Millis,
    /// Rows were passed by that are still due: go back once a minute.
    left_some: bool,
    /// What the load of the machine lets be tried.
    bound: Bound,
    /// Messages wait for the load to fall below what it was then.
    held_back: Option<Bound>,
    /// When the time was saved.
    saved: Millis,
}

/// What the task listens to.
#[derive(Debug)]
pub struct Inbox {
    pub wakes: mpsc::Receiver<Wake>,
    pub called_back: mpsc::UnboundedReceiver<QueueId>,
}

impl Inbox {
    /// Wakes that wait; submitters and administrators then wait too.
    pub const WAKES: usize = 1024;
}

impl Active {
    #[must_use]
    pub fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            rounds: JoinSet::new(),
            parked: HashSet::new(),
            called_back: VecDeque::new(),
            rows: VecDeque::new(),
            cursor: None,
            horizon: 0,
            left_some: false,
            bound: Bound::NONE,
            held_back: None,
            saved: 0,
        }
    }

    /// Takes up what is due until the process drains, and then lets what is under way end.
    pub async fn run(mut self, mut inbox: Inbox, mut drain: Drain) {
        let mut minute = interval(MINUTE);
        minute.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while !drain.has_begun() {
            self.look_at_load();
            if let Err(error) = self.take_up().await {
                tracing::error!("the queue cannot be read: {error}");
                self.horizon = self.shared.clock.now().saturating_add(1000);
                // Those that were to be taken up are behind the cursor.
                self.left_some = true;
            }
            let next_look = self.next_look();
            tokio::select! {
                Some(ended) = self.rounds.join_next() => self.ended(ended),
                Some(wake) = inbox.wakes.recv() => self.wake(wake),
                Some(id) = inbox.called_back.recv() => self.call_back(id),
                () = sleep_until(next_look) => {}
                _ = minute.tick() => self.every_minute().await,
                () = drain.begun() => {}
            }
            self.catch_up(&mut inbox);
        }
        drop(inbox);
        self.shared.hops.close();
        // What does not end in time is still due in the store.
        let _ = timeout(LAST_ATTEMPTS, self.finish()).await;
    }

    /// Everything else that has happened: to take up what is due may take a commit of a slow disk,
    /// and submitters must not wait for one each.
    fn catch_up(&mut self, inbox: &mut Inbox) {
        while let Some(ended) = self.rounds.try_join_next() {
            self.ended(ended);
        }
        while let Ok(wake) = inbox.wakes.try_recv() {
            self.wake(wake);
        }
        while let Ok(id) = inbox.called_back.try_recv() {
            self.call_back(id);
        }
    }

    async fn finish(&mut self) {
        while let Some(ended) = self.rounds.join_next().await {
            self.ended(ended);
        }
    }

    /// What waited for the load is looked at again as soon as there is none.
    fn look_at_load(&mut self) {
        let (load, bound) = self.shared.load();
        let before = std::mem::replace(&mut self.bound, bound);
        match (before == Bound::NONE, bound == Bound::NONE) {
            (true, false) => tracing::warn!(
                "Skipping queue run -- load average too high: {load:.2}; mail waits, large mail first"
            ),
            (false, true) => {
                tracing::info!("load average: {load:.2}; no mail waits for it any more")
            }
            (true, true) | (false, false) => {}
        }
        if bound == Bound::NONE && self.held_back.is_some() {
            self.go_back();
        }
    }

    /// Starts rounds as long as something is due and there is room for a good piece of it.
    async fn take_up(&mut self) -> Result<(), StoreError> {
        while self.has_room() {
            let ids = self.due_ids().await?;
            if ids.is_empty() {
                break;
            }
            for message in self.look(ids).await? {
                self.start_if_due(message);
            }
        }
        Ok(())
    }

    /// The messages. One that cannot be read holds up no other.
    async fn look(&mut self, ids: Vec<QueueId>) -> Result<Vec<Queued>, StoreError> {
        let store = &self.shared.store;
        let all = store.look(ids.clone()).await;
        if all.is_ok() {
            return all;
        }
        self.left_some = true;
        let mut found = Vec::new();
        for id in ids {
            found.extend(store.look(vec![id]).await.unwrap_or_default());
        }
        if found.is_empty() { all } else { Ok(found) }
    }

    fn has_room(&self) -> bool {
        self.rounds.len() + LOAD <= ACTIVE
    }

    /// The next few messages that are due and not active. Empty: there are none now.
    async fn due_ids(&mut self) -> Result<Vec<QueueId>, StoreError> {
        loop {
            let room = self.called_back.len().min(LOAD);
            let mut ids: Vec<_> = self.called_back.drain(..room).collect();
            let room = self.rows.len().min(LOAD - ids.len());
            ids.extend(self.rows.drain(..room).map(|row| row.id));
            ids.retain(|id| self.shared.course(*id).is_none() && !self.parked.contains(id));
            let now = self.shared.clock.now();
            if !ids.is_empty() || (self.rows.is_empty() && now < self.horizon) {
                return Ok(ids);
            }
            if self.rows.is_empty() {
                self.read_rows(now).await?;
            }
        }
    }

    /// Reads on in the due index.
    async fn read_rows(&mut self, now: Millis) -> Result<(), StoreError> {
        let rows = self.shared.store.due(self.cursor, ROWS).await?;
        // Meanwhile nothing else ran in this task: the cursor is where it was.
        self.horizon = match rows.iter().find(|row| row.at > now) {
            Some(future) => future.at,
            None if rows.len() < ROWS => Millis::MAX,
            None => now,
        };
        self.rows.extend(rows.into_iter().take_while(|row| row.at <= now));
        self.cursor = self.rows.back().copied().or(self.cursor);
        Ok(())
    }

    fn start_if_due(&mut self, message: Queued) {
        let row = Due { at: message.record.due, id: message.id };
        if message.record.held {
            return;
        }
        if row.at > self.shared.clock.now() {
            return self.note(row);
        }
        if self.bound.holds_back(&message) {
            return self.hold_back(&message);
        }
        if self.shared.begin(row.id) {
            self.start(Arrived { message, content: None });
        }
    }

    /// It stays in the store until the load has fallen.
    fn hold_back(&mut self, message: &Queued) {
        let Queued { id, record, .. } = message;
        self.held_back = Some(self.held_back.map_or(self.bound, |before| before.min(self.bound)));
        self.shared.reporter.tell(&record.origin, || News::Overload(*id));
    }

    /// Starts the round of a message that was begun.
    fn start(&mut self, arrived: Arrived) {
        self.rounds.spawn(round::run(Arc::clone(&self.shared), arrived));
    }

    fn ended(&mut self, ended: Result<Report, JoinError>) {
        let Report { id, next } = match ended {
            Ok(report) => report,
            Err(error) => return rethrow(error),
        };
        if !matches!(next, Next::Unstored) {
            self.shared.end(id);
        }
        match next {
            Next::Gone | Next::Unstored => {}
            Next::Waits(row) => self.note(row),
            Next::Parks(destination) => self.park(id, &destination),
            Next::Left => self.left_some = true,
        }
    }

    fn park(&mut self, id: QueueId, destination: &Destination) {
        match self.shared.hops.park(destination, id) {
            Parked::Yes => {
                self.parked.insert(id);
            }
            Parked::GoAgain => self.called_back.push_back(id),
            Parked::Full => self.left_some = true,
        }
    }

    fn call_back(&mut self, id: QueueId) {
        self.parked.remove(&id);
        self.called_back.push_back(id);
    }

    fn wake(&mut self, wake: Wake) {
        match wake {
            Wake::Arrived(arrived) => self.arrived(arrived),
            Wake::Due(row) => self.note(row),
        }
    }

    fn arrived(&mut self, arrived: Arrived) {
        // The last look may be long ago.
        self.look_at_load();
        if self.bound.holds_back(&arrived.message) {
            self.shared.end(arrived.message.id);
            return self.hold_back(&arrived.message);
        }
        if self.rounds.len() < ACTIVE {
            return self.start(arrived);
        }
        let row = arrived.row();
        self.shared.end(row.id);
        self.note(row);
    }

    /// A row that is in the index and may lie before the cursor.
    fn note(&mut self, row: Due) {
        self.horizon = self.horizon.min(row.at);
        if self.cursor.is_some_and(|cursor| row <= cursor) {
            self.cursor = Some(Due { at: row.at.saturating_sub(1), id: row.id });
        }
    }

    fn next_look(&self) -> Instant {
        let wait = if self.has_room() {
            let now = self.shared.clock.now();
            Duration::from_millis(self.horizon.saturating_sub(now)).min(NAP)
        } else {
            NAP
        };
        let most = if self.held_back.is_some() { LoadGauge::FRESH } else { NAP };
        Instant::now() + wait.min(most)
    }

    /// To the beginning of the due index.
    fn go_back(&mut self) {
        self.left_some = false;
        self.held_back = None;
        self.cursor = None;
        self.horizon = 0;
    }

    async fn every_minute(&mut self) {
        self.shared.hops.call_back();
        if self.left_some || self.held_back.is_some_and(|before| self.bound > before) {
            self.go_back();
        }
        let now = self.shared.clock.now();
        if now.abs_diff(self.saved) < SAVE {
            return;
        }
        self.saved = now;
        if let Err(error) = self.shared.save().await {
            tracing::warn!("the time cannot be saved: {error}");
        }
    }
}
