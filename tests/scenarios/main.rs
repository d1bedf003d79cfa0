//! The whole system under a temporary root: real sockets, real processes, real mailboxes.

mod accounts;
mod local;
mod ports;
mod queue;
mod relay;
mod submission;
mod supervisor;
mod systemd;
