//! What an alias, a list or a `.forward` names.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Address, printable};

/// One that takes its share of a list's mail.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Member {
    /// Whatever the tables say of it.
    Address(Address),
    /// `\user`: the user's own mailbox, whatever aliases and `.forward` say.
    Mailbox(Address),
    Special(Special),
}

/// What has no address of its own.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Special {
    /// `|program arguments`: what follows the bar.
    Program(String),
    /// `/file`: messages are appended to it.
    File(String),
    /// `:include:/file`: who is named there. The path.
    Include(String),
    /// The host that `local.catch_all` names for mail of unknown users.
    CatchAll,
}

impl fmt::Display for Member {
    /// As an alias writes it, on one line and safe to show.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => write!(f, "{address}"),
            Self::Mailbox(address) => write!(f, "\\{address}"),
            Self::Special(special) => write!(f, "{special}"),
        }
    }
}

impl fmt::Display for Special {
    /// As an alias writes it, on one line and safe to show.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Program(command) => write!(f, "|{}", printable(command)),
            Self::File(path) => write!(f, "{}", printable(path)),
            Self::Include(path) => write!(f, ":include:{}", printable(path)),
            Self::CatchAll => f.write_str("local.catch_all"),
        }
    }
}
