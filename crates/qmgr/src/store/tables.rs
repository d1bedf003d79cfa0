//! The tables of the queue.
//!
//! **Invariant:** a row in `due` exists exactly for the messages that are not held, a row in `held`
//! exactly for those that are; the counts are the lengths of the tables.

use redb::{
    ReadOnlyTable, ReadTransaction, ReadableTableMetadata, StorageError, Table, TableDefinition,
    TableError, WriteTransaction,
};

use super::{Counts, Meta};

/// Queue id.
type Id = u64;
/// Queue id and number of the recipient.
type RecipientKey = (u64, u32);
/// Due time and queue id.
type DueKey = (u64, u64);

const MESSAGES: TableDefinition<'static, Id, &[u8]> = TableDefinition::new("messages");
const RECIPIENTS: TableDefinition<'static, RecipientKey, &[u8]> =
    TableDefinition::new("recipients");
/// Content of up to 64 KiB.
const CONTENT: TableDefinition<'static, Id, &[u8]> = TableDefinition::new("content");
const DUE: TableDefinition<'static, DueKey, ()> = TableDefinition::new("due");
const HELD: TableDefinition<'static, Id, ()> = TableDefinition::new("held");
/// Rows of `messages` and `recipients` that were set aside, unchanged.
const DAMAGED: TableDefinition<'static, Id, &[u8]> = TableDefinition::new("damaged");
const DAMAGED_RECIPIENTS: TableDefinition<'static, RecipientKey, &[u8]> =
    TableDefinition::new("damaged_recipients");
const META: TableDefinition<'static, u8, u64> = TableDefinition::new("meta");

/// All tables within a transaction that writes.
pub(super) struct Tables<'t> {
    pub(super) messages: Table<'t, Id, &'static [u8]>,
    pub(super) recipients: Table<'t, RecipientKey, &'static [u8]>,
    pub(super) content: Table<'t, Id, &'static [u8]>,
    pub(super) due: Table<'t, DueKey, ()>,
    pub(super) held: Table<'t, Id, ()>,
    pub(super) damaged: Table<'t, Id, &'static [u8]>,
    pub(super) damaged_recipients: Table<'t, RecipientKey, &'static [u8]>,
    pub(super) meta: Table<'t, u8, u64>,
}

impl<'t> Tables<'t> {
    /// Makes the tables that are not there yet.
    pub(super) fn open(transaction: &'t WriteTransaction) -> Result<Self, TableError> {
        Ok(Self {
            messages: transaction.open_table(MESSAGES)?,
            recipients: transaction.open_table(RECIPIENTS)?,
            content: transaction.open_table(CONTENT)?,
            due: transaction.open_table(DUE)?,
            held: transaction.open_table(HELD)?,
            damaged: transaction.open_table(DAMAGED)?,
            damaged_recipients: transaction.open_table(DAMAGED_RECIPIENTS)?,
            meta: transaction.open_table(META)?,
        })
    }
}

/// All tables as of one moment.
pub(super) struct View {
    pub(super) messages: ReadOnlyTable<Id, &'static [u8]>,
    pub(super) recipients: ReadOnlyTable<RecipientKey, &'static [u8]>,
    pub(super) content: ReadOnlyTable<Id, &'static [u8]>,
    pub(super) due: ReadOnlyTable<DueKey, ()>,
    pub(super) held: ReadOnlyTable<Id, ()>,
    pub(super) damaged: ReadOnlyTable<Id, &'static [u8]>,
    pub(super) meta: ReadOnlyTable<u8, u64>,
}

impl View {
    pub(super) fn open(transaction: &ReadTransaction) -> Result<Self, TableError> {
        Ok(Self {
            messages: transaction.open_table(MESSAGES)?,
            recipients: transaction.open_table(RECIPIENTS)?,
            content: transaction.open_table(CONTENT)?,
            due: transaction.open_table(DUE)?,
            held: transaction.open_table(HELD)?,
            damaged: transaction.open_table(DAMAGED)?,
            meta: transaction.open_table(META)?,
        })
    }

    pub(super) fn counts(&self) -> Result<Counts, StorageError> {
        Ok(Counts {
            messages: self.messages.len()?,
            held: self.held.len()?,
            damaged: self.damaged.len()?,
        })
    }
}

impl Meta {
    /// Key in the table `meta`; never given to another.
    pub(super) const fn key(self) -> u8 {
        match self {
            Self::LastSeen => 0,
            Self::ClockCorrection => 1,
            Self::CountedSince => 2,
            Self::Counter(counter) => u8::MAX - Self::COUNTERS + counter,
        }
    }
}
