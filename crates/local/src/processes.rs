//! The `deliver` processes that are there: one for each user, and one more for the user's programs, kept
//! a while for the next message.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use config::Mailbox;
use envelope::{QueueId, Status};
use ipc::run_as::{RunAs, Started, Who};
use ipc::{Client, Connection};
use tokio::sync::{Mutex as AsyncMutex, OwnedSemaphorePermit, Semaphore};

use crate::conversation::Conversation;

/// A process without work is kept this long at least, and twice as long at most.
pub(crate) const IDLE: Duration = Duration::from_secs(5);
/// A process takes no more messages after this time: whether there is such a user is asked again, as
/// often as `policyd` asks.
const LIFE: Duration = Duration::from_secs(10);
/// Processes at a time; the supervisor allows a few more.
const MAX_PROCESSES: usize = 64;
/// Messages of one user under way: `deliver` stores together what waits together.
const MAX_GROUP: usize = 32;
/// Commands of one user.
const MAX_COMMANDS: usize = 4;
/// Commands of all users.
const MAX_ALL_COMMANDS: usize = 20;
/// How long the supervisor may take to look a user up and start the process.
const START_TIME: Duration = Duration::from_secs(60);

/// A `deliver` process, running as its user until nobody holds this.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) home: PathBuf,
    pub(crate) shell: Option<PathBuf>,
    pub(crate) conversation: Conversation,
    since: Instant,
}

impl Process {
    fn serves(&self) -> bool {
        !self.conversation.is_over() && self.since.elapsed() < LIFE
    }
}

/// Why there is no process.
#[derive(Debug)]
pub(crate) enum Stranger {
    /// There is no such user.
    Unknown,
    /// What becomes of the recipient.
    Status(Status),
}

/// All of them.
#[derive(Debug)]
pub(crate) struct Processes {
    supervisor: Client,
    /// Mailboxes are written by a command.
    commands: bool,
    /// Of all commands.
    turns: Arc<Semaphore>,
    permits: Arc<Semaphore>,
    users: Mutex<HashMap<Who, Known>>,
}

#[derive(Debug)]
struct Known {
    user: Arc<User>,
    /// The last message.
    since: Instant,
}

/// Who gets messages, and the process if there is one.
#[derive(Debug)]
struct User {
    turns: Arc<Semaphore>,
    process: AsyncMutex<Option<Arc<Process>>>,
}

/// A user's turn, for the time of one message.
#[derive(Debug)]
pub(crate) struct Turn {
    user: Arc<User>,
    permits: Arc<Semaphore>,
    _turns: [Option<OwnedSemaphorePermit>; 2],
}

impl Turn {
    /// This process is of no more use; the next message has another started.
    pub(crate) async fn part_with(&self, process: &Arc<Process>) {
        let mut place = self.user.process.lock().await;
        place.take_if(|place| Arc::ptr_eq(place, process));
    }
}

impl Drop for Turn {
    /// Where processes are short, this one makes way, once all its messages have been answered.
    fn drop(&mut self) {
        if self.permits.available_permits() == 0
            && let Ok(mut process) = self.user.process.try_lock()
        {
            process.take();
        }
    }
}

impl Processes {
    pub(crate) fn new(supervisor: Client, mailbox: &Mailbox) -> Self {
        let commands = match mailbox {
            Mailbox::Mbox(_) | Mailbox::Maildir(_) | Mailbox::Lmtp(_) => false,
            Mailbox::Command(_) => true,
        };
        Self {
            supervisor,
            commands,
            turns: Arc::new(Semaphore::new(MAX_ALL_COMMANDS)),
            permits: Arc::new(Semaphore::new(MAX_PROCESSES)),
            users: Mutex::default(),
        }
    }

    /// Waits until one more message may be delivered to the user.
    pub(crate) async fn turn_of(&self, who: &Who) -> Turn {
        let user = self.user(who);
        let is_command = self.commands || !matches!(who, Who::Mailbox(_));
        // Both fail only if the semaphore were closed, which nobody does.
        let own = Arc::clone(&user.turns).acquire_owned().await.ok();
        let of_all = match is_command {
            true => Arc::clone(&self.turns).acquire_owned().await.ok(),
            false => None,
        };
        Turn { user, permits: Arc::clone(&self.permits), _turns: [own, of_all] }
    }

    /// The user's process, which is started if there is none.
    ///
    /// # Errors
    /// What became of the recipient instead.
    pub(crate) async fn process(
        &self,
        turn: &Turn,
        who: &Who,
        id: QueueId,
    ) -> Result<Arc<Process>, Stranger> {
        let mut place = turn.user.process.lock().await;
        if let Some(process) = place.as_ref().filter(|process| process.serves()) {
            return Ok(Arc::clone(process));
        }
        // Before the wait for a permit, which an old one may hold.
        place.take();
        let process = Arc::new(self.start(who, id).await?);
        Ok(Arc::clone(place.insert(process)))
    }

    async fn start(&self, who: &Who, id: QueueId) -> Result<Process, Stranger> {
        let fault = |why: String| Stranger::Status(Status::fault(why));
        let permit = self.permit().await.map_err(Stranger::Status)?;
        let request = RunAs { who: who.clone(), id };
        let answer = self.supervisor.call::<_, Started>(&request, b"", None, START_TIME).await;
        let frame = answer.map_err(|error| fault(format!("supervisor: {error}")))?;
        let (home, shell) = match frame.head {
            Started::Yes { home, shell } => (home, shell),
            Started::UnknownUser => return Err(Stranger::Unknown),
            Started::NotNow(why) => return Err(fault(why)),
        };
        let fd = frame.descriptor.ok_or_else(|| fault("supervisor: no descriptor".to_owned()))?;
        let connection = Connection::from_fd(fd).map_err(|error| fault(error.to_string()))?;
        let conversation = Conversation::begin(connection, permit);
        Ok(Process { home, shell, conversation, since: Instant::now() })
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
        self.users()
            .retain(|_, known| known.since.elapsed() < age || Arc::strong_count(&known.user) > 1);
    }

    fn user(&self, who: &Who) -> Arc<User> {
        let mut users = self.users();
        let since = Instant::now();
        if let Some(known) = users.get_mut(who) {
            known.since = since;
            return Arc::clone(&known.user);
        }
        let turns = match who {
            Who::Mailbox(_) if !self.commands => MAX_GROUP,
            Who::Mailbox(_) | Who::User(_) => MAX_COMMANDS,
            // All that aliases name.
            Who::Default => MAX_ALL_COMMANDS / 2,
        };
        let turns = Arc::new(Semaphore::new(turns));
        let user = Arc::new(User { turns, process: AsyncMutex::default() });
        users.insert(who.clone(), Known { user: Arc::clone(&user), since });
        user
    }

    fn users(&self) -> MutexGuard<'_, HashMap<Who, Known>> {
        self.users.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
