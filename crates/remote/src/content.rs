//! The content of one message, read as it is sent.

use std::borrow::Cow;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;

use bytes::Bytes;
use memchr::memmem;

/// Bytes that are read and sent at a time.
pub(crate) const PIECE: usize = 64 * 1024;

/// Where it is.
#[derive(Debug)]
pub(crate) enum Content {
    /// It came along.
    Inline(Bytes),
    /// The spool file, which `qmgr` opened for us. Its offset is shared with others: `pread` only.
    Spooled { file: File, size: u64 },
    /// With a header of its own, and then `rest` from `rest_at` on.
    Headed { head: Vec<u8>, rest: Box<Self>, rest_at: u64 },
}

impl Content {
    pub(crate) fn new(body: Bytes, descriptor: Option<OwnedFd>, size: u64) -> Self {
        match descriptor {
            Some(fd) => Self::Spooled { file: File::from(fd), size },
            None => Self::Inline(body),
        }
    }

    /// The same with `head` in place of its first `replaced` bytes.
    pub(crate) fn with_head(self, head: Vec<u8>, replaced: u64) -> Self {
        Self::Headed { head, rest: Box::new(self), rest_at: replaced }
    }

    /// What stands at `offset`, at most [`PIECE`] bytes; nothing: this is the end. A local disk
    /// answers faster than the network takes, so that reading may block.
    ///
    /// # Errors
    /// The file cannot be read, or is shorter than its record says.
    pub(crate) fn piece(&self, offset: u64) -> io::Result<Cow<'_, [u8]>> {
        match self {
            Self::Inline(body) => Ok(Cow::Borrowed(piece_of(body, offset))),
            Self::Headed { head, rest, rest_at } => match piece_of(head, offset) {
                [] => rest.piece((offset - head.len() as u64).saturating_add(*rest_at)),
                piece => Ok(Cow::Borrowed(piece)),
            },
            Self::Spooled { file, size } => {
                let left = usize::try_from(size.saturating_sub(offset)).unwrap_or(usize::MAX);
                let mut piece = vec![0; left.min(PIECE)];
                file.read_exact_at(&mut piece, offset)?;
                Ok(Cow::Owned(piece))
            }
        }
    }

    /// Is there anything beyond ASCII in the header section (RFC 6532)? A section of more than
    /// [`PIECE`] bytes is taken for one.
    pub(crate) fn has_utf8_header(&self) -> io::Result<bool> {
        let piece = self.piece(0)?;
        match memmem::find(&piece, b"\r\n\r\n") {
            Some(end) => Ok(!piece.get(..end).unwrap_or_default().is_ascii()),
            None => Ok(piece.len() == PIECE || !piece.is_ascii()),
        }
    }
}

fn piece_of(text: &[u8], offset: u64) -> &[u8] {
    let start = usize::try_from(offset).unwrap_or(usize::MAX);
    let rest = text.get(start..).unwrap_or_default();
    rest.get(..PIECE).unwrap_or(rest)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn spooled(bytes: &[u8], size: u64) -> Content {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        Content::new(Bytes::new(), Some(file.into()), size)
    }

    fn whole(content: &Content) -> io::Result<Vec<u8>> {
        let mut all = Vec::new();
        loop {
            let piece = content.piece(all.len() as u64)?;
            if piece.is_empty() {
                return Ok(all);
            }
            all.extend_from_slice(&piece);
        }
    }

    #[test]
    fn comes_in_pieces_from_both_places() {
        let bytes: Vec<u8> = (0..=250).cycle().take(PIECE * 2 + 10).collect();
        assert_eq!(whole(&spooled(&bytes, bytes.len() as u64)).unwrap(), bytes);
        assert_eq!(whole(&Content::new(bytes.clone().into(), None, 0)).unwrap(), bytes);
    }

    #[test]
    fn a_short_file_is_a_fault_and_not_an_end() {
        assert!(whole(&spooled(b"half", 8)).is_err());
    }

    #[test]
    fn only_the_header_section_counts() {
        let is_utf8 = |text: &str| {
            Content::new(Bytes::copy_from_slice(text.as_bytes()), None, 0)
                .has_utf8_header()
                .unwrap()
        };
        assert!(!is_utf8("Subject: a\r\n\r\nä"));
        assert!(is_utf8("Subject: ä\r\n\r\na"));
        assert!(is_utf8("Subject: ä\r\n"));
        assert!(!is_utf8(""));
    }
}
