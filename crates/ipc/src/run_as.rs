//! `local` asks the supervisor for a `deliver` process.

use std::fmt;
use std::path::PathBuf;

use envelope::QueueId;
use serde::{Deserialize, Serialize};

/// A process that runs as somebody. On success the reply carries one end of a socketpair; the
/// process has the other as descriptor 0 and answers [`crate::mailbox`] requests on it until it
/// closes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunAs {
    pub who: Who,
    /// For which message, for the log.
    pub id: QueueId,
}

/// As whom.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Who {
    /// This user, with the right to write into the directory of all mailboxes.
    Mailbox(String),
    /// This user, with no other right.
    User(String),
    /// `local.default_user`
    Default,
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mailbox(user) | Self::User(user) => f.write_str(user),
            Self::Default => f.write_str("local.default_user"),
        }
    }
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Started {
    /// The frame carries the connection. `shell`: as in passwd; `None`: whatever it is, it will do.
    Yes { home: PathBuf, shell: Option<PathBuf> },
    /// No such user, or one that gets no mail: failed, 5.1.1.
    UnknownUser,
    /// Not now, and why: deferred.
    NotNow(String),
}
