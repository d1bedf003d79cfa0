//! `local` asks the supervisor for a `deliver` process.

use std::path::PathBuf;

use envelope::QueueId;
use serde::{Deserialize, Serialize};

/// A process that runs as the user. On success the reply carries one end of a socketpair; the
/// process has the other as descriptor 0 and answers [`crate::mailbox`] requests on it until it
/// closes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunAs {
    pub user: String,
    /// For which message, for the log.
    pub id: QueueId,
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Started {
    /// The frame carries the connection. `home`: the user's home directory.
    Yes { home: PathBuf },
    /// No such user, or one that gets no mail: failed, 5.1.1.
    UnknownUser,
    /// Not now, and why: deferred.
    NotNow(String),
}
