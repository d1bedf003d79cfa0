//! `local` has a user's `deliver` process store messages.
//!
//! Requests are sent without waiting for the answers to those before them, so that what waits
//! together is stored together and shares the syncs of the disk.

use std::path::PathBuf;

use envelope::{Address, QueueId, ReversePath, Status};
use serde::{Deserialize, Serialize};

/// The message and the place. The content is the body of the frame, or a read-only descriptor
/// (read with `pread`). Answered by [`Stored`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Store {
    /// Names the request in its answer.
    pub number: u64,
    pub id: QueueId,
    pub reverse_path: ReversePath,
    /// The recipient, for `Delivered-To` and for the loop guard.
    pub recipient: Address,
    pub place: Place,
    /// Below it lie all mailboxes of this user that the configuration can name; of no use to a
    /// command.
    pub tree: PathBuf,
    /// `{user}`, `{home}` and `{detail}`, also the environment of a command.
    pub user: String,
    pub home: PathBuf,
    pub detail: Option<String>,
    /// Our name, for the file names of a Maildir.
    pub hostname: String,
    /// Bytes of content.
    pub size: u64,
    /// Arrival, seconds since 1970, for the `From ` line of an mbox.
    pub arrival: i64,
    /// The home may be made if it is missing (only under `--root`).
    pub make_home: bool,
}

/// Where to put it, everything substituted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Place {
    Mbox(PathBuf),
    Maildir(PathBuf),
    /// argv; exit codes are sysexits.
    Command(Vec<String>),
}

/// What came of some of the requests, by their numbers; in any order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stored(pub Vec<(u64, Status)>);
