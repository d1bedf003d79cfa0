//! Giving messages to `qmgr`.

use std::time::Duration;

use envelope::{Enhanced, QueueId};
use ipc::Lent;
use ipc::submission::{INLINE, Reply as Answer, Submit};
use jiff::Timestamp;
use smtp::Reply;
use smtp::server::{Fate, Message, Opening, Session};
use tokio::time::timeout;

use crate::log;
use crate::room::Room;

mod dress;

use dress::{Extent, dressed};

/// A client waits ten minutes for the reply to the end of data (RFC 5321 §4.5.3.2.6).
const TIME: Duration = Duration::from_secs(300);
/// Bytes of a Message-ID in the log.
const MESSAGE_ID: usize = 200;

/// Hands the messages of one session on.
#[derive(Debug, Default)]
pub(crate) struct Handover {
    /// Content that is on its way.
    upload: Option<Upload>,
    /// Of what was handed on last, for the log.
    message_id: String,
}

impl Handover {
    /// Carries out [`Step::Piece`](smtp::server::Step::Piece).
    pub(crate) async fn piece(&mut self, room: &Room, session: &mut Session, piece: &[u8]) {
        let upload = match self.upload.take() {
            Some(upload) => upload.more(piece).await,
            None => match session.opening() {
                // What is to be discarded goes nowhere.
                None | Some(Opening { fate: Fate::Discard, .. }) => return,
                Some(opening) => Upload::begin(room, opening, piece, &mut self.message_id).await,
            },
        };
        match upload {
            Ok(upload) => self.upload = Some(upload),
            Err(reply) => session.refuse_content(reply),
        }
    }

    /// Carries out [`Step::Submit`](smtp::server::Step::Submit); was the message queued?
    pub(crate) async fn submit(
        &mut self,
        room: &Room,
        session: &mut Session,
        message: &Message,
    ) -> bool {
        let queued = match self.upload.take() {
            Some(upload) => upload.end(&message.content).await,
            None if message.opening.fate == Fate::Discard => {
                room.counters.discarded();
                self.message_id = message_id(&message.content);
                Ok(name())
            }
            None => whole(room, message, &mut self.message_id).await,
        };
        let reply = match &queued {
            Ok(id) => {
                let original = room.claims.original_client(&message.opening);
                let client = (room.role, session.peer(), session.client_name());
                log::accepted((*id, &self.message_id), client, message, original);
                Reply::new(250, Enhanced::UNDEFINED, format!("Queued as {id}"))
            }
            Err(reply) => reply.clone(),
        };
        session.submitted(reply);
        queued.is_ok()
    }

    /// Some of a message is on its way, and more is to follow.
    pub(crate) const fn has_begun(&self) -> bool {
        self.upload.is_some()
    }

    /// The message that was being handed on will not be finished.
    pub(crate) fn void(&mut self) {
        self.upload = None;
    }
}

/// The id that the client is told of a message that is discarded: it hears no difference.
fn name() -> QueueId {
    let micros = u64::try_from(Timestamp::now().as_microsecond()).unwrap_or_default();
    QueueId::next(QueueId::FIRST, micros)
}

/// What the field of this name says. One with white space is none, and would be other fields of the log.
fn message_id(content: &[u8]) -> String {
    let field = message::first(content, "Message-ID");
    let text = field.as_ref().map(message::Field::text).unwrap_or_default();
    let mut id = text.split_whitespace().next().unwrap_or_default().to_owned();
    id.truncate(id.floor_char_boundary(MESSAGE_ID));
    id
}

/// Gives a message that came whole.
async fn whole(room: &Room, message: &Message, named: &mut String) -> Result<QueueId, Reply> {
    let (body, id_at) = dressed(room, &message.opening, &message.content, Extent::Whole);
    *named = message_id(&body);
    let envelope = message.opening.envelope.clone();
    let quarantine = reason(&message.opening.fate);
    if body.len() > INLINE {
        let declared_size = Some(message.size);
        let begin = Submit::Begin { envelope, quarantine, id_at, declared_size };
        let upload = Upload::open(room, begin, &body);
        return upload.await?.end(b"").await;
    }
    let submit = Submit::Whole { envelope, quarantine, id_at };
    match room.qmgr.call::<_, Answer>(&submit, &body, None, TIME).await {
        Ok(frame) => queued(frame.head),
        Err(error) => Err(fault(&error)),
    }
}

