//! What can go wrong between two of our processes, with names that say who is to blame.

use std::{fmt, io};

/// Why a request has no reply.
#[derive(Debug)]
pub enum Error {
    /// The other process closed the connection or died; it may or may not have done the work.
    PeerGone,
    /// A frame that breaks the protocol: bad length, bad encoding, a missing descriptor.
    PeerMisbehaved(&'static str),
    /// What was to be sent is over the bound of a frame.
    TooLarge,
    /// No reply before the deadline.
    TimedOut,
    /// The operating system refused.
    Io(io::Error),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PeerGone => f.write_str("the other process is gone"),
            Self::PeerMisbehaved(how) => write!(f, "the other process broke the protocol: {how}"),
            Self::TooLarge => f.write_str("too large for a frame"),
            Self::TimedOut => f.write_str("no answer in time"),
            Self::Io(error) => write!(f, "{error}"),
        }
    }
}

impl std::error::Error for Error {}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        use io::ErrorKind as Kind;
        let gone = [
            Kind::BrokenPipe,
            Kind::ConnectionReset,
            Kind::ConnectionAborted,
            Kind::NotConnected,
            Kind::UnexpectedEof,
        ];
        if gone.contains(&error.kind()) { Self::PeerGone } else { Self::Io(error) }
    }
}
