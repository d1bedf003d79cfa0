//! What addresses are called in mail for the mailboxes of this machine: domaintable, and, unless
//! `masquerade.local` is off, what they are called elsewhere.

use std::borrow::Cow;
use std::io;
use std::os::fd::AsFd;

use bytes::Bytes;
use daemon::{Error, Generation};
use envelope::ReversePath;
use ipc::MAX_BODY;
use ipc::delivery::Attempt;
use message::{NewHeader, Party, Written, rewrite_content};
use routing::{Part, Taker};
use rustix::io::pread;

use crate::conversation::Content;

/// Bytes of a spool file that are read at a time.
const PIECE: usize = 64 * 1024;

/// `None`: nothing is said about it, and nothing is looked at.
#[derive(Debug)]
pub(crate) struct Border(Option<routing::Border>);

impl Border {
    /// That of a generation.
    pub(crate) fn read(generation: &Generation) -> Result<Self, Error> {
        let config = &generation.config;
        let border = routing::Border::read(config.routing(), config.masquerade.clone(), generation);
        Ok(Self(Some(border?).filter(routing::Border::changes_names)))
    }

    /// Has the message named as it is to be stored. A header that would not fit into a frame stays.
    ///
    /// # Errors
    /// The content cannot be read.
    pub(crate) fn cross(&self, attempt: &mut Attempt, content: Content) -> io::Result<Content> {
        let Some(border) = &self.0 else { return Ok(content) };
        let taker = Taker::Local;
        if let Some(address) = border.reverse_path(&attempt.reverse_path, taker, &mut Vec::new()) {
            attempt.reverse_path = ReversePath(Some(address));
        }
        let size = attempt.size;
        let header = rewrite_content(
            |offset| piece(&content, size, offset),
            |party, Written { local, domain }| {
                let part = match party {
                    Party::Sender => Part::HeaderSender,
                    Party::Recipient => Part::HeaderRecipient,
                };
                border.rewrite((part, taker), local, domain, &mut Vec::new())
            },
        )?;
        let Some(NewHeader { mut text, replaces }) = header else { return Ok(content) };
        let length = text.len() as u64;
        let replaced = if content.descriptor.is_some() {
            replaces
        } else {
            let start = usize::try_from(replaces).unwrap_or(usize::MAX);
            text.extend_from_slice(content.body.get(start..).unwrap_or_default());
            0
        };
        if text.len() > MAX_BODY {
            tracing::warn!("{}: its header is too long to be rewritten", attempt.id);
            return Ok(content);
        }
        attempt.size = size.saturating_sub(replaces) + length;
        Ok(Content { body: Bytes::from(text), replaced, ..content })
    }
}

fn piece(content: &Content, size: u64, offset: u64) -> io::Result<Cow<'_, [u8]>> {
    let Some(file) = &content.descriptor else {
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        return Ok(Cow::Borrowed(content.body.get(start..).unwrap_or_default()));
    };
    let left = usize::try_from(size.saturating_sub(offset)).unwrap_or(usize::MAX);
    let mut piece = vec![0; left.min(PIECE)];
    let read = pread(file.as_fd(), &mut piece, offset)?;
    if read < piece.len() {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(Cow::Owned(piece))
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::io::Write as _;
    use std::sync::Arc;

    use envelope::{Body, QueueId, Recipient};
    use ipc::delivery::Destination;
    use routing::{Masquerade, Settings};
    use tables::{Reader, Source};

    use super::*;

    struct NoTables;

    impl Source for NoTables {
        type Error = Infallible;

        fn table<T: Default>(&self, _: &str, _: Reader<T>) -> Result<T, Infallible> {
            Ok(T::default())
        }
    }

    fn border(local: bool) -> Border {
        let name = Some("out.test".to_owned());
        let masquerade = Masquerade { name, envelope: true, local, ..Masquerade::default() };
        let settings = Settings { hostname: "in.test".into(), ..Settings::default() };
        let Ok(border) = routing::Border::read(settings, masquerade, &NoTables);
        Border(Some(border))
    }

    fn attempt(size: usize) -> Attempt {
        Attempt {
            id: QueueId::new(1).unwrap(),
            reverse_path: ReversePath("alice@in.test".parse().ok()),
            recipients: vec![Recipient::plain("bob@in.test".parse().unwrap())],
            destination: Destination::Local { user: "bob".into(), detail: None, verbatim: false },
            body: Body::SevenBit,
            smtputf8: false,
            ret: None,
            envid: None,
            size: size as u64,
            arrival: 0,
            watched: false,
            priority: 30_000,
            histories: Vec::new(),
        }
    }

    /// Both ways that content comes.
    fn contents(text: &str) -> [Content; 2] {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        let body = Bytes::copy_from_slice(text.as_bytes());
        [
            Content { body, descriptor: None, replaced: 0 },
            Content { body: Bytes::new(), descriptor: Some(Arc::new(file.into())), replaced: 0 },
        ]
    }

    #[test]
    fn mail_that_stays_is_named_unless_that_is_off() {
        const TEXT: &str = "From: alice@in.test\r\n\r\nbody";
        for (local, from) in [(true, "alice@out.test"), (false, "alice@in.test")] {
            let [inline, spooled] = contents(TEXT).map(|content| {
                let mut attempt = attempt(TEXT.len());
                let content = border(local).cross(&mut attempt, content).unwrap();
                assert_eq!(attempt.reverse_path.to_string(), from);
                assert_eq!(attempt.size, format!("From: {from}\r\n\r\nbody").len() as u64);
                content
            });
            assert_eq!(inline.body, format!("From: {from}\r\n\r\nbody").as_bytes());
            let (head, replaced) = if local { ("From: alice@out.test\r\n", 21) } else { ("", 0) };
            assert_eq!((&*spooled.body, spooled.replaced), (head.as_bytes(), replaced));
        }
    }

    #[test]
    fn a_header_that_fits_no_frame_stays() {
        let text = format!("From: alice@in.test\r\nX: {}\r\n\r\n", "x".repeat(MAX_BODY));
        for content in contents(&text) {
            let mut attempt = attempt(text.len());
            let before = content.body.clone();
            let content = border(true).cross(&mut attempt, content).unwrap();
            assert_eq!((content.body, content.replaced), (before, 0));
            assert_eq!(attempt.size, text.len() as u64);
        }
    }
}
