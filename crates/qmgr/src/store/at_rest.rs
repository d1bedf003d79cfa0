//! The queue as it lies on the disk while no queue manager has it: looked at, and no more.
//!
//! **Invariant:** nothing is written, not even what a queue needs that was not closed.
//! **Invariant:** a queue manager that starts meanwhile gets the queue: the file is locked while a
//! request is answered, and no longer, and at least every [`TURN`] it is left alone for [`REST`], in which
//! whoever waits for it looks several times whether it is free.

use std::time::{Duration, Instant};

use redb::ReadOnlyDatabase;
use tokio::sync::{mpsc, oneshot};

use super::StoreError;
use super::medium::{DatabaseFile, Medium as _, OpenError, unpanicked};
use super::post::Post;
use super::request::{Read, Request};
use super::start::when_free;
use super::writer::answer;

/// How long requests may follow each other at once.
const TURN: Duration = Duration::from_millis(250);
/// How long the file is left alone then.
const REST: Duration = Duration::from_millis(100);

/// The thread's state.
#[derive(Debug)]
pub(super) struct Onlooker {
    file: DatabaseFile,
    post: Post,
    /// Since when the file has not been left alone.
    since: Instant,
}

impl Onlooker {
    pub(super) fn new(file: DatabaseFile, post: Post) -> Self {
        Self { file, post, since: Instant::now() }
    }

    /// The thread's life: serves until closed, if there is a queue that can be read.
    pub(super) fn run(
        mut self,
        mut requests: mpsc::Receiver<Request>,
        opened: oneshot::Sender<Result<(), OpenError>>,
    ) {
        let found = self.open().map(drop);
        let failed = found.is_err();
        if opened.send(found).is_err() || failed {
            return;
        }
        while let Some(request) = requests.blocking_recv() {
            match request {
                Request::Read(read) => self.look(read),
                Request::Close(answer) => {
                    requests.close();
                    self.post.answer(answer, Ok(()));
                }
                change @ (Request::Submit(..) | Request::Change(..) | Request::SetMeta(..)) => {
                    change.refuse(&StoreError::at_rest(), &mut self.post);
                }
            }
            self.post.send();
        }
    }

    fn look(&mut self, read: Read) {
        if self.since.elapsed() > TURN {
            std::thread::sleep(REST);
            self.since = Instant::now();
        }
        let opened = self.open().map_err(|error| {
            let is_in_use = matches!(error, OpenError::InUse(_));
            let why = is_in_use.then(|| "the mail system runs again; ask it".to_owned());
            StoreError::Unavailable(why.unwrap_or_else(|| error.to_string()))
        });
        let database = match opened {
            Ok(database) => database,
            Err(error) => return read.refuse(&error, &mut self.post),
        };
        let seen = unpanicked(&self.file.path(), || {
            // What cannot be read is left for the queue manager to set aside.
            let _damaged = answer(&database, None, vec![read], &mut self.post);
            Ok(())
        });
        if let Err(error) = seen {
            tracing::error!("the queue cannot be read: {error}");
        }
    }

    fn open(&self) -> Result<ReadOnlyDatabase, OpenError> {
        when_free(|| self.file.look())
    }
}
