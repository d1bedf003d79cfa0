//! The queue manager: keeps the queue, decides what is due, has agents deliver, writes bounces.

pub mod admin;
pub mod clock;
pub mod hops;
pub mod outcome;
pub mod record;
pub mod schedule;
pub mod spool;
pub mod store;
