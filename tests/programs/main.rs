//! Real programs, as Debian packages them, against the real system.

mod postfix;
mod senders;
