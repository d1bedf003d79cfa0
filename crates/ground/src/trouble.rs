//! Why the supervisor does not start.

use std::fmt;

/// sysexits(3): used wrongly.
pub const USAGE: u8 = 64;
/// Something else is in the way.
pub const UNAVAILABLE: u8 = 69;
/// The operating system refused.
pub const OSERR: u8 = 71;
/// Not allowed.
pub const NOPERM: u8 = 77;
/// The configuration is wrong.
pub const CONFIG: u8 = 78;

/// The exit code, and what is wrong and what to do, for the administrator.
#[derive(Debug)]
pub struct Trouble(pub u8, pub String);

impl Trouble {
    /// A system call about `what` failed.
    pub fn system(what: impl fmt::Display, error: impl fmt::Display) -> Self {
        Self(OSERR, format!("{what}: {error}"))
    }
}
