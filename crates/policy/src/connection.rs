//! What the access table says of a client before it has said anything (FEATURE(`ratecontrol'),
//! FEATURE(`conncontrol'), FEATURE(`greet_pause'), the ruleset srv_features).

use std::fmt;
use std::net::IpAddr;

use envelope::Extensions;
use tables::{Features, Hit, Tag};

use crate::access::literal;
use crate::verdict::Step;
use crate::{Client, ClientName, Policy};

/// On what terms a client is served; `None`: the table says nothing of that.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
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

impl Policy {
    /// On what terms is this client served? `trace` is told the lines that say so.
    #[must_use]
    pub fn terms(&self, address: IpAddr, name: &ClientName, trace: &mut Vec<Step>) -> Terms {
        let address = address.to_canonical();
        let called = called(name, address);
        let mut of = |tag, name| {
            let hit = self.access.number(tag, name, address).or_else(|| self.for_all(tag, address));
            hit.map(|hit: Hit<u32>| {
                trace.push(Step::access(&hit));
                hit.value
            })
        };
        let (rate, sessions) = (of(Tag::ClientRate, None), of(Tag::ClientConn, None));
        let pause = of(Tag::GreetPause, called.as_deref());
        let features = self.features(address, name);
        trace.extend(features.as_ref().map(Step::access));
        let withheld = features.map_or(Extensions::NONE, |hit| hit.value.withheld);
        Terms { rate, sessions, pause, withheld }
    }

    /// What is a client not offered, and by which line?
    #[must_use]
    pub fn features(&self, address: IpAddr, name: &ClientName) -> Option<Hit<Features>> {
        let address = address.to_canonical();
        self.access.features(called(name, address).as_deref(), address)
    }

    /// What is said of all is said of strangers: our own networks have lines of their own.
    fn for_all(&self, tag: Tag, address: IpAddr) -> Option<Hit<u32>> {
        let client = Client::Network { address, name: &ClientName::NotAsked };
        if self.is_ours(client) { None } else { self.access.number_for_all(tag) }
    }
}

/// `${client_name}`, if names matter.
fn called(name: &ClientName, address: IpAddr) -> Option<String> {
    match name {
        ClientName::Confirmed(name) => Some(name.clone()),
        ClientName::None | ClientName::Unknown => Some(literal(address)),
        ClientName::NotAsked => None,
    }
}

impl fmt::Display for Terms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let limit = |limit: u32| if limit == 0 { "any".to_owned() } else { limit.to_string() };
        if let Some(rate) = self.rate {
            write!(f, "{} connections a minute; ", limit(rate))?;
        }
        if let Some(sessions) = self.sessions {
            write!(f, "{} sessions at a time; ", limit(sessions))?;
        }
        match self.pause {
            Some(pause @ 1..) => write!(f, "greeted after {pause} ms"),
            Some(0) | None => f.write_str("greeted at once"),
        }?;
        if self.withheld.is_empty() { Ok(()) } else { write!(f, "; without {}", self.withheld) }
    }
}
