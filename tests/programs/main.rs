//! Real programs, as Debian packages them, against the real system.

mod callers;
mod dovecot;
mod layout;
mod logwatch;
mod postfix;
mod senders;
mod unchanged;
