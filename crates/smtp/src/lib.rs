//! The SMTP dialogue (RFC 5321), both sides, without I/O.
//!
//! [`server::Session`] is a state machine as a value: bytes and the time go in, steps come out.
//! [`command`], [`reply`], [`content`] and [`xtext`] are the words and lines that both sides share.
//!
//! **Invariant:** pure. No files, sockets, threads or clock.
//!
//! **Invariant:** a line ends with CRLF and with nothing else, on the way in and on the way out,
//! so that no two readers of one stream can see different messages in it.

pub mod client;
pub mod command;
pub mod content;
mod line;
pub mod reply;
pub mod server;
mod submission;
pub mod xtext;

pub use command::Command;
pub use reply::{Charset, Reply};
