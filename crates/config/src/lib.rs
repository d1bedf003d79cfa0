//! The file the administrator writes, `pennypost.toml`, checked once.
//!
//! [`load`] reads the file and says everything that is wrong with it, with line, column and remedy.
//! [`Config`] is what it means: defaults filled in, paths resolved. The supervisor reads the file
//! and pushes the result; no other daemon parses TOML.

mod check;
mod fill;
mod keys;
mod load;
pub mod needs;
mod reader;
mod report;
mod resolved;
mod snapshot;
mod sources;
mod table;
mod units;
mod watch;

pub use check::{Content, OnDisk, check_tables, read_table};
pub use keys::{NOT_YET, SUPPORTED};
pub use load::load;
pub use report::{Finding, Report};
pub use resolved::{
    CatchAll, Config, Families, Limits, Listener, Local, Log, LogFormat, LogTarget, Mailbox,
    MailqFormat, Paths, Policy, Queue, Relay, Remote, Resolver, Role,
};
pub use snapshot::Snapshot;
pub use sources::{Sources, TableSource};
pub use table::{Reader as TableReader, Table};
pub use watch::Watch;
