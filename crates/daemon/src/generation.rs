//! What the administrator wants: the configuration and the tables that go with it, whole.
//!
//! A process works with the generation that it was started with. One that owns something lasting
//! is not replaced when another comes into force, but offered it, and takes it in one step; what
//! is under way keeps the one that it began with.

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use config::{Config, Table};
use ipc::control::Report;
use tables::{Reader, Source};
use tokio::sync::mpsc;

use crate::Error;

/// One configuration with its tables.
#[derive(Debug)]
pub struct Generation {
    /// Counted from 1; the supervisor's.
    pub number: u64,
    pub config: Arc<Config>,
    /// By name (`aliases`); a file that is not there is absent.
    pub(crate) tables: HashMap<String, Table>,
}

/// Generations that are offered to this process, and its answers.
#[derive(Debug)]
pub struct Generations {
    pub(crate) offers: mpsc::Receiver<Generation>,
    pub(crate) answers: mpsc::Sender<Report>,
}

/// The supervisor has told of bad lines.
impl Source for Generation {
    type Error = Error;

    fn table<T: Default>(&self, name: &str, read: Reader<T>) -> Result<T, Error> {
        let Some(table) = self.tables.get(name) else { return Ok(T::default()) };
        let read = read(name, &mut table.reader());
        Ok(read.map_err(|error| format!("{name}: {error}"))?.table)
    }
}

impl Generations {
    /// The next one on offer; it wants an [answer](Self::answer). Waits for ever when there will be
    /// none. Cancel-safe.
    pub async fn next(&mut self) -> Generation {
        match self.offers.recv().await {
            Some(generation) => generation,
            None => std::future::pending().await,
        }
    }

    /// Tells the supervisor that this process works with the generation from now on, or why not:
    /// then it goes on with the one before, and the supervisor takes the offer back everywhere.
    pub async fn answer(&self, number: u64, taken: Result<(), Error>) {
        let report = match taken {
            Ok(()) => Report::Taken { generation: number },
            Err(why) => Report::Refused { generation: number, why: why.to_string() },
        };
        // Fails only when the supervisor is gone, and then this process ends.
        let _ = self.answers.send(report).await;
    }
}

/// A generation of which not everything has come yet.
#[derive(Debug, Default)]
pub(crate) struct Arriving {
    configuration: Vec<u8>,
    number: Option<u64>,
    tables: HashMap<String, Table>,
}

impl Arriving {
    /// A piece of the configuration, in postcard.
    pub(crate) fn configuration(&mut self, piece: &[u8], number: u64, last: bool) {
        self.configuration.extend_from_slice(piece);
        self.number = last.then_some(number);
    }

    pub(crate) fn table(&mut self, name: String, fd: OwnedFd) {
        self.tables.insert(name, fd.into());
    }

    /// `None`: the configuration is not whole.
    pub(crate) const fn number(&self) -> Option<u64> {
        self.number
    }

    /// Everything has come.
    ///
    /// # Errors
    /// It has not, or cannot be understood.
    pub(crate) fn whole(self) -> Result<Generation, Error> {
        let number = self.number.ok_or("the supervisor sent no configuration")?;
        let config = Arc::new(postcard::from_bytes(&self.configuration)?);
        Ok(Generation { number, config, tables: self.tables })
    }
}
