//! What an error of the operating system means for a recipient. None of them is a bounce.

use std::io;

use envelope::{Detail, Enhanced, Status};
use nix::libc::{EDQUOT, EFBIG, ELOOP, ENOSPC, ENXIO};

/// X.2.0: something about the mailbox, or about the program in its place.
pub(crate) const MAILBOX: Enhanced = Enhanced(2, 0);

/// Deferred, with the code that fits.
pub(crate) fn status(what: &str, error: &io::Error) -> Status {
    let enhanced = match error.raw_os_error() {
        Some(ENOSPC) => Enhanced::SYSTEM_FULL,
        // The user's quota, or the limit of a file.
        Some(EDQUOT | EFBIG) => Enhanced::MAILBOX_FULL,
        // A symbolic link, or a socket, where the mailbox should be.
        Some(ELOOP | ENXIO) => MAILBOX,
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

#[cfg(test)]
mod tests {
    use nix::libc::{EACCES, EDQUOT, EFBIG, EIO, ELOOP, ENOENT, ENOSPC, ENXIO, EROFS};

    use super::*;

    #[test]
    fn each_error_defers_with_its_code() {
        for (error, code) in [
            (ENOSPC, "4.3.1"),
            (EDQUOT, "4.2.2"),
            (EFBIG, "4.2.2"),
            (ELOOP, "4.2.0"),
            (ENXIO, "4.2.0"),
            (ENOENT, "4.2.0"),
            (EACCES, "4.2.0"),
            (EROFS, "4.3.0"),
            (EIO, "4.3.0"),
        ] {
            let status = status("x", &io::Error::from_raw_os_error(error));
            assert!(matches!(status, Status::Deferred(_)));
            assert_eq!(status.code(), code, "{status}");
        }
        assert_eq!(status("x", &io::ErrorKind::TimedOut.into()).code(), "4.2.0", "a lock");
    }
}
