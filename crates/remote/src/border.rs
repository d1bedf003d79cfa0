//! The last change before a message leaves: what addresses are called elsewhere. Whatever signs a
//! message comes after it.
//!
//! **Invariant:** of a message only the header is held in memory, and never more than [`MAX_HEADER`].

use std::borrow::Cow;
use std::io;

use daemon::{Error, Generation};
use envelope::{Body, NextHop, Protocol, ReversePath};
use ipc::delivery::{Attempt, Destination};
use message::{Party, end_of_header, rewrite_header, whole_fields};
use routing::{Part, Taker};

use crate::content::Content;

/// Bytes of a header that are looked at; fields beyond stay as they are. Sendmail takes no header
/// over 32 KiB (MaxHeadersLength).
const MAX_HEADER: usize = 256 * 1024;

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
        let Some(head) = Head::rewritten(border, taker, &header(&content)?) else {
            return Ok(content);
        };
        if head.needs_utf8 {
            attempt.smtputf8 = true;
            attempt.body = Body::EightBitMime;
        }
        attempt.size = attempt.size.saturating_sub(head.replaces) + head.text.len() as u64;
        Ok(content.with_head(head.text, head.replaces))
    }
}

/// What stands in place of a header.
struct Head {
    text: Vec<u8>,
    /// So many bytes.
    replaces: u64,
    /// An address beyond ASCII has come in (RFC 6532).
    needs_utf8: bool,
}

impl Head {
    /// `None`: the header stays as it is.
    fn rewritten(border: &routing::Border, taker: Taker, header: &[u8]) -> Option<Self> {
        let mut needs_utf8 = false;
        let text = rewrite_header(header, |party, written| {
            let part = match party {
                Party::Sender => Part::HeaderSender,
                Party::Recipient => Part::HeaderRecipient,
            };
            let (local, domain) = (written.local, written.domain);
            let address = border.rewrite((part, taker), local, domain, &mut Vec::new())?;
            needs_utf8 |= address.needs_utf8();
            Some(address)
        })?;
        Some(Self { text, replaces: end_of_header(header) as u64, needs_utf8 })
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

/// The header with what happens to follow, or as many whole fields of it as fit.
fn header(content: &Content) -> io::Result<Cow<'_, [u8]>> {
    let mut header = content.piece(0)?;
    while end_of_header(&header) == header.len() {
        let next = content.piece(header.len() as u64)?;
        if next.is_empty() {
            return Ok(header);
        }
        if header.len() + next.len() > MAX_HEADER {
            let whole = whole_fields(&header).len();
            header.to_mut().truncate(whole);
            return Ok(header);
        }
        header.to_mut().extend_from_slice(&next);
    }
    Ok(header)
}

#[cfg(test)]
pub(crate) mod tests;
