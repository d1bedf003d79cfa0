//! What is in force, or may come into force: configuration, tables and listeners, whole.

use std::os::fd::AsFd;

use config::{Config, Snapshot};
use ground::{Listeners, Trouble, trouble};
use ipc::admin::Reloaded;
use ipc::control::Push;
use ipc::{Connection, Error, MAX_BODY};

use crate::plan::Plan;
use crate::process::{now, push};

/// Bad lines that are told; the log has all of them.
const MAX_WARNINGS: usize = 50;

/// A daemon that starts gets all of it from here: the files may say something else by then.
#[derive(Debug)]
pub(crate) struct Generation {
    /// Counted from 1.
    pub(crate) number: u64,
    /// Seconds since 1970.
    since: i64,
    /// What is not as in the one before it.
    changes: Vec<String>,
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
        changes: Vec<String>,
    ) -> Result<Self, Trouble> {
        let encoded = postcard::to_allocvec(&snapshot.config)
            .map_err(|error| Trouble(trouble::CONFIG, format!("configuration: {error}")))?;
        Ok(Self { number, since: now(), changes, snapshot, listeners, encoded })
    }

    pub(crate) const fn config(&self) -> &Config {
        &self.snapshot.config
    }

    /// For whoever wanted it in force.
    pub(crate) fn report(&self) -> Reloaded {
        let findings = self.snapshot.findings.iter().take(MAX_WARNINGS);
        Reloaded {
            generation: self.number,
            since: self.since,
            changes: self.changes.clone(),
            warnings: findings.map(ToString::to_string).collect(),
        }
    }

    /// Sends the configuration, and the tables that belong to the plan.
    pub(crate) async fn send(&self, control: &mut Connection, plan: &Plan) -> Result<(), Error> {
        let mut pieces = self.encoded.chunks(MAX_BODY).peekable();
        while let Some(piece) = pieces.next() {
            let last = pieces.peek().is_none();
            let configuration = Push::Configuration { generation: self.number, last };
            push(control, &configuration, piece, None).await?;
        }
        for name in plan.tables.concat() {
            if let Some(table) = self.snapshot.tables.get(name) {
                let name = (*name).to_owned();
                push(control, &Push::Table { name }, b"", Some(table.as_fd())).await?;
            }
        }
        Ok(())
    }
}
