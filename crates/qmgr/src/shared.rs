//! What the tasks of this process share. None of it decides anything: that is theirs.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use bytes::Bytes;
use daemon::{Drain, Error, Generation, Generations, House, LoadGauge};
use envelope::{Detail, Envelope, QueueId};
use ipc::delivery::Destination;
use ipc::{Arrow, Client};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::{JoinError, spawn_blocking};

use crate::clock::{Saved, Timepiece};
use crate::hops::Hops;
use crate::news::Reporter;
use crate::priority::Bound;
use crate::record::{MessageRecord, Place, Queued, RecipientRecord};
use crate::rules::Rules;
use crate::spool::SpoolFile;
use crate::statistics::Counters;
use crate::store::{Counts, Due, Meta, NewMessage, Opened, Options, Store, StoreError};

/// Bytes of content in memory for messages in rounds, and for those on their way to one; what is
/// beyond is read when it is needed.
const AT_HAND: usize = 32 << 20;

/// See the fields.
#[derive(Debug)]
pub struct Shared {
    pub store: Store,
    pub clock: Timepiece,
    pub hops: Arc<Hops>,
    pub counters: Counters,
    pub reporter: Reporter,
    pub remote: Client,
    pub local: Client,
    load: LoadGauge,
    /// Those of the newest generation.
    rules: Mutex<Arc<Rules>>,
    wakes: mpsc::Sender<Wake>,
    /// The newest id.
    last_id: Mutex<QueueId>,
    /// Bytes of content that may still be kept.
    room: Arc<Semaphore>,
    /// Messages in a round of attempts, or on their way to one.
    active: Mutex<HashMap<QueueId, Course>>,
}

/// Whether a round goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Course {
    On,
    /// The message was held or deleted: no further attempt is begun.
    Recalled,
}

/// What [`crate::active`] is told.
#[derive(Debug)]
pub enum Wake {
    /// A message that was just made durable, is due, and was begun before that.
    Arrived(Arrived),
    /// There are rows of the due index from here on that may lie before those already seen.
    Due(Due),
}

/// A durable message that is still at hand.
#[derive(Debug)]
pub struct Arrived {
    pub message: Queued,
    /// `None`: it is read when it is needed.
    pub content: Option<AtHand>,
}

/// Content that is kept inside the database, in memory.
#[derive(Debug, Clone)]
pub struct AtHand {
    pub bytes: Bytes,
    _room: Room,
}

/// Room for so many bytes, given back when the last clone is gone.
#[derive(Debug, Clone)]
pub struct Room(#[expect(dead_code, reason = "held for its drop")] Arc<OwnedSemaphorePermit>);

impl Room {
    #[must_use]
    pub fn hold(self, bytes: Bytes) -> AtHand {
        AtHand { bytes, _room: self }
    }
}

impl Shared {
    /// Opens the queue of this house. [`crate::active`] listens to `wakes` and `call_back`, which
    /// gets parked messages.
    ///
    /// # Errors
    /// The queue or the tables cannot be read, or an edge is missing.
    pub async fn open(
        house: &House,
        load: LoadGauge,
        wakes: mpsc::Sender<Wake>,
        call_back: mpsc::UnboundedSender<QueueId>,
    ) -> Result<Self, Error> {
        let rules = Rules::read(&house.generation)?;
        let config = &rules.config;
        let options = Options { min_free_space: config.queue.min_free_space };
        let (store, opened) = Store::open(&config.paths.queue, options).await?;
        let Opened { last_id, counts, swept } = opened;
        let Counts { messages, held, damaged } = counts;
        tracing::info!(
            "the queue has {messages} messages, {held} held, {damaged} damaged; {swept} unfinished"
        );
        let saved = saved(&store).await?;
        // Messages that are gone by now had ids, too.
        let last_id = QueueId::next(last_id, saved.last_seen.saturating_mul(1000));
        let clock = Timepiece::start(saved);
        let counters = Counters::read(&store, clock.wall_seconds(clock.now())).await?;
        Ok(Self {
            clock,
            counters,
            reporter: Reporter::default(),
            hops: Hops::new(&config.queue, &config.remote, call_back),
            remote: house.asks(Arrow::QmgrToRemote)?,
            local: house.asks(Arrow::QmgrToLocal)?,
            load,
            wakes,
            last_id: Mutex::new(last_id),
            room: Arc::new(Semaphore::new(AT_HAND)),
            active: Mutex::default(),
            store,
            rules: Mutex::new(Arc::new(rules)),
        })
    }

    /// Takes each generation that is offered, until the process drains.
    pub async fn follow(&self, mut generations: Generations, mut drain: Drain) {
        loop {
            tokio::select! {
                generation = generations.next() => {
                    let number = generation.number;
                    generations.answer(number, self.take(generation).await).await;
                }
                () = drain.begun() => return,
            }
        }
    }

    /// From here on all that begins follows this generation.
    async fn take(&self, generation: Generation) -> Result<(), Error> {
        let old = self.rules();
        // Long tables take a while, and mail goes on meanwhile.
        let next = spawn_blocking(move || old.follow(&generation)).await??;
        let config = &next.config;
        self.hops.follow(&config.queue, &config.remote);
        self.store.keep_free(config.queue.min_free_space);
        *lock(&self.rules) = Arc::new(next);
        Ok(())
    }

    /// What the administrator wants now.
    pub fn rules(&self) -> Arc<Rules> {
        Arc::clone(&lock(&self.rules))
    }

    /// The load of the machine, and what is tried at it.
    pub fn load(&self) -> (f64, Bound) {
        let load = self.load.load(Instant::now());
        (load, Bound::at(load, self.rules().config.queue.queue_only_load))
    }

    /// Finishes what the store has to do, and closes it.
    ///
    /// # Errors
    /// [`StoreError`]: the time is not saved.
    pub async fn close(&self) -> Result<(), StoreError> {
        let saved = self.save().await;
        self.store.close().await;
        saved
    }

    /// The id of a message that arrives now.
    pub fn next_id(&self) -> QueueId {
        let micros = self.clock.now().saturating_mul(1000);
        let mut last = lock(&self.last_id);
        *last = QueueId::next(*last, micros);
        *last
    }

    /// Keeps the time, and what was counted, over a restart.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn save(&self) -> Result<(), StoreError> {
        let Saved { correction, last_seen } = self.clock.saved();
        let mut values = self.counters.saved();
        values.push((Meta::ClockCorrection, correction.cast_unsigned()));
        values.push((Meta::LastSeen, last_seen));
        self.store.set_meta(values).await
    }

    /// Tells [`crate::active`], which ends only with the process: then all is still in the store.
    pub async fn wake(&self, wake: Wake) {
        let _ = self.wakes.send(wake).await;
    }

    /// Is the message in a round of attempts, and does it go on?
    pub fn course(&self, id: QueueId) -> Option<Course> {
        lock(&self.active).get(&id).copied()
    }

    /// The message goes to a round, and nobody else takes it up from the due index. False: it was
    /// on its way already. Of one that arrives this is said before it is durable.
    pub fn begin(&self, id: QueueId) -> bool {
        let mut active = lock(&self.active);
        let fresh = !active.contains_key(&id);
        active.entry(id).or_insert(Course::On);
        fresh
    }

    /// Its round has ended, or does not come about.
    pub fn end(&self, id: QueueId) {
        lock(&self.active).remove(&id);
    }

    /// Those of the messages that are in a round are to begin no further attempt.
    pub fn recall(&self, ids: &[QueueId]) {
        let mut active = lock(&self.active);
        for id in ids {
            active.entry(*id).and_modify(|course| *course = Course::Recalled);
        }
    }

    /// Room for content; `None`: there is none now, and nobody waits for it.
    pub fn room(&self, bytes: u64) -> Option<Room> {
        let bytes = u32::try_from(bytes).ok()?;
        Arc::clone(&self.room).try_acquire_many_owned(bytes).ok().map(|it| Room(Arc::new(it)))
    }

    /// Who delivers there.
    pub const fn agent(&self, destination: &Destination) -> &Client {
        match destination {
            Destination::Remote(_) => &self.remote,
            Destination::Local { .. } | Destination::Special { .. } => &self.local,
        }
    }
}

