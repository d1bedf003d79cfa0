//! The whole system under a temporary root: real sockets, real processes, real mailboxes.

mod accounts;
mod agreement;
mod at_rest;
mod commands;
mod explain;
mod family;
mod faults;
mod lists;
mod load;
mod load_average;
mod local;
mod names;
mod policy;
mod ports;
mod queue;
mod recipients;
mod relay;
mod reload;
mod routes;
mod sendmail_mc;
mod session;
mod submission;
mod supervisor;
mod systemd;
mod tables;
