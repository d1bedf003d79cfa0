//! The states of a message with a content file, exactly as `docs/queue.md` lists them: what
//! `kill -9` leaves at each moment is copied, and opened as the next start would.

use std::fs;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use envelope::QueueId;
use qmgr::store::{Change, Counts, Fate, NewMessage, Opened, Options, Store};
use tempfile::TempDir;

use crate::world::{Message, World, read};

const OPTIONS: Options = Options { min_free_space: 0 };

fn run(test: impl AsyncFnOnce()) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(test());
}

fn id() -> QueueId {
    QueueId::new(77).unwrap()
}

fn message() -> Message {
    Message::new(id(), 5, 200_000, 1)
}

fn file(queue: &Path) -> PathBuf {
    queue.join("content").join(id().to_string())
}

/// What a process that is killed now leaves.
fn killed(queue: &Path) -> TempDir {
    let copy = tempfile::tempdir().unwrap();
    fs::create_dir(copy.path().join("content")).unwrap();
    fs::copy(queue.join("queue.redb"), copy.path().join("queue.redb")).unwrap();
    if file(queue).exists() {
        fs::copy(file(queue), file(copy.path())).unwrap();
    }
    copy
}

async fn open(queue: &Path) -> (Store, Opened) {
    Store::open(queue, OPTIONS).await.unwrap()
}

/// The next start finds an empty queue, having removed so many files.
async fn assert_empty(queue: &TempDir, swept: u64) {
    let (store, opened) = open(queue.path()).await;
    assert_eq!((opened.counts, opened.swept), (Counts::default(), swept));
    assert!(!file(queue.path()).exists());
    store.close().await;
}

/// The next start finds the message, whole.
async fn assert_queued(queue: &TempDir) {
    let (store, opened) = open(queue.path()).await;
    assert_eq!((opened.counts.messages, opened.swept), (1, 0));
    assert_eq!(read(&store).await, World::from([(id(), message())]));
    store.close().await;
}

async fn accept(store: &Store, queue: &Path) -> Vec<TempDir> {
    let message = message();
    let mut being_accepted = Vec::new();
    let mut writer = store.spool(id()).await.unwrap();
    being_accepted.push(killed(queue));
    for piece in message.content.chunks(65_536) {
        writer.write(Bytes::copy_from_slice(piece)).await.unwrap();
        being_accepted.push(killed(queue));
    }
    let file = writer.finish().await.unwrap();
    being_accepted.push(killed(queue));
    let new = NewMessage::spooled(message.record(), message.recipients(), file);
    store.submit(new).await.unwrap();
    being_accepted
}

#[test]
fn a_file_without_a_record_is_removed_and_one_with_it_is_queued() {
    run(async || {
        let queue = tempfile::tempdir().unwrap();
        let (store, _) = open(queue.path()).await;
        assert_empty(&killed(queue.path()), 0).await;
        for left in accept(&store, queue.path()).await {
            assert_empty(&left, 1).await;
        }
        let queued = killed(queue.path());
        assert_queued(&queued).await;

        let retired = Change { id: id(), fate: Fate::Retired, enqueue: Vec::new() };
        store.change(vec![retired]).await.unwrap();
        store.close().await;
        let just_retired = killed(queue.path());
        fs::copy(file(queued.path()), file(just_retired.path())).unwrap();
        assert_empty(&just_retired, 1).await;
    });
}

#[test]
fn an_aborted_message_leaves_nothing() {
    run(async || {
        let queue = tempfile::tempdir().unwrap();
        let (store, _) = open(queue.path()).await;
        let mut writer = store.spool(id()).await.unwrap();
        writer.write(Bytes::from_static(b"half a mess")).await.unwrap();
        drop(writer);
        store.close().await;
        drop(store);
        let (_store, opened) = open(queue.path()).await;
        assert_eq!(opened.counts, Counts::default());
        assert!(!file(queue.path()).exists());
    });
}

#[test]
fn a_record_whose_file_is_missing_is_set_aside_until_it_is_back() {
    run(async || {
        let queue = tempfile::tempdir().unwrap();
        let (store, _) = open(queue.path()).await;
        accept(&store, queue.path()).await;
        let other = QueueId::new(78).unwrap();
        let sound = Message::new(other, 6, 100, 1);
        store.submit(sound.to_submit(other)).await.unwrap();
        let content = fs::read(file(queue.path())).unwrap();
        fs::remove_file(file(queue.path())).unwrap();

        assert!(store.content(id()).await.unwrap().is_none());
        assert!(store.content(other).await.unwrap().is_some());
        let counts = store.counts().await.unwrap();
        assert_eq!((counts.messages, counts.damaged), (1, 1));
        store.close().await;

        fs::write(file(queue.path()), content).unwrap();
        let (store, opened) = open(queue.path()).await;
        assert_eq!((opened.counts.messages, opened.counts.damaged, opened.swept), (2, 0, 0));
        assert_eq!(read(&store).await, World::from([(id(), message()), (other, sound)]));
    });
}

#[test]
fn other_names_are_left_alone() {
    run(async || {
        let queue = tempfile::tempdir().unwrap();
        let (store, _) = open(queue.path()).await;
        store.close().await;
        let strange = queue.path().join("content/notes of the administrator");
        fs::write(&strange, "x").unwrap();
        let (_store, opened) = open(queue.path()).await;
        assert_eq!(opened.swept, 0);
        assert!(strange.exists());
    });
}