impl Arrived {
    /// The record of a message that arrives now, without content. A recipient that was named twice
    /// counts once.
    #[must_use]
    pub fn new(shared: &Shared, id: QueueId, envelope: Envelope) -> Self {
        let record = MessageRecord::arrived(&envelope, shared.clock.now());
        let Envelope { reverse_path, recipients, .. } = envelope;
        let mut known = HashSet::new();
        let recipients = (0..)
            .zip(recipients.into_iter().filter(|to| known.insert(to.address.clone())))
            .map(|(number, to)| (number, RecipientRecord::fresh(to, reverse_path.clone())))
            .collect();
        Self { message: Queued { id, record, recipients }, content: None }
    }

    /// It is not tried until it is released.
    #[must_use]
    pub fn held(mut self, mut reason: String) -> Self {
        // Whoever shows it has no more room than for a reply.
        reason.truncate(reason.floor_char_boundary(Detail::MAX_TEXT));
        self.message.record.held = true;
        self.message.record.quarantine = Some(reason);
        self
    }

    /// Adds content that goes inside the database, and returns what is to be stored.
    #[must_use]
    pub fn with_content(&mut self, shared: &Shared, content: Bytes) -> NewMessage {
        let record = &mut self.message.record;
        record.size = content.len() as u64;
        record.place = Place::Inline;
        let room = shared.room(record.size).filter(|_| !self.is_put_off() && !self.is_held());
        let record = self.message.record.clone();
        self.content = room.map(|room| room.hold(content.clone()));
        NewMessage::inline(self.message.id, record, self.recipients(), content)
    }

    /// The same with content in a spool file, which has this message's id.
    #[must_use]
    pub fn with_file(&mut self, file: SpoolFile) -> NewMessage {
        let record = &mut self.message.record;
        record.size = file.size();
        record.place = Place::File;
        NewMessage::spooled(record.clone(), self.recipients(), file)
    }

    #[must_use]
    pub const fn is_held(&self) -> bool {
        self.message.record.held
    }

    /// Was it deferred while it arrived?
    #[must_use]
    pub const fn is_put_off(&self) -> bool {
        self.message.record.due > self.message.record.arrival
    }

    /// Its row in the due index.
    #[must_use]
    pub const fn row(&self) -> Due {
        Due { at: self.message.record.due, id: self.message.id }
    }

    /// The recipients as the store takes them: by their place.
    fn recipients(&self) -> Vec<RecipientRecord> {
        self.message.recipients.iter().map(|(_, recipient)| recipient.clone()).collect()
    }
}

/// The time that the queue remembers.
pub(crate) async fn saved(store: &Store) -> Result<Saved, StoreError> {
    let correction = store.meta(Meta::ClockCorrection).await?.unwrap_or(0).cast_signed();
    let last_seen = store.meta(Meta::LastSeen).await?.unwrap_or(0);
    Ok(Saved { correction, last_seen })
}

/// Passes the panic of a task on: in this process a panic ends everything, and what is in the store
/// is taken up by the next.
pub fn rethrow(error: JoinError) {
    if let Ok(panic) = error.try_into_panic() {
        std::panic::resume_unwind(panic);
    }
}

/// Nothing is left half done under these locks, so a panic elsewhere does not spoil them.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
