//! What a caller of the store may rely on, without faults.

mod at_rest;

use std::fs;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use envelope::{Address, Aliasing, Body, Envelope, Origin, QueueId, Recipient, ReversePath};
use redb::{Database, ReadableDatabase as _, TableDefinition};

use super::{
    Change, Content, Counts, DatabaseFile, Due, Fate, Medium, Meta, NewMessage, OpenError, Opened,
    Options, Store, StoreError, Update,
};
use crate::record::{MessageRecord, RecipientRecord};

const OPTIONS: Options = Options { min_free_space: 0 };
const MESSAGES: TableDefinition<'static, u64, &[u8]> = TableDefinition::new("messages");

fn run<T>(test: impl AsyncFnOnce() -> T) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(test())
}

async fn open(directory: &Path) -> (Store, Opened) {
    Store::open(directory, OPTIONS).await.unwrap()
}

fn id(number: u64) -> QueueId {
    QueueId::new(number).unwrap()
}

fn address(text: &str) -> Address {
    text.parse().unwrap()
}

fn envelope(recipients: &[&str]) -> Envelope {
    Envelope {
        reverse_path: ReversePath(Some(address("from@example.org"))),
        recipients: recipients.iter().map(|to| Recipient::plain(address(to))).collect(),
        body: Body::EightBitMime,
        smtputf8: false,
        ret: None,
        envid: Some("envid".to_owned()),
        origin: Origin::Ourselves,
        aliasing: Aliasing::Followed,
    }
}

fn recipients(envelope: &Envelope) -> Vec<RecipientRecord> {
    let path = &envelope.reverse_path;
    envelope.recipients.iter().map(|to| RecipientRecord::fresh(to.clone(), path.clone())).collect()
}

fn message(number: u64, to: &[&str]) -> NewMessage {
    let envelope = envelope(to);
    let record = MessageRecord::arrived(&envelope, 1000 + number);
    NewMessage::inline(id(number), record, recipients(&envelope), Bytes::from("content"))
}

fn stays(number: u64, update: Update) -> Change {
    Change { id: id(number), fate: Fate::Stays(update), enqueue: Vec::new() }
}

fn retired(number: u64) -> Change {
    Change { id: id(number), fate: Fate::Retired, enqueue: Vec::new() }
}

fn due(at: u64, number: u64) -> Due {
    Due { at, id: id(number) }
}

async fn all_due(store: &Store) -> Vec<Due> {
    store.due(None, 100).await.unwrap()
}

#[test]
fn a_message_is_there_after_reopening() {
    run(async || {
        let place = tempfile::tempdir().unwrap();
        let (store, opened) = open(place.path()).await;
        assert_eq!((opened.last_id, opened.counts), (id(0), Counts::default()));
        store.submit(message(7, &["a@x", "b@y"])).await.unwrap();
        store.close().await;
        assert_eq!(store.submit(message(8, &["a@x"])).await, Err(StoreError::Closed));

        let (store, opened) = open(place.path()).await;
        assert_eq!((opened.last_id, opened.counts.messages), (id(7), 1));
        let message = store.look(vec![id(7), id(8)]).await.unwrap().remove(0);
        assert_eq!(message.record.size, 7);
        let numbered: Vec<_> = (0..).zip(recipients(&envelope(&["a@x", "b@y"]))).collect();
        assert_eq!(message.recipients, numbered);
        let content = store.content(id(7)).await.unwrap();
        assert!(matches!(content, Some(Content::Inline(bytes)) if bytes == "content"));
        assert!(store.content(id(8)).await.unwrap().is_none());
    });
}

