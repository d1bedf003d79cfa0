//! The supervisor and one of its daemons, over descriptor 0 of the daemon.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::Arrow;
use crate::sandbox::Confinement;

/// What the supervisor says. A daemon gets its configuration, tables, listeners and edges first,
/// and then `Start`; later only edges, further generations (configuration, tables, and then
/// `Offer`), and that it is to end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Push {
    /// The configuration; the body is `config::Config` in postcard, in pieces of `MAX_BODY`.
    Configuration { generation: u64, last: bool },
    /// A table file, opened for reading. The frame carries its descriptor.
    Table { name: String },
    /// A listening socket. The frame carries its descriptor.
    Listener(ListenerKind),
    /// A fresh edge. The frame carries this process's end of it.
    Edge(End),
    /// Everything has been sent: begin.
    Start,
    /// A further generation has been sent: take it into use, and say whether you did.
    Offer,
    /// Your successor works: take nothing new, let what is under way end by itself, and exit.
    Retire,
    /// Take nothing new, bring what is under way to its end, and exit.
    Drain,
}

/// One end of an arrow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum End {
    Asks(Arrow),
    Answers(Arrow),
}

/// What a listener is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ListenerKind {
    /// TCP, in the role of the process.
    Tcp(SocketAddr),
    /// The socket `submit`.
    Submit,
}

/// What a daemon says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Report {
    /// Works with this generation of the configuration. `None`: it did not enter a sandbox.
    Ready { generation: u64, confinement: Option<Confinement> },
    /// The generation that was offered is in use.
    Taken { generation: u64 },
    /// The one before it stays in use.
    Refused { generation: u64, why: String },
}
