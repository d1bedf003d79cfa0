//! One short history, walked: lost power at every one of its syncs, a full or failing disk
//! at every one of its writes.

use std::io::ErrorKind;
use std::path::Path;

use envelope::QueueId;
use qmgr::store::{Change, Fate, Options, Store, StoreError, Update};

use crate::disk::Disk;
use crate::world::{Message, Step, World, assert_no_ghosts, read, recipient};

/// Ways in which each sync may tear.
const TEARS: u64 = 8;
const OPTIONS: Options = Options { min_free_space: 0 };

fn id(number: u64) -> QueueId {
    QueueId::new(number).unwrap()
}

/// A request of the history: submit where `change` is `None`.
struct Request {
    change: Option<Change>,
    step: Step,
}

/// Two messages arrive, one is deferred, one is retired with a bounce, then all goes.
fn requests() -> Vec<Request> {
    let first = Message::new(id(1), 10, 5000, 2);
    let second = Message::new(id(2), 20, 60_000, 1);
    let bounce = Message::new(id(3), 30, 3000, 1);
    let mut deferred = first.clone();
    deferred.due = 500;
    deferred.recipients.insert(1, 1);
    let update =
        Update { due: Some(500), recipients: vec![(1, Some(recipient(1)))], ..Update::default() };
    let change = |number, fate| Change { id: id(number), fate, enqueue: Vec::new() };
    let bounced = Change { enqueue: vec![bounce.to_submit(id(3))], ..change(2, Fate::Retired) };
    let request = |change, step: &[(u64, Option<&Message>)]| Request {
        change,
        step: Step(step.iter().map(|(number, it)| (id(*number), it.cloned())).collect()),
    };
    vec![
        request(None, &[(1, Some(&first))]),
        request(None, &[(2, Some(&second))]),
        request(Some(change(1, Fate::Stays(update))), &[(1, Some(&deferred))]),
        request(Some(bounced), &[(2, None), (3, Some(&bounce))]),
        request(Some(change(1, Fate::Retired)), &[(1, None)]),
        request(Some(change(3, Fate::Retired)), &[(3, None)]),
    ]
}

async fn ask(store: &Store, change: Option<Change>, step: &Step) -> Result<(), StoreError> {
    match (change, step.0.first()) {
        (Some(change), _) => store.outcome(change).await,
        (None, Some((id, Some(message)))) => store.submit(message.to_submit(*id)).await,
        (None, _) => panic!("a submission has a message"),
    }
}

async fn open(disk: &Disk, directory: &Path) -> Store {
    Store::open_on(disk.clone(), directory, OPTIONS).await.unwrap().0
}

fn walk(test: impl AsyncFn(&Path, u64, u64) -> bool, ways: u64) -> u64 {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let place = tempfile::tempdir().unwrap();
    for point in 1.. {
        let mut reached = false;
        for way in 0..ways {
            reached |= runtime.block_on(test(place.path(), point, way));
        }
        if !reached {
            return point - 1;
        }
    }
    0
}

#[test]
fn lost_power_at_every_sync() {
    let points = walk(power_fails, TEARS);
    println!("{points} syncs, {TEARS} ways each");
    assert!(points >= 12, "two for each transaction: {points}");
}

async fn power_fails(directory: &Path, at: u64, way: u64) -> bool {
    let mut disk = Disk::new(at * 1000 + way);
    let store = open(&disk, directory).await;
    disk.fail_power_at(at);
    let mut world = World::new();
    let mut unsure = None;
    for Request { change, step } in requests() {
        tokio::select! {
            answer = ask(&store, change, &step) => {
                if answer.is_ok() {
                    step.apply(&mut world);
                    continue;
                }
            }
            () = disk.failed() => {}
        }
        unsure = Some(step);
        break;
    }
    let died = disk.is_dead();
    store.close().await;
    disk.cut_power();
    disk.power_on();
    let store = open(&disk, directory).await;
    let held = read(&store).await;
    if let Some(step) = unsure.filter(|step| step.happened(&held)) {
        step.apply(&mut world);
    }
    assert!(held == world, "sync {at}, way {way}: {held:?} is not {world:?}");
    store.close().await;
    assert_no_ghosts(&mut disk, &world);
    died
}

#[test]
fn a_full_or_failing_disk_at_every_write_and_sync() {
    let full = |disk: &Disk, at| disk.fail_writes_from(at, ErrorKind::StorageFull);
    let broken = |disk: &Disk, at| disk.fail_writes_from(at, ErrorKind::Other);
    let unsure = |disk: &Disk, at| disk.fail_sync_at(at);
    for (fault, fewest) in [(&full as &dyn Fn(&Disk, u64), 24), (&broken, 24), (&unsure, 12)] {
        let points = walk(async |directory, at, _| request_fails(directory, at, fault).await, 1);
        println!("{points} points");
        assert!(points >= fewest, "some for each transaction: {points}");
    }
}

/// Returns when the store is open again, without anybody's help.
async fn recovered(store: &Store) {
    while store.counts().await.is_err() {}
}

/// Submissions are refused cleanly, outcomes wait; when the disk is well again all goes on by itself.
async fn request_fails(directory: &Path, at: u64, fault: &dyn Fn(&Disk, u64)) -> bool {
    let mut disk = Disk::new(at);
    let store = open(&disk, directory).await;
    fault(&disk, at);
    let mut world = World::new();
    let mut failed = false;
    for Request { change, step } in requests() {
        let submission = change.is_none();
        let asking = ask(&store, change, &step);
        tokio::pin!(asking);
        let answer = tokio::select! {
            answer = &mut asking => answer,
            () = disk.failed() => {
                failed |= disk.mend();
                asking.await
            }
        };
        failed |= disk.mend();
        if answer.is_err() && submission {
            assert_ne!(answer, Err(StoreError::Closed), "point {at}");
            recovered(&store).await;
            assert_eq!(read(&store).await, world, "point {at}: refused, and nothing is there");
            assert_eq!(ask(&store, None, &step).await, Ok(()), "point {at}: asked again");
        } else {
            assert_eq!(answer, Ok(()), "point {at}");
        }
        step.apply(&mut world);
        assert_eq!(read(&store).await, world, "point {at}");
    }
    disk.trust();
    store.close().await;
    assert_no_ghosts(&mut disk, &world);
    failed
}