#[test]
fn changes_move_the_message_through_the_indexes() {
    run(async || {
        let place = tempfile::tempdir().unwrap();
        let (store, _) = open(place.path()).await;
        store.submit(message(1, &["a@x", "b@y"])).await.unwrap();
        store.submit(message(2, &["a@x"])).await.unwrap();
        assert_eq!(all_due(&store).await, [due(1001, 1), due(1002, 2)]);
        assert_eq!(store.due(Some(due(1001, 1)), 1).await.unwrap(), [due(1002, 2)]);

        let reason = || Some("odd".to_owned());
        let hold = Update { held: Some(true), quarantine: reason(), ..Update::default() };
        let later = Update { due: Some(5000), ..Update::default() };
        store.change(vec![stays(1, hold), stays(2, later)]).await.unwrap();
        assert_eq!(all_due(&store).await, [due(5000, 2)]);
        let counts = store.counts().await.unwrap();
        assert_eq!((counts.messages, counts.held), (2, 1));

        // The outcome of an attempt that was under way does not release the message.
        let outcome = Update { due: Some(7000), ..Update::default() };
        store.change(vec![stays(1, outcome)]).await.unwrap();
        assert_eq!(all_due(&store).await, [due(5000, 2)]);
        let reason_of =
            async || store.look(vec![id(1)]).await.unwrap()[0].record.quarantine.clone();
        assert_eq!(reason_of().await, reason());
        let release = Update { held: Some(false), ..Update::default() };
        store.change(vec![stays(1, release)]).await.unwrap();
        assert_eq!(all_due(&store).await, [due(5000, 2), due(7000, 1)]);
        assert_eq!(reason_of().await, None);
    });
}

#[test]
fn recipients_are_replaced_added_and_done_with() {
    run(async || {
        let place = tempfile::tempdir().unwrap();
        let (store, _) = open(place.path()).await;
        store.submit(message(1, &["a@x", "b@y"])).await.unwrap();
        let mut tried = recipients(&envelope(&["b@y"])).remove(0);
        tried.attempts = 3;
        let added = recipients(&envelope(&["c@z"])).remove(0);
        let update = Update {
            warned: Some(true),
            recipients: vec![(0, None), (1, Some(tried.clone())), (2, Some(added.clone()))],
            ..Update::default()
        };
        store.change(vec![stays(1, update)]).await.unwrap();
        let queued = store.look(vec![id(1)]).await.unwrap().remove(0);
        assert!(queued.record.warned);
        assert_eq!(queued.recipients, [(1, tried), (2, added)]);

        let update = Update { recipients: vec![(1, None), (2, None)], ..Update::default() };
        store.change(vec![stays(1, update)]).await.unwrap();
        assert_eq!(store.counts().await.unwrap(), Counts::default());
        assert_eq!(all_due(&store).await, []);
    });
}

#[test]
fn a_bounce_is_queued_by_the_change_that_retires() {
    run(async || {
        let place = tempfile::tempdir().unwrap();
        let (store, _) = open(place.path()).await;
        store.submit(message(1, &["a@x"])).await.unwrap();
        let enqueue = vec![message(2, &["from@example.org"])];
        store.change(vec![Change { enqueue, ..retired(1) }]).await.unwrap();
        assert_eq!(all_due(&store).await, [due(1002, 2)]);

        // The message is gone: neither an outcome nor its bounce brings anything back.
        let enqueue = vec![message(3, &["from@example.org"])];
        let update = Update { due: Some(9), ..Update::default() };
        store.change(vec![Change { enqueue, ..stays(1, update) }]).await.unwrap();
        assert_eq!(all_due(&store).await, [due(1002, 2)]);
        assert_eq!(store.counts().await.unwrap().messages, 1);
    });
}

