//! What is said with one `deliver` process: messages go to it as they come, without waiting for
//! those before them, and its answers go to those who wait for them.
//!
//! **Invariant:** whoever waits gets an answer: that of `deliver`, or deferred when it ends.

use std::collections::HashMap;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use envelope::Status;
use ipc::mailbox::{Said, Store, Stored};
use ipc::{Connection, Error};
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};

/// How long `deliver` may be silent while messages are under way: it gives a command ten minutes.
const SILENCE: Duration = Duration::from_secs(11 * 60);
/// Messages on their way to the task that sends them.
const WAITING: usize = 8;

/// Ends, and with it the process, when it is dropped.
#[derive(Debug)]
pub(crate) struct Conversation(mpsc::Sender<Parcel>);

/// The content of a message: inline, or the spool file with another beginning.
#[derive(Debug, Clone)]
pub(crate) struct Content {
    pub(crate) body: Bytes,
    pub(crate) descriptor: Option<Arc<OwnedFd>>,
    /// Bytes of the file in whose place the body stands.
    pub(crate) replaced: u64,
}

/// A message on its way, and who waits for what comes of it.
#[derive(Debug)]
struct Parcel {
    store: Store,
    content: Content,
    answer: oneshot::Sender<Said>,
}

type Waiting = HashMap<u64, oneshot::Sender<Said>>;

impl Conversation {
    /// The permit is given back when it is over.
    pub(crate) fn begin(connection: Connection, permit: OwnedSemaphorePermit) -> Self {
        let (sender, parcels) = mpsc::channel(WAITING);
        tokio::spawn(async move {
            converse(connection, parcels).await;
            drop(permit);
        });
        Self(sender)
    }

    /// Has the process ended?
    pub(crate) fn is_over(&self) -> bool {
        self.0.is_closed()
    }

    /// Has a message stored, and says what came of it.
    pub(crate) async fn store(&self, store: Store, content: Content) -> Said {
        let (answer, said) = oneshot::channel();
        // Should this fail, nobody answers.
        let _ = self.0.send(Parcel { store, content, answer }).await;
        said.await.unwrap_or_else(|_| Said::Status(Status::fault("deliver ended")))
    }
}

/// Until nobody wants to store anything, or the process fails us. It then finishes and ends.
async fn converse(mut connection: Connection, mut parcels: mpsc::Receiver<Parcel>) {
    let mut waiting = Waiting::new();
    let mut number = 0;
    let error = loop {
        let done = tokio::select! {
            parcel = parcels.recv() => match parcel {
                None => return,
                Some(parcel) => {
                    number += 1;
                    send(&mut connection, number, parcel, &mut waiting).await
                }
            },
            received = connection.receive_within(SILENCE) => {
                received.map(|frame| answer(frame.head, &mut waiting))
            }
        };
        if let Err(error) = done {
            break error;
        }
    };
    for answer in waiting.into_values() {
        // Whoever does not wait any longer needs no answer.
        let _ = answer.send(Said::Status(Status::fault(format!("deliver: {error}"))));
    }
}

async fn send(
    connection: &mut Connection,
    number: u64,
    parcel: Parcel,
    waiting: &mut Waiting,
) -> Result<(), Error> {
    let Parcel { store, content, answer } = parcel;
    waiting.insert(number, answer);
    let store = Store { number, ..store };
    let descriptor = content.descriptor.as_ref().map(AsFd::as_fd);
    let sent = connection.send(&store, &content.body, descriptor);
    tokio::time::timeout(SILENCE, sent).await.map_err(|_| Error::TimedOut)?
}

fn answer(Stored(answers): Stored, waiting: &mut Waiting) {
    for (number, said) in answers {
        if let Some(answer) = waiting.remove(&number) {
            let _ = answer.send(said);
        }
    }
}
