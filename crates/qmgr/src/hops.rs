//! How much goes to each destination at a time, and which are left alone for a while.
//!
//! A message *claims* each of its destinations, waits for a *slot*, and gives both back by
//! dropping them. Claims are bounded too, so that one slow destination cannot fill the active set:
//! beyond [`SHARE`] its messages are parked, which costs eight bytes each, and called back as it
//! empties.
//!
//! **Invariant:** every slot and claim is given back by `Drop`, whatever becomes of its task.

mod contacts;

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use config::{Queue, Remote};
use envelope::{Detail, NextHop, QueueId, Special, Status};
use ipc::admin::HOSTS;
use ipc::delivery::Destination;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use crate::record::Millis;
use crate::schedule;
pub use contacts::Contact;
use contacts::Contacts;

/// Messages of one destination that are active, under way or waiting for a slot.
pub const SHARE: usize = 500;
/// Messages parked behind one destination; further ones are put off in the store.
const MAX_PARKED: usize = 100_000;
/// Attempts at local delivery under way.
const LOCAL: usize = 200;
/// The same for one user: what waits together is stored together.
const LOCAL_USER: usize = 20;
/// Destinations remembered without anything to do for them.
const MAX_REMEMBERED: usize = 10_000;

/// All destinations.
#[derive(Debug)]
pub struct Hops {
    remote: Arc<Semaphore>,
    local: Arc<Semaphore>,
    state: Mutex<State>,
    called_back: mpsc::UnboundedSender<QueueId>,
}

#[derive(Debug)]
struct State {
    retry: Queue,
    remote: Remote,
    hops: HashMap<Destination, Hop>,
    contacts: Contacts,
}

#[derive(Debug)]
struct Hop {
    slots: Arc<Semaphore>,
    claims: usize,
    parked: VecDeque<QueueId>,
    dead: Option<Dead>,
}

/// No host of the destination answered.
#[derive(Debug, Clone)]
struct Dead {
    /// Times in a row.
    times: u32,
    alone: Alone,
}

/// A destination is not to be tried before `until`, because of `detail`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alone {
    pub until: Millis,
    pub detail: Detail,
}

/// What is known of a next hop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    pub name: String,
    pub last: Contact,
    /// Messages that have a place there.
    pub active: usize,
    pub alone_until: Option<Millis>,
}

/// What a message that wants to go to a destination gets.
#[derive(Debug)]
pub enum Entrance {
    Claim(Claim),
    /// Over the destination's share: park.
    Full,
    Alone(Alone),
}

/// A place in the queue of one destination.
#[derive(Debug)]
pub struct Claim {
    hops: Arc<Hops>,
    key: Destination,
}

/// What comes of waiting.
#[derive(Debug)]
pub enum Turn {
    /// Go, and hold this while under way.
    Go(Slot),
    Alone(Alone),
    /// The process is about to end.
    Closing,
}

/// An attempt under way: one of the destination's and one of all.
#[derive(Debug)]
pub struct Slot {
    _permits: [OwnedSemaphorePermit; 2],
}

/// What comes of parking.
#[derive(Debug, PartialEq, Eq)]
pub enum Parked {
    /// It will be called back.
    Yes,
    /// There is room by now.
    GoAgain,
    /// Too many are parked.
    Full,
}

impl Hops {
    /// No destination is known yet. `called_back` gets the parked ones, one by one.
    #[must_use]
    pub fn new(
        retry: &Queue,
        remote: &Remote,
        called_back: mpsc::UnboundedSender<QueueId>,
    ) -> Arc<Self> {
        let state = State {
            retry: retry.clone(),
            remote: remote.clone(),
            hops: HashMap::default(),
            contacts: Contacts::default(),
        };
        Arc::new(Self {
            remote: Arc::new(Semaphore::new(remote.connections)),
            local: Arc::new(Semaphore::new(LOCAL)),
            state: Mutex::new(state),
            called_back,
        })
    }

