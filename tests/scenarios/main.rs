//! The whole system under a temporary root: real sockets, real processes, real mailboxes.

mod local;
mod queue;
mod relay;
mod submission;
mod supervisor;
