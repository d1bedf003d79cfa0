//! The file the administrator writes, `pennypost.toml`, checked once.
//!
//! [`raw`] is what the file says; [`Config`] is what it means: defaults filled in, paths resolved.
//! The supervisor reads the file and pushes the result; no other daemon parses TOML.

mod resolved;

pub use resolved::{
    Config, Families, Limits, Listener, Local, LogTarget, Mailbox, Paths, Queue, Relay, Remote,
    Resolver, Role,
};
