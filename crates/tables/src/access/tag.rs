//! The words before the colon of an access entry.

/// What a look-up is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Tag {
    /// The client.
    Connect,
    /// The reverse-path.
    From,
    /// A recipient.
    To,
    /// A recipient who wants to be spared some checks, or not.
    Spam,
    /// A reverse-path and a recipient.
    Compat,
    /// Connections of a client in a time.
    ClientRate,
    /// Connections of a client at a time.
    ClientConn,
    /// How long a client waits for the greeting.
    GreetPause,
    /// What is not offered to a client.
    SrvFeatures,
}

impl Tag {
    pub(super) const fn prefix(self) -> &'static str {
        match self {
            Self::Connect => "connect:",
            Self::From => "from:",
            Self::To => "to:",
            Self::Spam => "spam:",
            Self::Compat => "compat:",
            Self::ClientRate => "clientrate:",
            Self::ClientConn => "clientconn:",
            Self::GreetPause => "greetpause:",
            Self::SrvFeatures => "srv_features:",
        }
    }

    /// Do keys without a tag count, too (proto.m4: the marks + and !)?
    pub(super) const fn falls_back(self) -> bool {
        match self {
            Self::Connect | Self::From | Self::To => true,
            Self::Spam
            | Self::Compat
            | Self::ClientRate
            | Self::ClientConn
            | Self::GreetPause
            | Self::SrvFeatures => false,
        }
    }
}
