//! The `deliver` processes that are there: a few for each user, kept a while for the next message.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use config::Mailbox;
use envelope::{Detail, Enhanced, QueueId, Status};
use ipc::run_as::{RunAs, Started};
use ipc::{Client, Connection};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// A process without work is kept this long at least, and twice as long at most.
pub(crate) const IDLE: Duration = Duration::from_secs(5);
/// Processes at a time, of all users; the supervisor allows a few more.
const MAX_PROCESSES: usize = 64;
/// Processes of one user at a time: they wait for different syncs of the disk.
const MAX_PER_USER: usize = 4;
/// How long the supervisor may take to look a user up and start the process.
const START_TIME: Duration = Duration::from_secs(60);

/// A `deliver` process, running as its user until the connection closes.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) connection: Connection,
    pub(crate) home: PathBuf,
    _permit: OwnedSemaphorePermit,
}

/// All of them.
#[derive(Debug)]
pub(crate) struct Processes {
    supervisor: Client,
    per_user: usize,
    permits: Arc<Semaphore>,
    users: Mutex<HashMap<String, Arc<User>>>,
}

/// Those of one user.
#[derive(Debug)]
struct User {
    turns: Arc<Semaphore>,
    kept: Mutex<Vec<Kept>>,
}

#[derive(Debug)]
struct Kept {
    process: Process,
    since: Instant,
}

/// A user's turn, for the time of one message.
#[derive(Debug)]
pub(crate) struct Turn {
    user: Arc<User>,
    permits: Arc<Semaphore>,
    _turn: Option<OwnedSemaphorePermit>,
}

impl Turn {
    /// A process that was kept.
    pub(crate) fn take(&self) -> Option<Process> {
        self.user.kept().pop().map(|kept| kept.process)
    }

    /// Keeps a process for the next message, unless processes are short.
    pub(crate) fn keep(self, process: Process) {
        if self.permits.available_permits() > 0 {
            self.user.kept().push(Kept { process, since: Instant::now() });
        }
    }
}

impl User {
    fn kept(&self) -> MutexGuard<'_, Vec<Kept>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Processes {
    pub(crate) fn new(supervisor: Client, mailbox: &Mailbox) -> Self {
        let per_user = match mailbox {
            // More would only wait for each other's lock.
            Mailbox::Mbox(_) => 1,
            Mailbox::Maildir(_) | Mailbox::Command(_) => MAX_PER_USER,
        };
        let permits = Arc::new(Semaphore::new(MAX_PROCESSES));
        Self { supervisor, per_user, permits, users: Mutex::default() }
    }

    /// Waits until one more message may be delivered to the user.
    pub(crate) async fn turn_of(&self, user: &str) -> Turn {
        let user = self.user(user);
        // Fails only if the semaphore were closed, which nobody does.
        let turn = Arc::clone(&user.turns).acquire_owned().await.ok();
        Turn { user, permits: Arc::clone(&self.permits), _turn: turn }
    }

    /// Has a process started.
    ///
    /// # Errors
    /// What became of the recipient instead.
    pub(crate) async fn start(&self, user: &str, id: QueueId) -> Result<Process, Status> {
        let permit = self.permit().await?;
        let request = RunAs { user: user.to_owned(), id };
        let answer = self.supervisor.call::<_, Started>(&request, b"", None, START_TIME).await;
        let frame = answer.map_err(|error| Status::fault(format!("supervisor: {error}")))?;
        let home = match frame.head {
            Started::Yes { home } => home,
            Started::UnknownUser => {
                return Err(Status::Failed(Detail::ours(Enhanced::BAD_MAILBOX, "User unknown")));
            }
            Started::NotNow(why) => return Err(Status::fault(why)),
        };
        let fd = frame.descriptor.ok_or_else(|| Status::fault("supervisor: no descriptor"))?;
        let connection =
            Connection::from_fd(fd).map_err(|error| Status::fault(error.to_string()))?;
        Ok(Process { connection, home, _permit: permit })
    }

    async fn permit(&self) -> Result<OwnedSemaphorePermit, Status> {
        if let Ok(permit) = Arc::clone(&self.permits).try_acquire_owned() {
            return Ok(permit);
        }
        self.close_older(Duration::ZERO);
        let permit = Arc::clone(&self.permits).acquire_owned().await;
        permit.map_err(|_| Status::fault("no more processes"))
    }

    /// Is any user remembered?
    pub(crate) fn any(&self) -> bool {
        !self.users().is_empty()
    }

    /// Ends processes that had no work for [`IDLE`], and forgets users without any.
    pub(crate) fn close_idle(&self) {
        self.close_older(IDLE);
    }

    fn close_older(&self, age: Duration) {
        self.users().retain(|_, user| {
            let mut kept = user.kept();
            kept.retain(|kept| kept.since.elapsed() < age);
            !kept.is_empty() || Arc::strong_count(user) > 1
        });
    }

    fn user(&self, name: &str) -> Arc<User> {
        let mut users = self.users();
        if let Some(user) = users.get(name) {
            return Arc::clone(user);
        }
        let turns = Arc::new(Semaphore::new(self.per_user));
        let user = Arc::new(User { turns, kept: Mutex::default() });
        users.insert(name.to_owned(), Arc::clone(&user));
        user
    }

    fn users(&self) -> MutexGuard<'_, HashMap<String, Arc<User>>> {
        self.users.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
