//! The control socket: `pennypost` and `mailq` ask the supervisor and `qmgr`.
//!
//! A client connects, sends one [`Hello`], gets one [`Welcome`], and then asks. With
//! [`Hello::Queue`] the supervisor hands the very connection to `qmgr`, with a [`Visitor`];
//! administrators see everything, others their own mail.

use std::time::Duration;

use envelope::{Address, Dialogue, QueueId, ReversePath, Status};
use serde::{Deserialize, Serialize};

use crate::sandbox::Confinement;

/// Whom the client wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Hello {
    /// Then [`Command`]s, each answered by [`Answer`].
    Supervisor,
    /// Then [`QueueRequest`]s, each answered by [`QueueReply`].
    Queue,
}

/// `qmgr` or the supervisor is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Welcome {
    /// Ask. `admin`: this user may see and do everything.
    Yes {
        admin: bool,
    },
    No(String),
}

/// The supervisor hands a client of the control socket to `qmgr`; the frame carries the socket, on
/// which `qmgr` sees the uid. Answered by `()` as soon as `qmgr` has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Visitor {
    /// For the log: `alice (uid 1000)`.
    pub name: String,
    /// Root or one of `control.admins`.
    pub admin: bool,
}

/// What the supervisor is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// Answered when everything is drained, just before the end.
    Stop,
    Status,
    /// Answered when the files are in force, or are refused.
    Reload,
}

/// What the supervisor answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    Stopped,
    NotAllowed,
    Status(SystemStatus),
    Reloaded(Reloaded),
    /// Nothing changes, and why.
    NotReloaded(String),
}

/// `pennypost reload`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reloaded {
    /// In force now.
    pub generation: u64,
    /// Since when, seconds since 1970: it may have been in force already.
    pub since: i64,
    /// What it changed: parts of the configuration, `[limits]`, and tables.
    pub changes: Vec<String>,
    /// Lines of tables that are skipped.
    pub warnings: Vec<String>,
}

/// `pennypost status`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SystemStatus {
    pub hostname: String,
    pub version: String,
    pub generation: u64,
    /// Why the files on disk are not what is in force; `None`: they are.
    pub refused: Option<String>,
    /// Seconds since 1970.
    pub started: i64,
    pub processes: Vec<Process>,
    /// `127.0.0.1:25 (mx)`
    pub listeners: Vec<String>,
}

impl SystemStatus {
    /// In a line, for the service manager.
    #[must_use]
    pub fn summary(&self) -> String {
        let listeners = self.listeners.join(", ");
        let refused = self.refused.as_ref().map_or("", |_| "; the files on disk are not in force");
        format!("configuration {}, listens on {listeners}{refused}", self.generation)
    }

    /// The same with all processes, for the log.
    #[must_use]
    pub fn report(&self) -> String {
        let process = |it: &Process| match it.pid {
            Some(pid) => format!("{}[{pid}]", it.name),
            None => format!("{} (being restarted)", it.name),
        };
        let processes: Vec<_> = self.processes.iter().map(process).collect();
        format!("{}; runs {}", self.summary(), processes.join(", "))
    }
}

/// One daemon.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    pub name: String,
    /// `None`: being restarted.
    pub pid: Option<u32>,
    /// Seconds since 1970.
    pub since: i64,
    pub restarts: u32,
    /// Replaced, and finishing what it has.
    pub retired: bool,
    /// uid and gid that the supervisor gave it; `None`: its own.
    pub identity: Option<(u32, u32)>,
    /// `None`: not yet in force, or it entered no sandbox.
    pub confinement: Option<Confinement>,
}

impl Process {
    /// One that is about to start.
    #[must_use]
    pub fn new(name: &str, since: i64, restarts: u32, identity: Option<(u32, u32)>) -> Self {
        let name = name.to_owned();
        Self { name, pid: None, since, restarts, retired: false, identity, confinement: None }
    }
}

/// Messages in one page of a listing.
pub const PAGE: usize = 500;

/// What `qmgr` is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum QueueRequest {
    /// Messages after `after` that the filter lets through, at most [`PAGE`].
    List {
        filter: Filter,
        after: Option<QueueId>,
    },
    Show(QueueId),
    Count,
    /// Does it to what the filter lets through, a page at a time: repeat with the last id of
    /// [`QueueReply::Changed`] until it is `None`. `dry_run`: only says what would be done.
    Change {
        action: Action,
        filter: Filter,
        after: Option<QueueId>,
        dry_run: bool,
    },
    /// What is known of next hops after this name, at most [`HOSTS`]. Administrators only.
    Hosts {
        after: Option<String>,
    },
    /// Administrators only.
    Forget(Forget),
    /// What was counted; `reset`: from now on anew. Administrators only.
    Statistics {
        reset: bool,
    },
    /// From now on what comes of attempts is kept for [`QueueRequest::News`].
    Watch,
    /// What has come of attempts since [`QueueRequest::Watch`] or the last such question. Waits for
    /// some as long as [`NEWS`].
    News,
}

/// What to do with queued messages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Action {
    /// Try now.
    Retry,
    /// Do not try until released, and perhaps why.
    Hold {
        reason: Option<String>,
    },
    Release,
    /// Forget; nobody is told.
    Delete,
    /// Give up and tell the reverse-path; not what is being delivered just now.
    Bounce,
    /// Deliver to this address instead, of the recipients that the filter names; not what is being
    /// delivered just now.
    Redirect(Address),
}

