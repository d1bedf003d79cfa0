//! The queue manager: keeps the queue, decides what is due, has agents deliver, writes bounces.

pub mod record;