#[test]
fn listings_come_in_pages() {
    run(async || {
        let place = tempfile::tempdir().unwrap();
        let (store, _) = open(place.path()).await;
        for number in 1..=5 {
            store.submit(message(number, &["a@x"])).await.unwrap();
        }
        let mut seen = Vec::new();
        let mut after = None;
        loop {
            let page = store.page(after, 2).await.unwrap();
            assert!(page.messages.len() <= 2);
            seen.extend(page.messages.iter().map(|queued| queued.id.number()));
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(seen, [1, 2, 3, 4, 5]);
    });
}

#[test]
fn numbers_outlive_a_restart() {
    run(async || {
        let place = tempfile::tempdir().unwrap();
        let (store, _) = open(place.path()).await;
        assert_eq!(store.meta(Meta::LastSeen).await, Ok(None));
        store.set_meta(vec![(Meta::LastSeen, 17), (Meta::Counter(0), 5)]).await.unwrap();
        store.close().await;
        let (store, _) = open(place.path()).await;
        assert_eq!(store.meta(Meta::LastSeen).await, Ok(Some(17)));
        assert_eq!(store.meta(Meta::ClockCorrection).await, Ok(None));
    });
}

#[test]
fn a_damaged_record_is_set_aside_and_the_others_go_on() {
    run(async || {
        let place = tempfile::tempdir().unwrap();
        let (store, _) = open(place.path()).await;
        for number in 1..=3 {
            store.submit(message(number, &["a@x"])).await.unwrap();
        }
        store.close().await;
        let sound = overwrite(place.path(), 2, b"\x63 of a release to come");

        let (store, _) = open(place.path()).await;
        let messages = store.look(vec![id(1), id(2), id(3)]).await.unwrap();
        assert_eq!(messages.iter().map(|it| it.id.number()).collect::<Vec<_>>(), [1, 3]);
        assert_eq!(all_due(&store).await, [due(1001, 1), due(1003, 3)]);
        let counts = store.counts().await.unwrap();
        assert_eq!((counts.messages, counts.damaged), (2, 1));
        assert_eq!(store.damaged(vec![id(1), id(2), id(4)]).await, Ok(vec![id(2)]));
        store.close().await;

        // The release that can read it comes back.
        let (store, opened) = open(place.path()).await;
        assert_eq!(opened.counts.damaged, 1, "still unreadable");
        store.close().await;
        restore_row(place.path(), 2, &sound);
        let (store, opened) = open(place.path()).await;
        assert_eq!((opened.counts.messages, opened.counts.damaged), (3, 0));
        assert_eq!(store.look(vec![id(2)]).await.unwrap().len(), 1);
        assert_eq!(all_due(&store).await, [due(1001, 1), due(1002, 2), due(1003, 3)]);
    });
}

#[test]
fn a_damaged_message_can_be_deleted() {
    run(async || {
        let place = tempfile::tempdir().unwrap();
        let (store, _) = open(place.path()).await;
        store.submit(message(1, &["a@x"])).await.unwrap();
        store.close().await;
        overwrite(place.path(), 1, b"");
        let (store, _) = open(place.path()).await;
        assert_eq!(store.page(None, 10).await.unwrap().messages, []);
        store.change(vec![retired(1)]).await.unwrap();
        assert_eq!(store.counts().await.unwrap(), Counts::default());
    });
}

#[test]
fn what_is_no_queue_is_refused_and_left_alone() {
    run(async || {
        for garbage in [b"".as_slice(), b"x", b"redb", &[0; 65536], &[0xff; 300_000]] {
            let place = tempfile::tempdir().unwrap();
            let path = place.path().join("queue.redb");
            fs::write(&path, garbage).unwrap();
            let error = Store::open(place.path(), OPTIONS).await.unwrap_err();
            assert!(matches!(error, OpenError::NotAQueue { .. }), "{error}");
            assert!(error.to_string().contains("queue.redb"), "{error}");
            assert_eq!(fs::read(&path).unwrap(), garbage);
        }
    });
}

#[test]
fn a_damaged_queue_file_never_panics() {
    run(async || {
        let place = tempfile::tempdir().unwrap();
        let (store, _) = open(place.path()).await;
        for number in 1..=20 {
            store.submit(message(number, &["a@x"])).await.unwrap();
        }
        store.close().await;
        let path = place.path().join("queue.redb");
        let sound = fs::read(&path).unwrap();
        for seed in 0..60 {
            let mut random = fastrand::Rng::with_seed(seed);
            let mut bytes = sound.clone();
            let reach = if seed % 2 == 0 { 400 } else { bytes.len() };
            for _ in 0..random.usize(1..20) {
                bytes[random.usize(..reach)] = random.u8(..);
            }
            if seed % 5 == 0 {
                bytes.truncate(random.usize(..bytes.len()));
            }
            fs::write(&path, &bytes).unwrap();
            if let Ok((store, _)) = Store::open(place.path(), OPTIONS).await {
                // Whatever it says, it says something, and the thread lives.
                let _said = store.page(None, 100).await;
                let _said = store.change(vec![retired(3)]).await;
                assert_ne!(store.counts().await, Err(StoreError::Closed), "seed {seed}");
                store.close().await;
            }
        }
    });
}

#[test]
fn a_queue_in_use_is_not_opened_twice() {
    run(async || {
        let place = tempfile::tempdir().unwrap();
        let _first = open(place.path()).await;
        let error = Store::open(place.path(), OPTIONS).await.unwrap_err();
        assert!(matches!(error, OpenError::InUse(_)), "{error}");
    });
}

/// A predecessor of a release with shorter ids finds its files as long as it has the queue.
#[test]
fn content_files_get_their_new_names_from_whoever_has_the_queue() {
    run(async || {
        let place = tempfile::tempdir().unwrap();
        let [new, former] =
            ["0000000000007", "00000000007"].map(|name| place.path().join("content").join(name));
        let (store, _) = open(place.path()).await;
        let mut writer = store.spool(id(7)).await.unwrap();
        writer.write(Bytes::from_static(b"content")).await.unwrap();
        let envelope = envelope(&["a@x"]);
        let record = MessageRecord::arrived(&envelope, 1000);
        let file = writer.finish().await.unwrap();
        store.submit(NewMessage::spooled(record, recipients(&envelope), file)).await.unwrap();
        fs::rename(&new, &former).unwrap();
        fs::write(former.with_file_name("00000000008"), "of no message").unwrap();
        assert!(Store::open(place.path(), OPTIONS).await.is_err());
        assert!(former.exists());
        store.close().await;
        let (store, opened) = open(place.path()).await;
        assert_eq!(opened.swept, 1);
        let Some(Content::File(file)) = store.content(id(7)).await.unwrap() else {
            panic!("its file is gone")
        };
        assert_eq!(std::io::read_to_string(file).unwrap(), "content");
        assert!(new.exists() && !former.exists());
    });
}

#[test]
fn a_queue_that_is_given_up_is_waited_for() {
    run(async || {
        let place = tempfile::tempdir().unwrap();
        let (first, _) = open(place.path()).await;
        let second = tokio::spawn({
            let place = place.path().to_owned();
            async move { Store::open(&place, OPTIONS).await.map(|(_, opened)| opened) }
        });
        tokio::task::yield_now().await;
        first.submit(message(1, &["a@x"])).await.unwrap();
        first.close().await;
        assert_eq!(second.await.unwrap().unwrap().counts.messages, 1);
    });
}

#[test]
fn a_queue_that_vanishes_is_not_made_anew() {
    let place = tempfile::tempdir().unwrap();
    let mut medium = DatabaseFile::new(place.path());
    drop(medium.open().unwrap());
    fs::remove_file(medium.path()).unwrap();
    assert!(matches!(medium.open(), Err(OpenError::Io { .. })));
    assert!(!medium.path().exists());
}

/// A medium that panics when it is measured while there is a file `panic`.
struct Fragile(DatabaseFile);

impl Medium for Fragile {
    fn open(&mut self) -> Result<Database, OpenError> {
        self.0.open()
    }

    fn size(&self) -> u64 {
        assert!(!self.path().with_file_name("panic").exists(), "as the test wants");
        self.0.size()
    }

    fn path(&self) -> PathBuf {
        self.0.path()
    }
}

#[test]
fn a_thread_that_panics_is_noticed() {
    run(async || {
        let place = tempfile::tempdir().unwrap();
        let medium = Fragile(DatabaseFile::new(place.path()));
        let (store, _) = Store::open_on(medium, place.path(), OPTIONS).await.unwrap();
        store.submit(message(1, &["a@x"])).await.unwrap();
        fs::write(place.path().join("panic"), b"").unwrap();
        // The file is measured.
        store.change(vec![retired(1)]).await.unwrap_err();
        store.ended().await;
        assert_eq!(store.counts().await, Err(StoreError::Closed));
    });
}

#[test]
fn below_the_limit_nothing_new_is_accepted_but_outcomes_are() {
    run(async || {
        let place = tempfile::tempdir().unwrap();
        let (store, _) = open(place.path()).await;
        store.submit(message(1, &["a@x"])).await.unwrap();
        store.close().await;
        let full = Options { min_free_space: u64::MAX };
        let (store, _) = Store::open(place.path(), full).await.unwrap();
        assert_eq!(store.submit(message(2, &["a@x"])).await, Err(StoreError::Full));
        assert_eq!(store.spool(id(3)).await.unwrap_err(), StoreError::Full);
        store.change(vec![retired(1)]).await.unwrap();
        assert_eq!(store.counts().await.unwrap(), Counts::default());
    });
}

#[test]
fn a_burst_leaves_no_large_file() {
    run(async || {
        let place = tempfile::tempdir().unwrap();
        let (store, _) = open(place.path()).await;
        let content = Bytes::from(vec![b'x'; ipc::submission::INLINE]);
        let envelope = envelope(&["a@x"]);
        for number in 1..=400 {
            let record = MessageRecord::arrived(&envelope, number);
            let people = recipients(&envelope);
            store
                .submit(NewMessage::inline(id(number), record, people, content.clone()))
                .await
                .unwrap();
        }
        let size = || fs::metadata(place.path().join("queue.redb")).unwrap().len();
        assert!(size() > 25_000_000);
        store.change((1..=400).map(retired).collect()).await.unwrap();
        assert_eq!(store.counts().await.unwrap(), Counts::default());
        assert!(size() < 2_000_000, "{}", size());
    });
}

/// Replaces the row of a message, and returns it.
fn overwrite(place: &Path, number: u64, row: &[u8]) -> Vec<u8> {
    let database = Database::open(place.join("queue.redb")).unwrap();
    let transaction = database.begin_write().unwrap();
    let mut table = transaction.open_table(MESSAGES).unwrap();
    let old = table.insert(number, row).unwrap().unwrap().value().to_vec();
    drop(table);
    transaction.commit().unwrap();
    old
}

/// Puts a row in the place of one that was set aside.
fn restore_row(place: &Path, number: u64, row: &[u8]) {
    let damaged: TableDefinition<'static, u64, &[u8]> = TableDefinition::new("damaged");
    let database = Database::open(place.join("queue.redb")).unwrap();
    let transaction = database.begin_write().unwrap();
    transaction.open_table(damaged).unwrap().insert(number, row).unwrap().unwrap();
    transaction.commit().unwrap();
    let view = database.begin_read().unwrap().open_table(MESSAGES).unwrap();
    assert!(view.get(number).unwrap().is_none());
}

#[test]
fn outcomes_become_durable_alone_in_company_and_at_the_end() {
    run(async || {
        let place = tempfile::tempdir().unwrap();
        let (store, _) = open(place.path()).await;
        for number in 1..=3 {
            store.submit(message(number, &["a@x"])).await.unwrap();
        }
        store.outcome(retired(1)).await.unwrap();
        assert_eq!(store.counts().await.unwrap().messages, 2);
        let (outcome, submission) =
            tokio::join!(store.outcome(retired(2)), store.submit(message(4, &["a@x"])));
        assert_eq!((outcome, submission), (Ok(()), Ok(())));
        let (outcome, ()) = tokio::join!(store.outcome(retired(3)), store.close());
        assert_eq!(outcome, Ok(()));
        let (_store, opened) = open(place.path()).await;
        assert_eq!((opened.last_id, opened.counts.messages), (id(4), 1));
    });
}

#[test]
fn a_queue_file_that_somebody_cuts_off_is_noticed() {
    run(async || {
        for part in [0, 1, 2] {
            let place = tempfile::tempdir().unwrap();
            let (store, _) = open(place.path()).await;
            store.submit(message(1, &["a@x"])).await.unwrap();
            let path = place.path().join("queue.redb");
            let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
            file.set_len(file.metadata().unwrap().len() * part / 3).unwrap();
            let refused = store.submit(message(2, &["a@x"])).await;
            assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
            // What is left may be a queue or not; an answer comes in any case.
            let _said = store.page(None, 100).await;
            let _said = store.outcome(retired(1)).await;
            let _said = store.submit(message(3, &["a@x"])).await;
            assert_ne!(store.counts().await, Err(StoreError::Closed));
            store.close().await;
        }
    });
}