/// Which messages: all that is given must fit. Texts are compared without case.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Filter {
    /// Any of these; empty: any.
    pub ids: Vec<QueueId>,
    /// Part of the reverse-path; `<>`: the null one.
    pub from: Option<String>,
    /// Part of a recipient.
    pub to: Option<String>,
    /// The domain of a recipient, whole.
    pub domain: Option<String>,
    /// Seconds since arrival, at least.
    pub older: Option<u64>,
    /// Held ones only.
    pub held: bool,
    /// None of these.
    pub except: Exception,
}

/// Which messages not: those of which anything that is given fits.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exception {
    pub ids: Vec<QueueId>,
    /// Parts of the reverse-path, as in [`Filter::from`].
    pub from: Vec<String>,
    /// Parts of any recipient.
    pub to: Vec<String>,
    /// Held ones.
    pub held: bool,
}

/// What `qmgr` answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum QueueReply {
    /// `next`: ask again after this one; `None`: that was all.
    Messages {
        messages: Vec<Message>,
        next: Option<QueueId>,
    },
    /// `None`: not there, or not this user's.
    Message(Option<Box<Message>>),
    /// It cannot be read and is set aside, for a release that can; `Delete` of its id forgets it.
    Damaged,
    Count {
        messages: u64,
        held: u64,
        /// Beside `messages`: set aside because they cannot be read.
        damaged: u64,
    },
    Changed {
        ids: Vec<QueueId>,
        next: Option<QueueId>,
    },
    /// `next`: ask again after this one; `None`: that was all.
    Hosts {
        hosts: Vec<Host>,
        next: Option<String>,
    },
    /// So many next hops.
    Forgotten(u64),
    Statistics(Box<Statistics>),
    Watching,
    /// `missed`: there was more than could be kept.
    News {
        news: Vec<News>,
        missed: bool,
    },
    NotAllowed,
    /// `qmgr` cannot answer now, and why.
    Fault(String),
}

/// Next hops in one page.
pub const HOSTS: usize = 250;

/// One next hop, as it was found at the last attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Host {
    /// `example.net`, `[192.0.2.1]:2525`
    pub name: String,
    /// When that was, seconds since 1970.
    pub last: i64,
    pub status: Status,
    /// Messages that are being delivered there, or have their place in the line.
    pub active: u64,
    /// Not to be tried before, seconds since 1970.
    pub alone_until: Option<i64>,
}

/// Which next hops to forget.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Forget {
    /// This one, as [`Host::name`] has it.
    Name(String),
    /// All that are older than `queue.host_status`.
    Expired,
}

/// `mailstats`: what was counted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Statistics {
    /// Seconds since 1970.
    pub since: i64,
    /// By the number that sendmail gives the mailer.
    pub mailers: [Traffic; MAILERS],
    /// Connections from clients.
    pub connections_from: u64,
    /// Attempts that were answered by a next hop.
    pub connections_to: u64,
    /// What was refused to clients.
    pub refused: u64,
}

/// Mailers that are counted: `prog`, `*file*`, `*include*`, `local`, `smtp`, `esmtp`.
pub const MAILERS: usize = 6;

/// What went through one mailer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Traffic {
    pub messages_from: u64,
    /// Of 1,000 bytes, each message rounded up, as in sendmail.
    pub kilobytes_from: u64,
    /// Recipients.
    pub messages_to: u64,
    pub kilobytes_to: u64,
    pub rejected: u64,
    pub discarded: u64,
    pub quarantined: u64,
}

/// How long [`QueueRequest::News`] is answered at the latest.
pub const NEWS: Duration = Duration::from_secs(10);

/// What came of an attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum News {
    /// What was said in it, before what it came to.
    Dialogue { id: QueueId, dialogue: Dialogue },
    /// At one recipient.
    Recipient {
        id: QueueId,
        address: Address,
        status: Status,
        /// When it is tried again, seconds since 1970; `None`: it is done with.
        again: Option<i64>,
    },
    /// Nothing is begun for the message while the load average of the machine is so high.
    Overload(QueueId),
    /// Nothing more is under way for the message.
    Rest(QueueId),
}

/// One queued message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    pub id: QueueId,
    pub reverse_path: ReversePath,
    /// Seconds since 1970.
    pub arrival: i64,
    /// Bytes of content.
    pub size: u64,
    pub eight_bit: bool,
    /// Seconds since 1970; `None`: held or under way.
    pub next_attempt: Option<i64>,
    pub state: State,
    /// What sendmail calls so: the higher the number, the sooner it waits for a busy machine.
    pub priority: u64,
    /// Why it is held, if that was said.
    pub quarantine: Option<String>,
    /// `192.0.2.1 (helo mx.example.net)`, `user alice`, `Pennypost`.
    pub origin: String,
    pub recipients: Vec<Recipient>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum State {
    Waiting,
    /// An attempt is under way.
    Active,
    Held,
    /// Due, and waiting for the load average of the machine to fall.
    Overload,
}

/// One recipient that is still to be served.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recipient {
    pub address: Address,
    pub attempts: u32,
    /// Of the last attempt.
    pub last: Option<Status>,
    /// When that was, seconds since 1970.
    pub last_time: Option<i64>,
    /// Where it goes now: `mx example.net`, `local alice`.
    pub route: String,
}
