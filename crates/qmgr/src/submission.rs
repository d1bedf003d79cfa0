//! `smtpd` gives messages to the queue.
//!
//! **Invariant:** [`Reply::Queued`] is sent only when the message is durable.
//! **Invariant:** a submitter that breaks the protocol loses its connection, and nothing else.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use daemon::Drain;
use envelope::{Aliasing, Envelope, Origin, QueueId};
use ipc::admin::News;
use ipc::submission::{INLINE, Reply, Submit};
use ipc::{Arrow, Connection, Error, Frame, Incoming};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::record::MessageRecord;
use crate::round;
use crate::shared::{Arrived, Shared, Wake, rethrow};
use crate::statistics::Mailer;
use crate::store::{NewMessage, StoreError};

/// Connections of one role: each session has one at most.
const CONNECTIONS: usize = 4096;
/// Bytes of the frames of one role that are received, written or waited for at a time: whoever has
/// more to give waits, before any of it is in memory. Each is worth its content twice and its
/// envelope a few times.
const IN_HAND: usize = 32 << 20;
/// How long the rest of a frame may take that has begun.
const FRAME: Duration = Duration::from_secs(60);
/// How long the next piece of a long message may take: `smtpd` waits for its client as long as
/// RFC 5321 §4.5.3.2.6 asks, and then gives up by itself.
const PIECE: Duration = Duration::from_secs(20 * 60);
/// How long messages that are being submitted may take once the process is to end.
const LAST_MESSAGES: Duration = Duration::from_secs(30);
/// Bytes that `smtpd` puts before the content that the client sent.
const OUR_FIELDS: u64 = 32 * 1024;

/// Serves everyone who comes through one door, until the process drains.
pub async fn serve(shared: &Arc<Shared>, arrow: Arrow, mut incoming: Incoming, mut drain: Drain) {
    let mut submitters = JoinSet::new();
    let room = Arc::new(Semaphore::new(IN_HAND));
    loop {
        tokio::select! {
            connection = incoming.next(), if submitters.len() < CONNECTIONS => {
                let submitter = Submitter {
                    shared: Arc::clone(shared),
                    arrow,
                    connection,
                    room: Arc::clone(&room),
                };
                submitters.spawn(submitter.serve(drain.clone()));
            }
            Some(ended) = submitters.join_next() => {
                if let Err(error) = ended {
                    rethrow(error);
                }
            }
            () = drain.begun() => break,
        }
    }
    // Those in the middle of a message may finish it; of the others nothing was accepted.
    let finish = async { while submitters.join_next().await.is_some() {} };
    let _ = tokio::time::timeout(LAST_MESSAGES, finish).await;
}

/// One connection.
struct Submitter {
    shared: Arc<Shared>,
    arrow: Arrow,
    connection: Connection,
    /// What is left of [`IN_HAND`].
    room: Arc<Semaphore>,
}

/// A frame, and the room that it has: to be kept for as long as what is in it.
type Held = (Frame<Submit>, OwnedSemaphorePermit);

impl Submitter {
    async fn serve(mut self, mut drain: Drain) {
        loop {
            let served = tokio::select! {
                bytes = self.connection.announced() => match bytes {
                    Ok(bytes) => self.take(bytes).await,
                    Err(error) => Err(error),
                },
                () = drain.begun() => return,
            };
            match served {
                Ok(()) => {}
                Err(Error::PeerGone) => return,
                Err(error) => return tracing::warn!("{}: {error}", self.arrow),
            }
        }
    }

    /// Receives a frame of so many bytes, once there is room for it.
    async fn receive(&mut self, bytes: usize) -> Result<Held, Error> {
        let bytes = u32::try_from(bytes).map_err(|_| Error::TooLarge)?;
        // Never closed.
        let room = Arc::clone(&self.room).acquire_many_owned(bytes).await;
        let room = room.map_err(|_| Error::PeerGone)?;
        Ok((self.connection.receive_within(FRAME).await?, room))
    }

    /// Takes one message, which begins with so many bytes.
    async fn take(&mut self, bytes: usize) -> Result<(), Error> {
        let (Frame { head, body, .. }, room) = self.receive(bytes).await?;
        match head {
            Submit::Whole { envelope, quarantine, id_at } if body.len() <= INLINE => {
                self.check(&envelope)?;
                let id = self.shared.next_id();
                let content = named(&body, id_at, id)?;
                let mut arrived = self.arrived(id, envelope, quarantine);
                let new = arrived.with_content(&self.shared, content);
                self.submit(new, arrived).await
            }
            Submit::Whole { envelope, quarantine, id_at } => {
                self.check(&envelope)?;
                self.stream((envelope, quarantine), (body, room), id_at, Rest::None).await
            }
            Submit::Begin { envelope, quarantine, id_at, declared_size: _ } => {
                self.check(&envelope)?;
                self.stream((envelope, quarantine), (body, room), id_at, Rest::Follows).await
            }
            Submit::Tally(tally) => {
                self.shared.counters.told(self.arrow, tally);
                self.connection.send(&Reply::Noted, b"", None).await
            }
            Submit::More | Submit::End => Err(Error::PeerMisbehaved("a piece of no message")),
        }
    }

