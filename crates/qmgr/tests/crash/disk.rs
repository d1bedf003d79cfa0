//! A disk with a volatile cache. At a chosen sync the power fails: of what was not synced yet, any
//! sector of any write may or may not be there. From a chosen write on the
//! space runs out, or the disk fails.

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};

use fastrand::Rng;
use qmgr::store::{Medium, OpenError};
use redb::{Builder, Database, StorageBackend};
use tokio::sync::Notify;

/// What a disk writes whole.
const SECTOR: usize = 512;

/// Clones are the same disk.
#[derive(Debug, Clone)]
pub(crate) struct Disk {
    state: Arc<Mutex<State>>,
    /// The power, or a write, has failed.
    failed: Arc<Notify>,
}

#[derive(Debug)]
struct State {
    /// What survives.
    platter: Vec<u8>,
    /// What the process sees.
    cache: Vec<u8>,
    unsynced: Vec<Operation>,
    random: Rng,
    syncs: u64,
    writes: u64,
    power_fails_at: Option<u64>,
    refuses_from: Option<(u64, io::ErrorKind)>,
    sync_fails_at: Option<u64>,
    sync_failed: bool,
    dead: bool,
    /// The database was made. Before that, as in a file, it does not have its name yet.
    born: bool,
}

#[derive(Debug)]
enum Operation {
    Write(usize, Vec<u8>),
    Length(usize),
}

impl Disk {
    pub(crate) fn new(seed: u64) -> Self {
        let state = State {
            platter: Vec::new(),
            cache: Vec::new(),
            unsynced: Vec::new(),
            random: Rng::with_seed(seed),
            syncs: 0,
            writes: 0,
            power_fails_at: None,
            refuses_from: None,
            sync_fails_at: None,
            sync_failed: false,
            dead: false,
            born: false,
        };
        Self { state: Arc::new(Mutex::new(state)), failed: Arc::new(Notify::new()) }
    }

    /// The power fails at the `n`th sync from now, counted from 1.
    pub(crate) fn fail_power_at(&self, n: u64) {
        let mut state = self.state();
        state.power_fails_at = Some(state.syncs + n);
    }

    /// Writes fail from the `n`th from now on, counted from 1, until the disk is mended.
    pub(crate) fn fail_writes_from(&self, n: u64, why: io::ErrorKind) {
        let mut state = self.state();
        state.refuses_from = Some((state.writes + n, why));
    }

    /// The `n`th sync from now, counted from 1, says that it failed; what was written is there.
    pub(crate) fn fail_sync_at(&self, n: u64) {
        let mut state = self.state();
        state.sync_fails_at = Some(state.syncs + n);
    }

    /// All succeeds again, if something failed: says whether it did.
    pub(crate) fn mend(&self) -> bool {
        let mut state = self.state();
        let failed = state.refuses().is_some() | std::mem::take(&mut state.sync_failed);
        state.refuses_from = state.refuses_from.filter(|_| !failed);
        failed
    }

    /// Nothing fails any more.
    pub(crate) fn trust(&self) {
        let mut state = self.state();
        state.refuses_from = None;
        state.sync_fails_at = None;
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.state().dead
    }

    /// Returns when the power, or a write, has failed.
    pub(crate) async fn failed(&self) {
        self.failed.notified().await;
    }

    pub(crate) fn cut_power(&self) {
        self.state().fail_power();
    }

    /// The disk after the power is back.
    pub(crate) fn power_on(&self) {
        let mut state = self.state();
        if !state.born {
            state.platter.clear();
        }
        state.cache = state.platter.clone();
        state.dead = false;
        state.power_fails_at = None;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn telling<T>(&self, done: io::Result<T>) -> io::Result<T> {
        if done.is_err() {
            self.failed.notify_one();
        }
        done
    }
}

impl State {
    fn alive(&self) -> io::Result<()> {
        if self.dead { Err(io::Error::other("no power")) } else { Ok(()) }
    }

    fn refuses(&self) -> Option<io::ErrorKind> {
        self.refuses_from.and_then(|(from, why)| (self.writes >= from).then_some(why))
    }

    fn write(&mut self, operation: Operation) -> io::Result<()> {
        self.alive()?;
        self.writes += 1;
        if let Some(why) = self.refuses() {
            return Err(why.into());
        }
        operation.apply(&mut self.cache);
        self.unsynced.push(operation);
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        self.alive()?;
        self.syncs += 1;
        if self.power_fails_at == Some(self.syncs) {
            self.fail_power();
            return self.alive();
        }
        if self.sync_fails_at == Some(self.syncs) {
            self.sync_failed = true;
            return Err(io::Error::other("the sync failed"));
        }
        self.unsynced.clear();
        self.platter = self.cache.clone();
        Ok(())
    }

    /// Keeps any sectors of what was not synced.
    fn fail_power(&mut self) {
        if self.dead {
            return;
        }
        self.dead = true;
        let share = [0.0, 0.1, 0.5, 0.9, 1.0][self.random.usize(..5)];
        let operations = std::mem::take(&mut self.unsynced);
        for part in operations.iter().flat_map(Operation::parts) {
            if self.random.f64() < share {
                part.apply_within(&mut self.platter);
            }
        }
    }
}

impl Operation {
    fn apply(&self, cache: &mut Vec<u8>) {
        match self {
            Self::Write(offset, bytes) => {
                cache[*offset..offset + bytes.len()].copy_from_slice(bytes);
            }
            Self::Length(length) => cache.resize(*length, 0),
        }
    }

    /// The same, but what lies beyond the end, because the new length did not survive, does not
    /// survive either.
    fn apply_within(&self, platter: &mut Vec<u8>) {
        match self {
            Self::Write(offset, _) if *offset >= platter.len() => {}
            Self::Write(offset, bytes) => {
                let length = bytes.len().min(platter.len() - offset);
                platter[*offset..offset + length].copy_from_slice(&bytes[..length]);
            }
            Self::Length(_) => self.apply(platter),
        }
    }

    /// What survives or not as a whole.
    fn parts(&self) -> Vec<Self> {
        match self {
            Self::Write(offset, bytes) => {
                let sectors = bytes.chunks(SECTOR).enumerate();
                sectors.map(|(n, sector)| Self::Write(offset + n * SECTOR, sector.into())).collect()
            }
            Self::Length(length) => vec![Self::Length(*length)],
        }
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.state().cache.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let state = self.state();
        let offset = usize::try_from(offset).unwrap();
        let bytes = state.cache.get(offset..offset + out.len());
        out.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        let operation = Operation::Length(usize::try_from(length).unwrap());
        self.telling(self.state().write(operation))
    }

    fn sync_data(&self) -> io::Result<()> {
        self.telling(self.state().sync())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let operation = Operation::Write(usize::try_from(offset).unwrap(), data.to_vec());
        self.telling(self.state().write(operation))
    }
}

impl Medium for Disk {
    fn open(&mut self) -> Result<Database, OpenError> {
        let error = |error| OpenError::Io { path: self.path(), error };
        self.state().alive().map_err(error)?;
        let opened = Builder::new().set_cache_size(1 << 20).create_with_backend(self.clone());
        let database = opened.map_err(|why| error(io::Error::other(why)))?;
        let mut state = self.state();
        state.born = !state.dead;
        drop(state);
        Ok(database)
    }

    fn size(&self) -> u64 {
        self.state().cache.len() as u64
    }

    fn path(&self) -> PathBuf {
        PathBuf::from("simulated disk")
    }
}
