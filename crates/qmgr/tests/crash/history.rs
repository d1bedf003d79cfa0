//! Random histories: requests in groups that share commits, lost power at a random sync, also
//! while recovering from the last time.

use std::path::Path;

use bytes::Bytes;
use envelope::QueueId;
use fastrand::Rng;
use qmgr::store::{Change, Fate, NewMessage, Options, Store, StoreError, Update};
use tokio::task::JoinSet;

use crate::disk::Disk;
use crate::world::{Message, Step, World, assert_no_ghosts, read, recipient};

/// Histories without `PENNYPOST_CRASH_SEEDS`.
const SEEDS: u64 = 300;
/// Lost power in one history, at most.
const CRASHES: usize = 3;
/// Groups of requests between two, at most.
const GROUPS: usize = 12;

const OPTIONS: Options = Options { min_free_space: 0 };

#[test]
fn what_was_acknowledged_survives_lost_power() {
    let seeds = std::env::var("PENNYPOST_CRASH_SEEDS").ok();
    let seeds = seeds.map_or(SEEDS, |text| text.parse().unwrap());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let place = tempfile::tempdir().unwrap();
    let (mut crashes, mut messages) = (0, 0);
    for seed in 0..seeds {
        let directory = place.path().join(seed.to_string());
        std::fs::create_dir(&directory).unwrap();
        let mut history = History::new(seed, &directory);
        runtime.block_on(history.play());
        crashes += history.crashes;
        messages += history.last_id;
        std::fs::remove_dir_all(&directory).unwrap();
    }
    println!("{seeds} histories, {crashes} crashes, {messages} messages");
    assert!(crashes > seeds);
}

struct History<'a> {
    seed: u64,
    random: Rng,
    disk: Disk,
    directory: &'a Path,
    world: World,
    last_id: u64,
    crashes: u64,
}

/// A request under way.
struct Asked {
    step: Step,
    answer: Result<(), StoreError>,
}

impl<'a> History<'a> {
    fn new(seed: u64, directory: &'a Path) -> Self {
        let disk = Disk::new(seed);
        let random = Rng::with_seed(seed.wrapping_mul(7919));
        Self { seed, random, disk, directory, world: World::new(), last_id: 0, crashes: 0 }
    }

    async fn play(&mut self) {
        for _ in 0..CRASHES {
            self.disk.fail_power_at(self.random.u64(1..40));
            let unsure = self.live().await;
            self.crashes += u64::from(self.disk.is_dead());
            self.disk.power_on();
            self.recover(unsure).await;
        }
    }

    /// Makes requests until the power fails; returns what was not acknowledged.
    async fn live(&mut self) -> Vec<Step> {
        let opened = Store::open_on(self.disk.clone(), self.directory, OPTIONS).await;
        let Ok((store, _)) = opened else {
            assert!(self.disk.is_dead(), "seed {}: {:?}", self.seed, opened.err());
            return Vec::new();
        };
        for _ in 0..self.random.usize(1..=GROUPS) {
            let unsure = self.group(&store).await;
            if self.disk.is_dead() {
                store.close().await;
                return unsure;
            }
            assert!(unsure.is_empty(), "seed {}", self.seed);
        }
        // kill -9 rather than a clean end: what is in the cache only is lost.
        self.disk.cut_power();
        store.close().await;
        Vec::new()
    }

    /// Requests that are under way together, each of other messages.
    async fn group(&mut self, store: &Store) -> Vec<Step> {
        let mut asked = JoinSet::new();
        let mut touched: Vec<QueueId> = self.world.keys().copied().collect();
        self.random.shuffle(&mut touched);
        let mut steps = Vec::new();
        for _ in 0..self.random.usize(1..=6) {
            let existing = if self.random.bool() { touched.pop() } else { None };
            let step = match existing {
                Some(id) => self.change(id, store, &mut asked),
                None => self.submit(store, &mut asked).await,
            };
            steps.extend(step);
        }
        while !self.disk.is_dead() && !asked.is_empty() {
            tokio::select! {
                Some(done) = asked.join_next() => {
                    let Asked { step, answer } = done.unwrap();
                    if answer.is_ok() {
                        steps.retain(|it| it.0 != step.0);
                        step.apply(&mut self.world);
                    }
                }
                () = self.disk.failed() => {}
            }
        }
        steps
    }

    fn next_id(&mut self) -> QueueId {
        self.last_id += 1;
        QueueId::new(self.last_id).unwrap()
    }

    fn message(&mut self, id: QueueId) -> Message {
        let length = [0, 100, 4096, 5000, 60_000][self.random.usize(..5)];
        Message::new(id, self.random.u64(..100), length, self.random.u32(1..4))
    }

    async fn submit(&mut self, store: &Store, asked: &mut JoinSet<Asked>) -> Option<Step> {
        let id = self.next_id();
        let message = self.message(id);
        let new = match self.random.u8(..8) {
            0 => spooled(store, id, &message).await?,
            _ => message.to_submit(id),
        };
        let step = Step(vec![(id, Some(message))]);
        let (store, asks) = (store.clone(), step.clone());
        asked.spawn(async move { Asked { step: asks, answer: store.submit(new).await } });
        Some(step)
    }

    fn change(&mut self, id: QueueId, store: &Store, asked: &mut JoinSet<Asked>) -> Option<Step> {
        let mut message = self.world.get(&id)?.clone();
        let mut update = Update::default();
        let fate = match self.random.u8(..6) {
            0..=2 => Fate::Retired,
            3 => {
                message.held = !message.held;
                update.held = Some(message.held);
                Fate::Stays(update)
            }
            _ => {
                message.due += 100;
                update.due = Some(message.due);
                let (&number, attempts) = message.recipients.iter_mut().next()?;
                *attempts += 1;
                update.recipients.push((number, Some(recipient(*attempts))));
                Fate::Stays(update)
            }
        };
        let after = matches!(fate, Fate::Stays(_)).then_some(message);
        let mut step = Step(vec![(id, after)]);
        let mut enqueue = Vec::new();
        if self.random.bool() {
            let bounce = self.next_id();
            let message = self.message(bounce);
            enqueue.push(message.to_submit(bounce));
            step.0.push((bounce, Some(message)));
        }
        let (store, asks) = (store.clone(), step.clone());
        let change = Change { id, fate, enqueue };
        let is_outcome = self.random.bool();
        asked.spawn(async move {
            let answer = if is_outcome {
                store.outcome(change).await
            } else {
                store.change(vec![change]).await
            };
            Asked { step: asks, answer }
        });
        Some(step)
    }

    /// Opens what is left, and compares.
    async fn recover(&mut self, unsure: Vec<Step>) {
        let (store, _) = Store::open_on(self.disk.clone(), self.directory, OPTIONS).await.unwrap();
        let held = read(&store).await;
        for step in unsure {
            if step.happened(&held) {
                step.apply(&mut self.world);
            }
        }
        assert!(held == self.world, "seed {}: {held:?}\nis not\n{:?}", self.seed, self.world);
        store.close().await;
        assert_no_ghosts(&mut self.disk, &self.world);
    }
}

async fn spooled(store: &Store, id: QueueId, message: &Message) -> Option<NewMessage> {
    let mut file = store.spool(id).await.unwrap();
    for piece in message.content.chunks(1000) {
        file.write(Bytes::copy_from_slice(piece)).await.unwrap();
    }
    let file = file.finish().await.unwrap();
    Some(NewMessage::spooled(message.record(), message.recipients(), file))
}
