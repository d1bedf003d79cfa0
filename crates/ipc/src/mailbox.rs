//! `local` has a user's `deliver` process store messages, or say where they go instead.
//!
//! Requests are sent without waiting for the answers to those before them, so that what waits
//! together is stored together and shares the syncs of the disk.

use std::path::PathBuf;

use envelope::{Address, Member, QueueId, ReversePath, Status};
use serde::{Deserialize, Serialize};

/// The message and the place. The content is the body of the frame; or a read-only descriptor (read with
/// `pread`), with the body in place of its beginning. Answered by [`Stored`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Store {
    /// Names the request in its answer.
    pub number: u64,
    pub id: QueueId,
    pub reverse_path: ReversePath,
    /// The recipient, for `Delivered-To` and for the loop guard.
    pub recipient: Address,
    pub place: Place,
    /// Files of which the first that is there says where the message goes instead.
    pub forward: Vec<PathBuf>,
    /// The user's, which decides whether `forward` may name programs and files; `None`: it may.
    pub shell: Option<PathBuf>,
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
    /// Bytes of the descriptor's file in whose place the body stands.
    pub replaced: u64,
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
    /// The command of the configuration: argv; exit codes are sysexits.
    Command(Vec<String>),
    /// A program that an alias or a `.forward` names. `failure`: the exit code of one that fails.
    Program {
        argv: Vec<String>,
        failure: Option<u8>,
    },
    /// A file that one of them names.
    File(PathBuf),
    /// A file of names, each of which gets the message.
    Include(PathBuf),
}

/// What came of some of the requests, by their numbers; in any order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stored(pub Vec<(u64, Said)>);

/// What came of one request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Said {
    Status(Status),
    /// These take its place.
    Expanded {
        members: Vec<Member>,
        /// What was wrong with some of them, for the log.
        remarks: Vec<String>,
    },
    /// A file of `forward` has changed, and this process may not read it any more: another has to.
    Stale,
}

/// Who may stand for one message: qmgr's bound on recipients, and no more bytes than a frame has.
pub const MAX_MEMBERS: usize = 10_000;
/// Bytes of a file that says where messages go.
pub const MAX_LIST: u64 = crate::MAX_HEAD as u64 / 2;
