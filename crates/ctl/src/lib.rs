//! The commands: `pennypost` for the administrator, `sendmail` and `mailq` for everyone, and the small
//! ones that sendmail has for its tables.
//!
//! None of them has a privilege. They speak SMTP on the socket `submit`, ask on the socket
//! `control`, and leave messages in the drop directory.
//!
//! **Invariant:** a message that `sendmail` took with exit code 0 is durable.

mod caller;
mod control;
mod credentials;
mod dns;
mod exit;
mod getopt;
mod listing;
pub mod mailstats;
pub mod map;
pub mod pennypost;
pub mod praliases;
mod routes;
pub mod sendmail;
mod site;
pub mod smrsh;

pub use exit::{Exit, Failure, called, complain, finish};

/// Seconds since 1970.
fn now() -> i64 {
    jiff::Timestamp::now().as_second()
}
