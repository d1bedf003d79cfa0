//! Opening: makes the tables, takes back what can be read again, removes files of no message.

use std::time::{Duration, Instant};

use envelope::QueueId;
use redb::{Database, ReadableDatabase as _, ReadableTable as _};

use super::Opened;
use super::medium::{Medium, OpenError, unpanicked};
use super::reserve::is_full;
use super::tables::{Tables, View};
use super::writer::{Writer, begin};
use crate::spool::Spool;

/// What a message takes in the database at most, but for many recipients: it tells without a
/// search that a large file holds little.
const LARGEST: u64 = 80 * 1024;

/// How long a predecessor may hold the file: it ends within a second of its supervisor.
const PREDECESSOR: Duration = Duration::from_secs(2);
/// Between two looks whether it is gone.
const PAUSE: Duration = Duration::from_millis(20);

impl<M: Medium> Writer<M> {
    /// Opens the queue. On a full disk with the help of the reserve.
    pub(super) fn start(&mut self) -> Result<Opened, OpenError> {
        let mut found = self.open_whole();
        if matches!(&found, Err(OpenError::Io { error, .. }) if is_full(error)) {
            self.reserve.spend();
            found = self.open_whole();
        } else {
            self.reserve.prepare();
        }
        let opened = found?;
        if opened.counts.messages.saturating_mul(4 * LARGEST) < self.medium.size() {
            self.compact();
        }
        if self.database.is_none() {
            self.open()?;
        }
        Ok(opened)
    }

    fn open_whole(&mut self) -> Result<Opened, OpenError> {
        let database = when_free(|| self.medium.open())?;
        let opened = unpanicked(&self.medium.path(), || {
            // A predecessor has let go of its files, too.
            self.spool.rename_former().map_err(redb::Error::Io)?;
            prepare(&database, &self.spool)?;
            survey(&database, &self.spool)
        })?;
        self.database = Some(database);
        self.size = self.medium.size();
        Ok(opened)
    }
}

/// Opens a database once its predecessor has let go of it.
pub(super) fn when_free<T>(mut open: impl FnMut() -> Result<T, OpenError>) -> Result<T, OpenError> {
    let until = Instant::now() + PREDECESSOR;
    loop {
        match open() {
            Err(OpenError::InUse(_)) if Instant::now() < until => std::thread::sleep(PAUSE),
            opened => return opened,
        }
    }
}

/// Makes the tables, and takes back what was set aside and can be read.
fn prepare(database: &Database, spool: &Spool) -> Result<(), redb::Error> {
    let transaction = begin(database)?;
    let restored = Tables::open(&transaction)?.restore(spool)?;
    transaction.commit()?;
    if restored > 0 {
        tracing::info!("{restored} messages that were set aside can be read again");
    }
    Ok(())
}

/// The largest id, the counts, and how many files were removed.
fn survey(database: &Database, spool: &Spool) -> Result<Opened, redb::Error> {
    let view = View::open(&database.begin_read()?)?;
    let largest = [view.messages.last()?, view.damaged.last()?];
    let largest = largest.into_iter().flatten().map(|(key, _)| key.value()).max();
    let last_id = largest.and_then(QueueId::new).or(QueueId::new(0));
    let last_id = last_id.ok_or_else(|| redb::Error::Corrupted("an id is too large".to_owned()))?;
    let mut swept = 0;
    for id in spool.list().map_err(redb::Error::Io)? {
        let named =
            view.messages.get(id.number())?.is_some() || view.damaged.get(id.number())?.is_some();
        if !named {
            spool.remove_now(id).map_err(redb::Error::Io)?;
            swept += 1;
        }
    }
    Ok(Opened { last_id, counts: view.counts()?, swept })
}
