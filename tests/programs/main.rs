//! Real programs, as Debian packages them, against the real system.

mod callers;
mod postfix;
mod senders;
