//! What is in force, or may come into force: configuration, tables and listeners, whole.

use config::{Config, Snapshot};
use std::os::fd::AsFd;

use ipc::control::Push;
use ipc::{Connection, Error, MAX_BODY};

use crate::listeners::Listeners;
use crate::plan::Plan;
use crate::process::push;
use crate::trouble::{self, Trouble};

/// A daemon that starts gets all of it from here: the files may say something else by then.
#[derive(Debug)]
pub(crate) struct Generation {
    /// Counted from 1.
    pub(crate) number: u64,
    pub(crate) snapshot: Snapshot,
    pub(crate) listeners: Listeners,
    /// The configuration in postcard.
    encoded: Vec<u8>,
}

impl Generation {
    pub(crate) fn new(
        number: u64,
        snapshot: Snapshot,
        listeners: Listeners,
    ) -> Result<Self, Trouble> {
        let encoded = postcard::to_allocvec(&snapshot.config)
            .map_err(|error| Trouble(trouble::CONFIG, format!("configuration: {error}")))?;
        Ok(Self { number, snapshot, listeners, encoded })
    }

    pub(crate) const fn config(&self) -> &Config {
        &self.snapshot.config
    }

    /// Sends the configuration, and the tables that belong to the plan.
    pub(crate) async fn send(&self, control: &mut Connection, plan: &Plan) -> Result<(), Error> {
        let mut pieces = self.encoded.chunks(MAX_BODY).peekable();
        while let Some(piece) = pieces.next() {
            let last = pieces.peek().is_none();
            let configuration = Push::Configuration { generation: self.number, last };
            push(control, &configuration, piece, None).await?;
        }
        for name in plan.tables {
            if let Some(table) = self.snapshot.tables.get(name) {
                let name = (*name).to_owned();
                push(control, &Push::Table { name }, b"", Some(table.as_fd())).await?;
            }
        }
        Ok(())
    }
}
