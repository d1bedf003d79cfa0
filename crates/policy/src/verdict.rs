//! What is answered, and why.

use std::fmt;

use envelope::{Address, printable};
use ipnet::IpNet;

use crate::Account;

/// The answer to RCPT.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    Accept,
    /// A reply code from 400 to 599, and its text with the enhanced status code.
    Refuse {
        code: u16,
        text: String,
    },
}

impl Verdict {
    // The words of the next two are sendmail's: programs that read logs know them.

    pub(crate) fn unknown_user(recipient: &Address) -> Self {
        let recipient = recipient.to_string();
        let text = format!("5.1.1 <{}>... User unknown", printable(&recipient));
        Self::Refuse { code: 550, text }
    }

    pub(crate) fn relaying_denied(recipient: &Address) -> Self {
        let recipient = recipient.to_string();
        let text = format!("5.7.1 <{}>... Relaying denied", printable(&recipient));
        Self::Refuse { code: 550, text }
    }

    pub(crate) fn try_later() -> Self {
        let text = "4.3.0 Users cannot be looked up now; try again later".to_owned();
        Self::Refuse { code: 451, text }
    }
}

/// One rule that applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The domain is local: by this line of `local-host-names`, or by itself.
    Local(Option<usize>),
    /// The line of `aliases` that has the name.
    Alias(usize),
    Postmaster,
    User(Account),
    /// The entry of `relay.networks` that has the client.
    Network(IpNet),
    /// The submission socket.
    Submission,
    MayNotRelay,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local(Some(line)) => write!(f, "local-host-names:{line}: the domain is local"),
            Self::Local(None) => f.write_str("the domain is this host's own name or address"),
            Self::Alias(line) => write!(f, "aliases:{line}: the name is an alias"),
            Self::Postmaster => f.write_str("there is always a postmaster (RFC 5321 §4.5.1)"),
            Self::User(Account::Exists) => f.write_str("there is such a user"),
            Self::User(Account::Unknown) => f.write_str("there is no such user and no alias"),
            Self::User(Account::Unavailable) => f.write_str("users cannot be looked up now"),
            Self::Network(network) => write!(f, "relay.networks: {network} may relay"),
            Self::Submission => f.write_str("a user of this machine may relay"),
            Self::MayNotRelay => {
                f.write_str("the domain is not local and the client is not in relay.networks")
            }
        }
    }
}
