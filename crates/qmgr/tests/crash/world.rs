//! What the queue must hold, and the comparison with what it holds.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;

use bytes::Bytes;
use envelope::{Address, Aliasing, Body, Envelope, Origin, QueueId, Recipient, ReversePath};
use qmgr::record::{MessageRecord, Queued, RecipientRecord};
use qmgr::store::{Content, Due, NewMessage, Store};
use redb::{ReadableDatabase as _, ReadableTable as _, TableDefinition};

use crate::disk::Disk;
use qmgr::store::Medium as _;

/// A message as the test knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) content: Bytes,
    pub(crate) due: u64,
    pub(crate) held: bool,
    /// Number and attempts.
    pub(crate) recipients: BTreeMap<u32, u32>,
}

pub(crate) type World = BTreeMap<QueueId, Message>;

/// One request: what it makes of some messages, all of it or nothing.
#[derive(Debug, Clone)]
pub(crate) struct Step(pub(crate) Vec<(QueueId, Option<Message>)>);

impl Step {
    pub(crate) fn apply(&self, world: &mut World) {
        for (id, message) in &self.0 {
            match message {
                Some(message) => world.insert(*id, message.clone()),
                None => world.remove(id),
            };
        }
    }

    /// Did it happen? The first message tells, for a step is whole.
    pub(crate) fn happened(&self, held: &World) -> bool {
        self.0.first().is_some_and(|(id, message)| held.get(id) == message.as_ref())
    }
}

pub(crate) fn recipient(attempts: u32) -> RecipientRecord {
    let address: Address = "someone@example.org".parse().unwrap();
    let mut record = RecipientRecord::fresh(Recipient::plain(address), ReversePath::NULL);
    record.attempts = attempts;
    record
}

impl Message {
    /// Content of `length` bytes that belongs to `id` alone.
    pub(crate) fn new(id: QueueId, due: u64, length: usize, recipients: u32) -> Self {
        let mut content = vec![0; length];
        fastrand::Rng::with_seed(id.number()).fill(&mut content);
        let recipients = (0..recipients).map(|number| (number, 0)).collect();
        Self { content: content.into(), due, held: false, recipients }
    }

    pub(crate) fn record(&self) -> MessageRecord {
        let envelope = Envelope {
            reverse_path: ReversePath::NULL,
            recipients: Vec::new(),
            body: Body::EightBitMime,
            smtputf8: false,
            ret: None,
            envid: None,
            origin: Origin::Ourselves,
            aliasing: Aliasing::Followed,
        };
        let record = MessageRecord::arrived(&envelope, self.due);
        MessageRecord { held: self.held, ..record }
    }

    pub(crate) fn recipients(&self) -> Vec<RecipientRecord> {
        self.recipients.values().map(|&attempts| recipient(attempts)).collect()
    }

    pub(crate) fn to_submit(&self, id: QueueId) -> NewMessage {
        NewMessage::inline(id, self.record(), self.recipients(), self.content.clone())
    }
}

/// Reads the whole queue, and checks that its indexes agree with its records.
pub(crate) async fn read(store: &Store) -> World {
    let mut world = World::new();
    let mut after = None;
    loop {
        let page = store.page(after, 7).await.unwrap();
        for queued in page.messages {
            let content = store.content(queued.id).await.unwrap().unwrap();
            world.insert(queued.id, shown(queued, content));
        }
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    let due: BTreeSet<Due> = store.due(None, 10_000).await.unwrap().into_iter().collect();
    let waiting = world.iter().filter(|(_, message)| !message.held);
    assert_eq!(due, waiting.map(|(&id, message)| Due { at: message.due, id }).collect());
    let counts = store.counts().await.unwrap();
    let held = world.values().filter(|message| message.held).count();
    assert_eq!((counts.messages, counts.held), (world.len() as u64, held as u64));
    assert_eq!(counts.damaged, 0);
    world
}

fn shown(queued: Queued, content: Content) -> Message {
    let Queued { record, recipients, .. } = queued;
    let content = match content {
        Content::Inline(bytes) => bytes,
        Content::File(mut file) => {
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes).unwrap();
            bytes.into()
        }
    };
    assert_eq!(record.size, content.len() as u64);
    Message {
        content,
        due: record.due,
        held: record.held,
        recipients: recipients.iter().map(|(number, it)| (*number, it.attempts)).collect(),
    }
}

/// No row is left of a message that is gone: for a disk whose store is closed.
pub(crate) fn assert_no_ghosts(disk: &mut Disk, world: &World) {
    let ids: BTreeSet<u64> = world.keys().map(|id| id.number()).collect();
    let database = disk.open().unwrap();
    let view = database.begin_read().unwrap();
    let content: TableDefinition<'static, u64, &[u8]> = TableDefinition::new("content");
    for row in view.open_table(content).unwrap().iter().unwrap() {
        assert!(ids.contains(&row.unwrap().0.value()));
    }
    let recipients: TableDefinition<'static, (u64, u32), &[u8]> =
        TableDefinition::new("recipients");
    for row in view.open_table(recipients).unwrap().iter().unwrap() {
        assert!(ids.contains(&row.unwrap().0.value().0));
    }
}
