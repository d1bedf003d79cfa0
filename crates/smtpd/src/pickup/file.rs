//! One dropped file.
//!
//! Lines `MAIL FROM:<…> …`, `RCPT TO:<…> …` once or more, and `DATA`, each with CRLF; then the
//! content, not dot-stuffed, to the end of the file. It goes through the same state machine as a
//! client's words do, as one last chunk.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use envelope::Disposition;
use memchr::memmem;
use nix::errno::Errno;
use nix::fcntl::OFlag;
use smtp::server::{Peer, Refusal, Session, Stage, Step};

use crate::room::Room;
use crate::upload::Handover;

/// Bytes of the lines before the content: 1,000 recipients with all their parameters.
const MAX_ENVELOPE: usize = 1024 * 1024;
/// Bytes read at a time.
const CHUNK: usize = 64 * 1024;

/// What became of a file.
#[derive(Debug)]
pub(super) enum Outcome {
    /// Its message is durable.
    Queued,
    /// There is no such file any more.
    Gone,
    /// It has to wait; not its fault.
    NotNow,
    /// It cannot be read now; the others may be.
    Unread(io::Error),
    /// It will never do, and why.
    Unusable(String),
}

/// Gives the message in a file to `qmgr`.
pub(super) async fn take(room: &Room, path: &Path) -> Outcome {
    match read(room, path).await {
        Ok(()) => Outcome::Queued,
        Err(outcome) => outcome,
    }
}

async fn read(room: &Room, path: &Path) -> Result<(), Outcome> {
    let (file, owner) = open(path, room.config.limits.message_size)?;
    let mut dropped = Dropped::cut(file)?;
    let peer = Peer::User { uid: owner, name: room.users.name(&room.policyd, owner).await };
    let session = Session::new(Arc::clone(&room.settings), peer, Instant::now());
    let mut reading = Reading { room, session, handover: Handover::default(), queued: false };
    reading.feed(b"HELO localhost\r\n").await?;
    reading.feed(&dropped.envelope).await?;
    reading.feed(format!("BDAT {} LAST\r\n", dropped.size).as_bytes()).await?;
    while !reading.queued {
        reading.feed(&dropped.next()?).await?;
    }
    Ok(())
}

/// Opens a file that may be anything, and says whose it is.
fn open(path: &Path, message_size: u64) -> Result<(File, u32), Outcome> {
    let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
    let opened = File::options().read(true).custom_flags(flags.bits()).open(path);
    let file = opened.map_err(unopened)?;
    let metadata = file.metadata().map_err(Outcome::Unread)?;
    let flaw = if !metadata.is_file() {
        Some("not a regular file")
    } else if metadata.nlink() != 1 {
        Some("it has another name")
    } else if metadata.mode() & 0o022 != 0 {
        Some("others may write to it")
    } else if metadata.len() > message_size.saturating_add(MAX_ENVELOPE as u64) {
        Some("too large")
    } else {
        None
    };
    flaw.map_or(Ok((file, metadata.uid())), |flaw| Err(unusable(flaw)))
}

/// A symbolic link, a socket, or what its owner keeps from us will never do. Else we may lack
/// descriptors or memory, or the disk fails: that is not the fault of the file.
fn unopened(error: io::Error) -> Outcome {
    match error.raw_os_error().map(Errno::from_raw) {
        Some(Errno::ENOENT) => Outcome::Gone,
        Some(Errno::ELOOP | Errno::ENXIO | Errno::EACCES | Errno::EPERM) => unusable(error),
        _ => Outcome::Unread(error),
    }
}

fn unusable(reason: impl ToString) -> Outcome {
    Outcome::Unusable(reason.to_string())
}

/// A file, cut where its content begins.
struct Dropped {
    /// Whole lines.
    envelope: Vec<u8>,
    /// Bytes of content.
    size: u64,
    /// Content that is read already.
    ahead: Vec<u8>,
    file: File,
}

impl Dropped {
    fn cut(mut file: File) -> Result<Self, Outcome> {
        const END: &[u8] = b"\r\nDATA\r\n";
        let mut head = Vec::new();
        let at = loop {
            if let Some(at) = memmem::find(&head, END) {
                break at;
            }
            if head.len() >= MAX_ENVELOPE || read_some(&mut file, &mut head)? == 0 {
                return Err(unusable("it has no line DATA"));
            }
        };
        let ahead = head.split_off(at + END.len());
        head.truncate(at + 2);
        if !head.split_inclusive(|&byte| byte == b'\n').all(is_envelope) {
            return Err(unusable("a line before DATA is neither MAIL nor RCPT"));
        }
        let length = file.metadata().map_err(Outcome::Unread)?.len();
        let size = length.saturating_sub((at + END.len()) as u64);
        Ok(Self { envelope: head, size, ahead, file })
    }

    /// The next bytes of content, the end of which is told by [`Dropped::size`].
    fn next(&mut self) -> Result<Vec<u8>, Outcome> {
        let mut chunk = std::mem::take(&mut self.ahead);
        if chunk.is_empty() && read_some(&mut self.file, &mut chunk)? == 0 {
            return Err(unusable("its end is missing"));
        }
        Ok(chunk)
    }
}

fn is_envelope(line: &[u8]) -> bool {
    let verb = line.first_chunk::<5>();
    verb.is_some_and(|verb| [b"MAIL ", b"RCPT "].iter().any(|v| verb.eq_ignore_ascii_case(*v)))
}

fn read_some(file: &mut File, out: &mut Vec<u8>) -> Result<usize, Outcome> {
    file.take(CHUNK as u64).read_to_end(out).map_err(Outcome::Unread)
}

/// A file on its way through the state machine.
struct Reading<'a> {
    room: &'a Room,
    session: Session,
    handover: Handover,
    queued: bool,
}

impl Reading<'_> {
    async fn feed(&mut self, mut input: &[u8]) -> Result<(), Outcome> {
        while !self.queued {
            let step = self.session.step(&mut input, Instant::now());
            self.session.output().clear();
            if let Some(refusal) = self.session.refusals().into_iter().next() {
                return Err(refused(&refusal));
            }
            match step {
                Step::Read => break,
                // Whom mail may be for is found out when it is routed.
                Step::Check(question) => {
                    self.session
                        .verdicts(question.recipients.iter().map(|_| Ok(Disposition::Deliver)));
                }
                Step::Piece(piece) => {
                    self.handover.piece(self.room, &mut self.session, &piece).await;
                }
                Step::Submit(message) => {
                    self.queued =
                        self.handover.submit(self.room, &mut self.session, &message).await;
                }
                Step::Close(_) => return Err(unusable("it ends too soon")),
            }
        }
        Ok(())
    }
}

/// A 4xx for the content is `qmgr`'s: it cannot now. All else stays as it is.
fn refused(refusal: &Refusal) -> Outcome {
    if refusal.stage == Stage::Content && refusal.reply.class() == 4 {
        Outcome::NotNow
    } else {
        unusable(&refusal.reply)
    }
}
