//! The envelope: what travels beside the content (RFC 5321 §2.3.1) and what DSN adds (RFC 3461).

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::{Address, Aliasing, ReversePath};

/// What `smtpd` hands to the queue beside the content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Envelope {
    pub reverse_path: ReversePath,
    /// At least one, at most `limits.recipients`.
    pub recipients: Vec<Recipient>,
    pub body: Body,
    /// MAIL had SMTPUTF8 (RFC 6531 §3.4).
    pub smtputf8: bool,
    /// RET (RFC 3461 §4.3).
    pub ret: Option<Return>,
    /// ENVID, decoded from xtext, at most 100 bytes (RFC 3461 §4.4).
    pub envid: Option<String>,
    pub origin: Origin,
    pub aliasing: Aliasing,
}

/// One accepted RCPT.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recipient {
    pub address: Address,
    pub notify: Notify,
    pub orcpt: Option<OriginalRecipient>,
}

impl Recipient {
    /// A recipient without DSN parameters.
    #[must_use]
    pub const fn plain(address: Address) -> Self {
        Self { address, notify: Notify::DEFAULT, orcpt: None }
    }
}

/// When the reverse-path wants to hear (NOTIFY, RFC 3461 §4.1). Without the parameter:
/// [`Notify::DEFAULT`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notify {
    pub success: bool,
    pub failure: bool,
    pub delay: bool,
    /// The parameter was given; it is then passed on as it came.
    pub stated: bool,
}

impl Notify {
    /// No parameter: failures and delays (RFC 3461 §4.1).
    pub const DEFAULT: Self = Self { success: false, failure: true, delay: true, stated: false };
    /// NOTIFY=NEVER.
    pub const NEVER: Self = Self { success: false, failure: false, delay: false, stated: true };
}

/// ORCPT (RFC 3461 §4.2), at most 500 bytes as written.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct OriginalRecipient {
    /// `rfc822`, `utf-8`, …
    pub kind: String,
    /// Decoded from xtext.
    pub address: String,
}

/// BODY (RFC 6152 §2). BINARYMIME is not offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Body {
    SevenBit,
    EightBitMime,
}

/// RET: how much of the message a bounce returns (RFC 3461 §4.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Return {
    Full,
    Headers,
}

/// What becomes of a message, as far as one of its accepted recipients says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Disposition {
    Deliver,
    /// It is held until somebody releases it, for this reason.
    Quarantine(String),
    /// Nobody gets it, neither this recipient nor the others; the client hears nothing of that.
    Discard,
    /// This recipient does not get it, the others do; the client hears nothing of that.
    Omit,
}

/// Where a message came from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Origin {
    /// A client on the network.
    Client {
        address: IpAddr,
        /// What it called itself in EHLO or HELO.
        helo: String,
    },
    /// A user of this machine, through the submission socket or the drop directory.
    User {
        uid: u32,
        /// The user's name, or the uid in digits.
        name: String,
    },
    /// This system: a bounce or a warning.
    Ourselves,
}