    /// Other limits and times from now on. What is under way is not counted anew: where there is
    /// too much of it now, nothing new begins until enough of it has ended.
    pub fn follow(&self, retry: &Queue, remote: &Remote) {
        let mut state = self.lock();
        let State { retry: old_retry, remote: old, hops, contacts: _ } = &mut *state;
        resize(&self.remote, old.connections, remote.connections);
        for (_, hop) in hops.iter().filter(|(key, _)| matches!(key, Destination::Remote(_))) {
            resize(&hop.slots, old.concurrency, remote.concurrency);
        }
        *old_retry = retry.clone();
        *old = remote.clone();
    }

    /// Asks for a place at `destination`.
    pub fn claim(self: &Arc<Self>, destination: &Destination, now: Millis) -> Entrance {
        let key = key(destination);
        let mut state = self.lock();
        let State { remote, hops, .. } = &mut *state;
        let hop = hops.entry(key.clone()).or_insert_with(|| Hop::fresh(destination, remote));
        if let Some(alone) = hop.alone(now) {
            return Entrance::Alone(alone);
        }
        if hop.claims >= SHARE {
            return Entrance::Full;
        }
        hop.claims += 1;
        Entrance::Claim(Claim { hops: Arc::clone(self), key })
    }

    /// Is the destination left alone now, and why?
    pub fn alone(&self, destination: &Destination, now: Millis) -> Option<Alone> {
        self.lock().hops.get(&key(destination))?.alone(now)
    }

    /// Leaves a message, no longer active, with a destination that was full.
    pub fn park(&self, destination: &Destination, id: QueueId) -> Parked {
        let mut state = self.lock();
        let Some(hop) = state.hops.get_mut(&key(destination)) else {
            return Parked::GoAgain;
        };
        if hop.claims < SHARE {
            return Parked::GoAgain;
        }
        if hop.parked.len() >= MAX_PARKED {
            return Parked::Full;
        }
        hop.parked.push_back(id);
        Parked::Yes
    }

    /// An administrator wants everything tried now: no destination is left alone any longer.
    pub fn revive(&self) {
        for hop in self.lock().hops.values_mut() {
            hop.dead = None;
        }
    }

    /// What is known of next hops after this name, and whether that is all.
    pub fn known(&self, after: Option<&str>, now: Millis) -> (Vec<Known>, bool) {
        let state = self.lock();
        let page = state.contacts.page(after, HOSTS + 1);
        let is_all = page.len() <= HOSTS;
        let known = page.into_iter().take(HOSTS).map(|(name, next_hop, contact)| {
            let hop = state.hops.get(&Destination::Remote(next_hop.clone()));
            let alone = hop.and_then(|hop| hop.alone(now));
            Known {
                name,
                last: contact.clone(),
                active: hop.map_or(0, |hop| hop.claims),
                alone_until: alone.map(|alone| alone.until),
            }
        });
        (known.collect(), is_all)
    }

    /// Forgets next hops, and says how many. They are tried again as if nothing had happened.
    pub fn forget(&self, these: impl Fn(&NextHop, &Contact) -> bool) -> usize {
        let mut state = self.lock();
        let State { hops, contacts, .. } = &mut *state;
        let forgotten = contacts.forget(these);
        for next_hop in &forgotten {
            if let Some(hop) = hops.get_mut(&Destination::Remote(next_hop.clone())) {
                hop.dead = None;
            }
        }
        forgotten.len()
    }

    /// Calls back what was parked with destinations that have become idle: the called ones may
    /// have been deleted meanwhile, and then no claim of theirs calls the next.
    pub fn call_back(&self) {
        for hop in self.lock().hops.values_mut() {
            hop.call_back(&self.called_back);
        }
    }

    /// Nobody gets a slot any more.
    pub fn close(&self) {
        self.remote.close();
        self.local.close();
    }

