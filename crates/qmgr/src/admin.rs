//! Administrators look at the queue and change it.

pub mod authority;