/// A message on its way to `qmgr`. Dropped before its end it is void.
///
/// One piece is always unanswered, so that `qmgr` writes it while the next one comes in.
#[derive(Debug)]
struct Upload {
    lent: Lent,
    qmgr: ipc::Client,
}

impl Upload {
    /// Begins with the first piece.
    async fn begin(
        room: &Room,
        opening: Opening,
        piece: &[u8],
        named: &mut String,
    ) -> Result<Self, Reply> {
        let (body, id_at) = dressed(room, &opening, piece, Extent::Beginning);
        *named = message_id(&body);
        let quarantine = reason(&opening.fate);
        let Opening { envelope, declared_size, .. } = opening;
        let begin = Submit::Begin { envelope, quarantine, id_at, declared_size };
        Self::open(room, begin, &body).await
    }

    async fn open(room: &Room, begin: Submit, body: &[u8]) -> Result<Self, Reply> {
        let lent = match timeout(TIME, room.qmgr.open()).await {
            Ok(Ok(lent)) => lent,
            Ok(Err(error)) => return Err(fault(&error)),
            Err(_) => return Err(fault(&ipc::Error::TimedOut)),
        };
        let mut upload = Self { lent, qmgr: room.qmgr.clone() };
        upload.send(&begin, body).await?;
        Ok(upload)
    }

    /// The next piece.
    async fn more(mut self, piece: &[u8]) -> Result<Self, Reply> {
        self.taken().await?;
        self.send(&Submit::More, piece).await?;
        Ok(self)
    }

    /// The last piece.
    async fn end(mut self, piece: &[u8]) -> Result<QueueId, Reply> {
        if !piece.is_empty() {
            self = self.more(piece).await?;
        }
        self.taken().await?;
        self.send(&Submit::End, b"").await?;
        let answer = self.answer().await?;
        self.qmgr.give_back(self.lent);
        queued(answer)
    }

    /// The piece before was taken.
    async fn taken(&mut self) -> Result<(), Reply> {
        match self.answer().await? {
            Answer::Continue => Ok(()),
            answer @ (Answer::Queued(_) | Answer::Refused { .. } | Answer::Noted) => {
                match queued(answer) {
                    Ok(_) => Err(misbehaved()),
                    Err(reply) => Err(reply),
                }
            }
        }
    }

    async fn send(&mut self, request: &Submit, body: &[u8]) -> Result<(), Reply> {
        let sent = timeout(TIME, self.lent.connection.send(request, body, None)).await;
        sent.unwrap_or(Err(ipc::Error::TimedOut)).map_err(|error| fault(&error))
    }

    async fn answer(&mut self) -> Result<Answer, Reply> {
        let frame = self.lent.connection.receive_within(TIME).await;
        frame.map(|frame| frame.head).map_err(|error| fault(&error))
    }
}

/// Why the message is held.
fn reason(fate: &Fate) -> Option<String> {
    match fate {
        Fate::Hold(reason) => Some(reason.clone()),
        Fate::Deliver | Fate::Discard => None,
    }
}

fn queued(answer: Answer) -> Result<QueueId, Reply> {
    match answer {
        Answer::Queued(id) => Ok(id),
        Answer::Refused { code, text } => Err(Reply::from_text(code.clamp(400, 499), &text)),
        Answer::Continue | Answer::Noted => Err(misbehaved()),
    }
}

fn fault(error: &ipc::Error) -> Reply {
    tracing::warn!("qmgr cannot take a message: {error}");
    Reply::new(451, Enhanced::SYSTEM, "Our fault, try again later")
}

fn misbehaved() -> Reply {
    fault(&ipc::Error::PeerMisbehaved("an answer out of order"))
}