    const fn of_all(&self, destination: &Destination) -> &Arc<Semaphore> {
        match destination {
            Destination::Remote(_) => &self.remote,
            Destination::Local { .. } | Destination::Special { .. } => &self.local,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn note(&mut self, key: &Destination, status: Status, now: Millis) {
        match key {
            Destination::Remote(next_hop) => self.contacts.note(next_hop, now, status),
            Destination::Local { .. } | Destination::Special { .. } => {}
        }
    }
}

impl Hop {
    fn fresh(destination: &Destination, remote: &Remote) -> Self {
        let slots = match destination {
            Destination::Remote(_) => remote.concurrency,
            Destination::Local { .. } | Destination::Special { .. } => LOCAL_USER,
        };
        let slots = Arc::new(Semaphore::new(slots));
        Self { slots, claims: 0, parked: VecDeque::new(), dead: None }
    }

    fn alone(&self, now: Millis) -> Option<Alone> {
        let dead = self.dead.as_ref()?;
        (now < dead.alone.until).then(|| dead.alone.clone())
    }

    /// Fills up to the share once half of it is free.
    fn call_back(&mut self, called_back: &mpsc::UnboundedSender<QueueId>) {
        if self.claims > SHARE / 2 {
            return;
        }
        let room = (SHARE - self.claims).min(self.parked.len());
        for id in self.parked.drain(..room) {
            // The receiver is gone only when the process ends.
            let _ = called_back.send(id);
        }
    }
}

impl Claim {
    /// Waits for a slot. `now` is asked for queue time when the turn has come: the destination may
    /// have been found dead meanwhile.
    pub async fn turn(&self, now: impl Fn() -> Millis) -> Turn {
        let slots = self.hops.lock().hops.get(&self.key).map(|hop| Arc::clone(&hop.slots));
        let Some(slots) = slots else {
            return Turn::Closing;
        };
        let all = Arc::clone(self.hops.of_all(&self.key));
        let (Ok(one), Ok(of_all)) = (slots.acquire_owned().await, all.acquire_owned().await) else {
            return Turn::Closing;
        };
        let state = self.hops.lock();
        match state.hops.get(&self.key).and_then(|hop| hop.alone(now())) {
            Some(alone) => Turn::Alone(alone),
            None => Turn::Go(Slot { _permits: [one, of_all] }),
        }
    }

    /// The destination answered so: it is alive.
    pub fn reached(&self, status: Status, now: Millis) {
        let mut state = self.hops.lock();
        state.note(&self.key, status, now);
        if let Some(hop) = state.hops.get_mut(&self.key) {
            hop.dead = None;
        }
    }

    /// No host of the destination could be reached: it is left alone for a growing time.
    /// Attempts that were under way together count once.
    pub fn unreachable(&self, detail: Detail, now: Millis) -> Alone {
        let mut state = self.hops.lock();
        state.note(&self.key, Status::Deferred(detail.clone()), now);
        let State { retry, hops, .. } = &mut *state;
        let hop = hops.get_mut(&self.key);
        let known = hop.as_ref().and_then(|hop| hop.alone(now));
        if let Some(alone) = known {
            return alone;
        }
        let times = hop.as_ref().and_then(|hop| hop.dead.as_ref()).map_or(0, |dead| dead.times);
        let times = times.saturating_add(1);
        let wait = schedule::leave_alone(retry, times, fastrand::u8(..));
        let wait = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        let alone = Alone { until: now.saturating_add(wait), detail };
        if let Some(hop) = hop {
            hop.dead = Some(Dead { times, alone: alone.clone() });
            // All of them now learn that they have to wait.
            for id in hop.parked.drain(..) {
                let _ = self.hops.called_back.send(id);
            }
        }
        alone
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let mut state = self.hops.lock();
        let hops = &mut state.hops;
        let Some(hop) = hops.get_mut(&self.key) else {
            return;
        };
        hop.claims -= 1;
        hop.call_back(&self.hops.called_back);
        if hop.claims == 0 && hop.parked.is_empty() && hop.dead.is_none() {
            hops.remove(&self.key);
        } else if hops.len() > MAX_REMEMBERED {
            hops.retain(|_, hop| hop.claims > 0 || !hop.parked.is_empty());
        }
    }
}

/// Makes the number of permits the new one; the last of those that are too many are taken as they
/// are given back, before anyone else gets one.
fn resize(semaphore: &Arc<Semaphore>, old: usize, new: usize) {
    semaphore.add_permits(new.saturating_sub(old));
    let Ok(fewer @ 1..) = u32::try_from(old.saturating_sub(new)) else { return };
    let taken = Arc::clone(semaphore).acquire_many_owned(fewer);
    tokio::spawn(async move {
        if let Ok(permits) = taken.await {
            permits.forget();
        }
    });
}

/// Details of a user share the user's mailbox, and so its slots; and so do all programs, files and lists
/// of a user, who could name as many as there are slots for everybody.
fn key(destination: &Destination) -> Destination {
    match destination {
        Destination::Remote(next_hop) => Destination::Remote(next_hop.clone()),
        Destination::Local { user, .. } => {
            Destination::Local { user: user.clone(), detail: None, verbatim: false }
        }
        Destination::Special { user: user @ Some(_), .. } => {
            let what = Special::Program(String::new());
            Destination::Special { what, user: user.clone() }
        }
        special @ Destination::Special { user: None, .. } => special.clone(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use config::{Families, Queue, Remote, Resolver};
    use envelope::{Detail, Enhanced, NextHop, QueueId, Special, Status};
    use ipc::delivery::Destination;
    use tokio::sync::mpsc;

    use super::{Claim, Entrance, Hops, LOCAL_USER, Parked, SHARE, Turn};

    fn hops() -> (Arc<Hops>, mpsc::UnboundedReceiver<QueueId>) {
        let minute = Duration::from_secs(60);
        let retry = Queue {
            lifetime: minute,
            bounce_lifetime: minute,
            delay_warning: None,
            first_retry: minute,
            max_retry: minute,
            min_free_space: 0,
            host_status: 4 * minute,
            queue_only_load: 1000.0,
            refuse_load: 1000.0,
        };
        let remote = Remote {
            concurrency: 2,
            connections: 3,
            families: Families::Auto,
            resolver: Resolver::System,
            idle: minute,
            try_null_mx: false,
        };
        let (called_back, ids) = mpsc::unbounded_channel();
        (Hops::new(&retry, &remote, called_back), ids)
    }

    fn to(domain: &str) -> Destination {
        Destination::Remote(NextHop::parse(domain).unwrap())
    }

    fn claim(hops: &Arc<Hops>, domain: &str) -> Claim {
        match hops.claim(&to(domain), 0) {
            Entrance::Claim(claim) => claim,
            other @ (Entrance::Full | Entrance::Alone(_)) => panic!("{other:?}"),
        }
    }

    fn delivered() -> Status {
        Status::Delivered(Detail::ours(Enhanced::UNDEFINED, "ok"))
    }

    fn run(test: impl Future<Output = ()>) {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(test);
    }

    /// Would the claim get its turn at once?
    async fn is_its_turn(claim: &Claim, now: u64) -> Option<Turn> {
        tokio::select! {
            biased;
            turn = claim.turn(|| now) => Some(turn),
            () = std::future::ready(()) => None,
        }
    }

    #[test]
    fn attempts_are_bounded_for_each_and_for_all() {
        run(async {
            let (hops, _ids) = hops();
            let claims = ["a", "a", "a", "b", "b"].map(|domain| claim(&hops, domain));
            let mut slots = Vec::new();
            for claim in &claims {
                slots.extend(is_its_turn(claim, 0).await);
            }
            assert_eq!(slots.len(), 3, "two of a, one of b: three in all");
            slots.clear();
            assert!(matches!(is_its_turn(&claims[4], 0).await, Some(Turn::Go(_))));
            hops.close();
            assert!(matches!(is_its_turn(&claims[4], 0).await, Some(Turn::Closing)));
        });
    }

    #[test]
    fn programs_of_a_user_share_the_slots_of_one() {
        run(async {
            let (hops, _ids) = hops();
            let claim = |number: usize, user: Option<&str>| {
                let what = Special::Program(format!("p {number}"));
                let user = user.map(str::to_owned);
                match hops.claim(&Destination::Special { what, user }, 0) {
                    Entrance::Claim(claim) => claim,
                    other @ (Entrance::Full | Entrance::Alone(_)) => panic!("{other:?}"),
                }
            };
            let claims: Vec<_> =
                (0..=LOCAL_USER).map(|number| claim(number, Some("ann"))).collect();
            let of_alias = claim(0, None);
            let mut slots = Vec::new();
            for claim in &claims {
                slots.extend(is_its_turn(claim, 0).await);
            }
            assert_eq!(slots.len(), LOCAL_USER);
            assert!(matches!(is_its_turn(&of_alias, 0).await, Some(Turn::Go(_))));
        });
    }

    #[test]
    fn limits_follow_the_configuration() {
        run(async {
            let (hops, _ids) = hops();
            let claims = ["a", "a", "a", "a"].map(|domain| claim(&hops, domain));
            let mut slots = Vec::new();
            for claim in &claims {
                slots.extend(is_its_turn(claim, 0).await);
            }
            assert_eq!(slots.len(), 2);
            let retry = hops.lock().retry.clone();
            let mut remote = hops.lock().remote.clone();
            remote.concurrency = 3;
            hops.follow(&retry, &remote);
            slots.extend(is_its_turn(&claims[2], 0).await);
            assert_eq!(slots.len(), 3, "one more");
            remote.concurrency = 1;
            hops.follow(&retry, &remote);
            for _ in 0..2 {
                slots.pop();
                // The two that are too many are taken.
                tokio::task::yield_now().await;
                assert!(is_its_turn(&claims[3], 0).await.is_none());
            }
            slots.pop();
            tokio::task::yield_now().await;
            assert!(matches!(is_its_turn(&claims[3], 0).await, Some(Turn::Go(_))));
        });
    }

    #[test]
    fn beyond_its_share_mail_is_parked_and_called_back() {
        let (hops, mut ids) = hops();
        let mut claims: Vec<_> = (0..SHARE).map(|_| claim(&hops, "a")).collect();
        assert!(matches!(hops.claim(&to("a"), 0), Entrance::Full));
        let id = QueueId::new(7).unwrap();
        assert_eq!(hops.park(&to("a"), id), Parked::Yes);
        assert_eq!(hops.park(&to("b"), id), Parked::GoAgain);
        claims.truncate(SHARE / 2 + 1);
        assert!(ids.try_recv().is_err());
        claims.pop();
        assert_eq!(ids.try_recv(), Ok(id));
    }

    #[test]
    fn the_dead_are_left_alone_for_a_growing_time() {
        run(async {
            let (hops, mut ids) = hops();
            let detail = || Detail::ours(Enhanced::NO_ANSWER, "no route to host");
            let claims: Vec<_> = (0..SHARE).map(|_| claim(&hops, "a")).collect();
            let id = QueueId::new(7).unwrap();
            hops.park(&to("a"), id);
            let first = claims[0].unreachable(detail(), 1000).until;
            assert!((61_000..=69_000).contains(&first));
            assert_eq!(ids.try_recv(), Ok(id), "they learn of it");
            assert_eq!(claims[1].unreachable(detail(), 2000).until, first, "counts once");
            assert!(matches!(is_its_turn(&claims[2], 2000).await, Some(Turn::Alone(_))));
            assert!(matches!(hops.claim(&to("a"), first - 1), Entrance::Alone(_)));
            let second = claims[0].unreachable(detail(), first).until;
            assert!((120_000..=136_000).contains(&(second - first)));
            claims[0].reached(delivered(), first);
            assert!(matches!(is_its_turn(&claims[2], first).await, Some(Turn::Go(_))));
        });
    }

    #[test]
    fn what_was_found_is_known_until_it_is_to_be_forgotten() {
        let (hops, _ids) = hops();
        let (good, bad) = (claim(&hops, "good"), claim(&hops, "bad"));
        good.reached(delivered(), 10);
        let until = bad.unreachable(Detail::ours(Enhanced::NO_ANSWER, "no route"), 20).until;
        drop(good);
        let (known, is_all) = hops.known(None, 30);
        let seen: Vec<_> = known
            .iter()
            .map(|it| (it.name.as_str(), it.last.at, it.active, it.alone_until))
            .collect();
        assert_eq!(seen, [("bad", 20, 1, Some(until)), ("good", 10, 0, None)]);
        assert!(is_all);
        assert_eq!(hops.known(Some("bad"), 30).0.len(), 1);
        assert_eq!(hops.forget(|_, last| last.at == 20), 1);
        assert!(matches!(hops.claim(&to("bad"), 30), Entrance::Claim(_)), "tried again");
        assert_eq!(hops.known(None, 30).0.len(), 1);
    }

    #[test]
    fn what_is_over_is_forgotten() {
        let (hops, _ids) = hops();
        drop(claim(&hops, "a"));
        assert!(hops.lock().hops.is_empty());
    }
}
