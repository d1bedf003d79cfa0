//! The queue manager: keeps the queue, decides what is due, has agents deliver, writes bounces.
//!
//! A message comes in through [`submission`], is durable in [`store`], is taken up by [`active`]
//! when it is due, and goes through a [`round`] of attempts. [`outcome`] alone decides what follows
//! from them, [`schedule`] when, and [`bounce`] whom to tell. [`admin`] lets people intervene.
//!
//! **Invariant:** `qmgr` alone opens the queue, and parses no message content.
//! **Invariant:** any doubt defers; a fault of ours never bounces mail.

pub mod active;
pub mod admin;
pub mod bounce;
pub mod clock;
pub mod hops;
pub mod news;
pub mod outcome;
pub mod priority;
pub mod record;
pub mod round;
pub mod rules;
pub mod schedule;
pub mod shared;
pub mod spool;
pub mod statistics;
pub mod store;
pub mod submission;
