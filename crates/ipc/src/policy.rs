//! `smtpd` asks `policyd`: may this client send to these recipients, and who is this user?

use std::net::IpAddr;

use envelope::{Address, Aliasing, Disposition, Extensions, ReversePath};
use serde::{Deserialize, Serialize};

/// What `smtpd` asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Question {
    /// Answered by [`Verdicts`].
    Check(Check),
    /// On what terms a client is served; answered by [`Terms`].
    Terms(IpAddr),
    /// The name of a user of this machine. The submission role only; answered by [`Name`].
    Name { uid: u32 },
}

/// One transaction so far. Pipelined recipients come in one request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    pub client: Client,
    pub helo: String,
    pub reverse_path: ReversePath,
    /// The client gave it without a domain, and it was given that of this host.
    pub unqualified: bool,
    pub aliasing: Aliasing,
    /// Those not yet asked about.
    pub recipients: Vec<Address>,
}

/// Who sends. That a client is on the submission socket follows from the edge *and* the socket:
/// only the submission role may say `User`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Client {
    Network(IpAddr),
    User { uid: u32 },
}

/// On what terms a client is served; `None`: nothing is said of that.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terms {
    /// Connections in a minute; 0: as many as it likes.
    pub rate: Option<u32>,
    /// Sessions at a time; 0: as many as it likes.
    pub sessions: Option<u32>,
    /// Milliseconds before it is greeted.
    pub pause: Option<u32>,
    /// What it is not offered.
    pub withheld: Extensions,
}

/// `None`: nobody has this uid, or it cannot be said now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Name(pub Option<String>);

/// One verdict for each recipient, in order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdicts(pub Vec<Verdict>);

/// What to answer to RCPT.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verdict {
    /// 250, and what becomes of it then.
    Accept(Disposition),
    /// 4xx or 5xx with its text, enhanced status code included: `550`, `5.7.1 Relaying denied`.
    Refuse { code: u16, text: String },
}
