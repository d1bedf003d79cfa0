//! The last change before a message leaves: what addresses are called elsewhere. Whatever signs a
//! message comes after it.
//!
//! **Invariant:** of a message only the header is held in memory, and never more than
//! [`MAX_HEADER`](message::MAX_HEADER) and what it becomes.

use std::io;

use daemon::{Error, Generation};
use envelope::{Body, NextHop, Protocol, ReversePath};
use ipc::delivery::{Attempt, Destination};
use message::{Party, Written, rewrite_content};
use routing::{Part, Taker};

use crate::content::Content;

/// What addresses are called; `None`: nothing is said about it, and nothing is looked at.
#[derive(Debug)]
pub(crate) struct Border(Option<routing::Border>);

impl Border {
    /// That of a generation.
    pub(crate) fn read(generation: &Generation) -> Result<Self, Error> {
        let config = &generation.config;
        let border = routing::Border::read(config.routing(), config.masquerade.clone(), generation);
        border.map(Self::new)
    }

    pub(crate) fn new(border: routing::Border) -> Self {
        Self(Some(border).filter(routing::Border::changes_names))
    }

    /// Has the message named as it is to leave: the attempt's reverse-path, and the content.
    ///
    /// # Errors
    /// The content cannot be read.
    pub(crate) fn cross(&self, attempt: &mut Attempt, content: Content) -> io::Result<Content> {
        let Some(border) = &self.0 else { return Ok(content) };
        let taker = taker(&attempt.destination);
        if let Some(address) = border.reverse_path(&attempt.reverse_path, taker, &mut Vec::new()) {
            attempt.reverse_path = ReversePath(Some(address));
        }
        let mut needs_utf8 = false;
        let replace = |party, Written { local, domain }: Written<'_>| {
            let part = match party {
                Party::Sender => Part::HeaderSender,
                Party::Recipient => Part::HeaderRecipient,
            };
            let address = border.rewrite((part, taker), local, domain, &mut Vec::new())?;
            needs_utf8 |= address.needs_utf8();
            Some(address)
        };
        let Some(header) = rewrite_content(|offset| content.piece(offset), replace)? else {
            return Ok(content);
        };
        if needs_utf8 {
            // RFC 6532: an address beyond ASCII has come in.
            attempt.smtputf8 = true;
            attempt.body = Body::EightBitMime;
        }
        attempt.size = attempt.size.saturating_sub(header.replaces) + header.text.len() as u64;
        Ok(content.with_head(header.text, header.replaces))
    }
}

fn taker(destination: &Destination) -> Taker {
    match destination {
        Destination::Remote(NextHop { protocol: Protocol::Smtp, .. }) => Taker::Smtp,
        Destination::Remote(NextHop { protocol: Protocol::Lmtp, .. })
        | Destination::Local { .. }
        | Destination::Special { .. } => Taker::Local,
    }
}

#[cfg(test)]
pub(crate) mod tests;
