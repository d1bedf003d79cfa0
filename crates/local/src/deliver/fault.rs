//! What an error of the operating system means for a recipient. None of them is a bounce.

use std::io;

use envelope::{Detail, Enhanced, Status};
use nix::libc::{EDQUOT, EFBIG, ELOOP, ENOSPC};

/// X.2.0: something about the mailbox, or about the program in its place.
pub(crate) const MAILBOX: Enhanced = Enhanced(2, 0);

/// Deferred, with the code that fits.
pub(crate) fn status(what: &str, error: &io::Error) -> Status {
    let enhanced = match error.raw_os_error() {
        Some(ENOSPC) => Enhanced::SYSTEM_FULL,
        // The user's quota, or the limit of a file.
        Some(EDQUOT | EFBIG) => Enhanced::MAILBOX_FULL,
        // A symbolic link where the mailbox should be.
        Some(ELOOP) => MAILBOX,
        // The mailbox is locked, or not where or what it should be: that is not the queue's fault,
        // and whoever waits for an answer gets one when the message is too old.
        _ if is_of_the_mailbox(error.kind()) => MAILBOX,
        _ => Enhanced::SYSTEM,
    };
    Status::Deferred(Detail::ours(enhanced, format!("{what}: {error}")))
}

fn is_of_the_mailbox(kind: io::ErrorKind) -> bool {
    use io::ErrorKind as Kind;
    [
        Kind::TimedOut,
        Kind::NotFound,
        Kind::PermissionDenied,
        Kind::NotADirectory,
        Kind::IsADirectory,
    ]
    .contains(&kind)
}
