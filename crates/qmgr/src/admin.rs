//! Administrators look at the queue and change it.

mod authority;
