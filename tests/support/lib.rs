//! What the tests of the whole system share: a Pennypost under a temporary root, a client that
//! speaks SMTP to it, and a next hop that it speaks to.
//!
//! Tests wait for log lines and files, never for time; every wait is bounded by [`PATIENCE`].

use std::time::Duration;

mod client;
mod sink;
mod system;

pub use client::Client;
pub use sink::{Received, Sink};
pub use system::{System, SystemBuilder, binary, run};

/// The longest that a test waits for one thing; two slow cores share the whole suite.
pub const PATIENCE: Duration = Duration::from_secs(60);
