//! Giving messages to `qmgr`.

use std::time::Duration;

use config::Role;
use envelope::{Enhanced, QueueId};
use ipc::Lent;
use ipc::submission::{INLINE, Reply as Answer, Submit};
use message::{Completion, Received};
use smtp::Reply;
use smtp::server::{Message, Opening, Protocol};

use crate::room::Room;

/// A client waits ten minutes for the reply to the end of data (RFC 5321 §4.5.3.2.6).
const TIME: Duration = Duration::from_secs(300);

/// Gives a message that came whole.
pub(crate) async fn whole(room: &Room, message: &Message) -> Result<QueueId, Reply> {
    let (body, id_at) = dressed(room, &message.opening, &message.content);
    let envelope = message.opening.envelope.clone();
    if body.len() > INLINE {
        let declared_size = Some(message.size);
        let upload = Upload::open(room, Submit::Begin { envelope, id_at, declared_size }, &body);
        return upload.await?.end(b"").await;
    }
    let submit = Submit::Whole { envelope, id_at };
    match room.qmgr.call::<_, Answer>(&submit, &body, None, TIME).await {
        Ok(frame) => queued(frame.head),
        Err(error) => Err(fault(&error)),
    }
}

/// A message on its way to `qmgr`. Dropped before its end it is void.
#[derive(Debug)]
pub(crate) struct Upload {
    lent: Lent,
    qmgr: ipc::Client,
}

impl Upload {
    /// Begins with the first piece.
    pub(crate) async fn begin(room: &Room, opening: Opening, piece: &[u8]) -> Result<Self, Reply> {
        let (body, id_at) = dressed(room, &opening, piece);
        let Opening { envelope, declared_size, .. } = opening;
        Self::open(room, Submit::Begin { envelope, id_at, declared_size }, &body).await
    }

    async fn open(room: &Room, begin: Submit, body: &[u8]) -> Result<Self, Reply> {
        let lent = match tokio::time::timeout(TIME, room.qmgr.open()).await {
            Ok(Ok(lent)) => lent,
            Ok(Err(error)) => return Err(fault(&error)),
            Err(_) => return Err(fault(&ipc::Error::TimedOut)),
        };
        let mut upload = Self { lent, qmgr: room.qmgr.clone() };
        upload.send(&begin, body).await?;
        Ok(upload)
    }

    /// The next piece.
    pub(crate) async fn more(&mut self, piece: &[u8]) -> Result<(), Reply> {
        self.send(&Submit::More, piece).await
    }

    /// The last piece.
    pub(crate) async fn end(mut self, piece: &[u8]) -> Result<QueueId, Reply> {
        if !piece.is_empty() {
            self.more(piece).await?;
        }
        let answer = self.call(&Submit::End, b"").await?;
        self.qmgr.give_back(self.lent);
        queued(answer)
    }

    async fn send(&mut self, request: &Submit, body: &[u8]) -> Result<(), Reply> {
        match self.call(request, body).await? {
            Answer::Continue => Ok(()),
            answer @ (Answer::Queued(_) | Answer::Refused { .. }) => match queued(answer) {
                Ok(_) => Err(misbehaved()),
                Err(reply) => Err(reply),
            },
        }
    }

    async fn call(&mut self, request: &Submit, body: &[u8]) -> Result<Answer, Reply> {
        match self.lent.connection.call::<_, Answer>(request, body, None, TIME).await {
            Ok(frame) => Ok(frame.head),
            Err(error) => Err(fault(&error)),
        }
    }
}

fn queued(answer: Answer) -> Result<QueueId, Reply> {
    match answer {
        Answer::Queued(id) => Ok(id),
        Answer::Refused { code, text } => Err(Reply::from_text(code.clamp(400, 499), &text)),
        Answer::Continue => Err(misbehaved()),
    }
}

/// The content with our `Received` field in front (RFC 5321 §4.4), and where in it the queue id
/// goes. A submission is given the fields it lacks (RFC 6409 §8).
fn dressed(room: &Room, opening: &Opening, content: &[u8]) -> (Vec<u8>, Option<u32>) {
    const FIELDS: usize = 1024;
    let envelope = &opening.envelope;
    let date = room.date();
    let mut body = Vec::with_capacity(FIELDS + content.len());
    let received = Received {
        origin: &envelope.origin,
        by: &room.config.hostname,
        with: match opening.protocol {
            Protocol::Smtp => message::Protocol::Smtp,
            Protocol::Esmtp => message::Protocol::Esmtp,
            Protocol::Utf8Smtp => message::Protocol::Utf8Smtp,
        },
        recipient: match envelope.recipients.as_slice() {
            [recipient] => Some(&recipient.address),
            _ => None,
        },
        date,
    };
    let id_at = received.write(&mut body);
    match room.role {
        Role::Submission => body.extend(message::completion(
            content,
            &Completion {
                date,
                random: fastrand::u64(..),
                hostname: &room.config.hostname,
                from: envelope.reverse_path.0.as_ref(),
                full_name: None,
            },
        )),
        // Without this line the first line of a body without a header would join our field.
        Role::Mx if message::end_of_header(content) == 0 && !content.starts_with(b"\r\n") => {
            body.extend_from_slice(b"\r\n");
        }
        Role::Mx => {}
    }
    body.extend_from_slice(content);
    (body, u32::try_from(id_at).ok())
}

fn fault(error: &ipc::Error) -> Reply {
    tracing::warn!("qmgr cannot take a message: {error}");
    Reply::new(451, Enhanced::SYSTEM, "Our fault, try again later")
}

fn misbehaved() -> Reply {
    fault(&ipc::Error::PeerMisbehaved("an answer out of order"))
}