    /// Takes content that is too long for the database into a spool file.
    async fn stream(
        &mut self,
        (envelope, quarantine): (Envelope, Option<String>),
        (first, mut room): (Bytes, OwnedSemaphorePermit),
        id_at: Option<u32>,
        rest: Rest,
    ) -> Result<(), Error> {
        let id = self.shared.next_id();
        let mut piece = named(&first, id_at, id)?;
        drop(first);
        let mut writer = match self.shared.store.spool(id).await {
            Ok(writer) => writer,
            Err(error) => return self.refuse(&error).await,
        };
        loop {
            if writer.size() + piece.len() as u64
                > self.shared.rules().bounds.message_size + OUR_FIELDS
            {
                return Err(Error::PeerMisbehaved("a message over the limit"));
            }
            if let Err(error) = writer.write(piece).await {
                return self.refuse(&error).await;
            }
            // Clients that take their time have none of it.
            drop(room);
            if rest == Rest::None {
                break;
            }
            self.connection.send(&Reply::Continue, b"", None).await?;
            let next = timeout(PIECE, self.connection.announced()).await;
            let (frame, its_room) = self.receive(next.map_err(|_| Error::TimedOut)??).await?;
            room = its_room;
            piece = match frame.head {
                Submit::More => frame.body,
                Submit::End => break,
                Submit::Whole { .. } | Submit::Begin { .. } | Submit::Tally(_) => {
                    return Err(Error::PeerMisbehaved("a message within a message"));
                }
            };
        }
        let file = match writer.finish().await {
            Ok(file) => file,
            Err(error) => return self.refuse(&error).await,
        };
        let mut arrived = self.arrived(id, envelope, quarantine);
        let new = arrived.with_file(file);
        self.submit(new, arrived).await
    }

    fn arrived(&self, id: QueueId, envelope: Envelope, quarantine: Option<String>) -> Arrived {
        let arrived = Arrived::new(&self.shared, id, envelope);
        match quarantine {
            Some(reason) => arrived.held(reason),
            None => round::foresee(&self.shared, arrived),
        }
    }

    async fn submit(&mut self, new: NewMessage, arrived: Arrived) -> Result<(), Error> {
        let row = arrived.row();
        let MessageRecord { origin, size, held, .. } = arrived.message.record.clone();
        let is_put_off = arrived.is_put_off();
        let wake = if held {
            None
        } else if is_put_off {
            Some(Wake::Due(row))
        } else {
            self.shared.begin(row.id);
            Some(Wake::Arrived(arrived))
        };
        if let Err(error) = self.shared.store.submit(new).await {
            self.shared.end(row.id);
            return self.refuse(&error).await;
        }
        self.shared.counters.arrived(Mailer::of_origin(&origin), size, held);
        if is_put_off || held {
            self.shared.reporter.tell(&origin, || News::Rest(row.id));
        }
        let told = self.connection.send(&Reply::Queued(row.id), b"", None).await;
        if let Some(wake) = wake {
            self.shared.wake(wake).await;
        }
        told
    }

    async fn refuse(&mut self, error: &StoreError) -> Result<(), Error> {
        let (code, text) = match error {
            StoreError::Full => (452, "4.3.1 Insufficient system storage"),
            StoreError::Unavailable(_) | StoreError::Closed => (451, "4.3.0 Queue trouble"),
        };
        tracing::warn!("a message is not taken: {error}");
        self.connection.send(&Reply::Refused { code, text: text.to_owned() }, b"", None).await
    }

    /// The bounds that `smtpd` has kept, unless it is not itself any more.
    fn check(&self, envelope: &Envelope) -> Result<(), Error> {
        let recipients = envelope.recipients.len();
        if recipients == 0 || recipients > self.shared.rules().bounds.recipients {
            return Err(Error::PeerMisbehaved("too many recipients, or none"));
        }
        match (&envelope.origin, self.arrow) {
            (Origin::Client { .. }, _) if envelope.aliasing == Aliasing::Skipped => {
                Err(Error::PeerMisbehaved("aliases skipped by a client"))
            }
            (Origin::Client { .. }, _) | (Origin::User { .. }, Arrow::SubmissionToQmgr) => Ok(()),
            (Origin::User { .. } | Origin::Ourselves, _) => {
                Err(Error::PeerMisbehaved("an origin that is not its own"))
            }
        }
    }
}

/// Does more of the content follow in frames of its own?
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rest {
    None,
    Follows,
}

/// The content with the id in its place.
fn named(body: &Bytes, id_at: Option<u32>, id: QueueId) -> Result<Bytes, Error> {
    // A copy in any case: `body` shares its memory with what the connection reads next.
    let mut content = body.to_vec();
    if let Some(at) = id_at {
        let place = usize::try_from(at)
            .ok()
            .and_then(|at| content.get_mut(at..at.checked_add(QueueId::WIDTH)?));
        let place = place.ok_or(Error::PeerMisbehaved("no place for the id"))?;
        place.copy_from_slice(id.to_string().as_bytes());
    }
    Ok(content.into())
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use envelope::QueueId;

    use super::named;

    #[test]
    fn the_id_stays_in_its_bounds() {
        let id = QueueId::new(52).unwrap();
        let body = Bytes::from_static(b"id ............. rest");
        assert_eq!(
            named(&body, Some(3), id).unwrap(),
            Bytes::from_static(b"id 0000000000052 rest")
        );
        assert_eq!(named(&body, Some(8), id).unwrap().len(), body.len());
        assert!(named(&body, Some(9), id).is_err());
        assert!(named(&body, Some(u32::MAX), id).is_err());
        assert_eq!(named(&body, None, id).unwrap(), body);
    }
}
