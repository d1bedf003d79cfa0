//! The whole system under a temporary root: real sockets, real processes, real mailboxes.

mod accounts;
mod commands;
mod load;
mod faults;
mod local;
mod policy;
mod ports;
mod queue;
mod relay;
mod reload;
mod submission;
mod supervisor;
mod systemd;
mod tables;
