//! The edges: how one process asks another.
//!
//! The supervisor makes a socketpair for each [`Arrow`] and hands one end to each process. That
//! edge is the authority: what may be asked on it depends on which arrow it is. Over the edge the
//! client sends ends of fresh socketpairs; each is a [`Connection`] on which one request is
//! answered by one reply. There is one module for each kind of edge.
//!
//! **Invariant:** a malformed frame closes its connection and never a process.

pub mod admin;
mod arrow;
mod client;
mod connection;
pub mod control;
pub mod delivery;
mod error;
mod incoming;
pub mod mailbox;
pub mod policy;
pub mod run_as;
pub mod sandbox;
pub mod submission;

pub use arrow::Arrow;
pub use client::{Client, Lent, Renewal};
pub use connection::{Connection, Frame, MAX_BODY, MAX_HEAD, decode};
pub use error::Error;
pub use incoming::{Door, Incoming};
