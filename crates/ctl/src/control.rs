//! The control socket, asked by `pennypost` and `mailq`.

mod at_rest;

use std::future::Future;
use std::io;
use std::time::Duration;

use envelope::{QueueId, printable};
use ipc::Connection;
use ipc::admin::{
    Action, Answer, Command, Filter, Forget, Hello, Host, Message, News, QueueReply, QueueRequest,
    Statistics, Welcome,
};
use serde::{Serialize, de::DeserializeOwned};
use tokio::net::UnixStream;

use self::at_rest::Onlooker;
use crate::site::Site;
use crate::{Exit, Failure, called, complain};

/// How long an answer may take: a page of a large queue on a busy disk.
const ANSWER: Duration = Duration::from_secs(60);
/// How long daemons may take to be ready for new files.
const RELOAD: Duration = Duration::from_secs(120);
/// How long the system may take to finish what is under way.
const STOP: Duration = Duration::from_secs(600);

/// A connection that was welcomed.
#[derive(Debug)]
pub(crate) struct Control {
    connection: Connection,
    /// This user sees and does everything.
    pub(crate) admin: bool,
    /// Who answers while the mail system does not run.
    _onlooker: Option<Onlooker>,
}

/// Runs a command that waits for answers.
pub(crate) fn wait<T>(command: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::new(Exit::Software, error.to_string()))?;
    runtime.block_on(command)
}

/// Messages in the queue.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Count {
    pub(crate) messages: u64,
    /// Of these.
    pub(crate) held: u64,
    /// Beside these: set aside because they cannot be read.
    pub(crate) damaged: u64,
}

impl Control {
    pub(crate) async fn open(site: &Site, hello: Hello) -> Result<Self, Failure> {
        let connection = connect(site).await.map_err(|error| nobody_there(site, &error))?;
        Self::greet(connection, hello).await
    }

    /// To list what is queued: also while the mail system does not run, if this user can read its queue.
    pub(crate) async fn look(site: &Site) -> Result<Self, Failure> {
        match connect(site).await {
            Ok(connection) => Self::greet(connection, Hello::Queue).await,
            Err(error) if is_absence(&error) => Self::at_rest(site).await.map_err(|why| {
                let Failure { exit, text } = nobody_there(site, &error);
                Failure::new(exit, format!("{text}\n{why}"))
            }),
            Err(error) => Err(nobody_there(site, &error)),
        }
    }

    async fn greet(connection: Connection, hello: Hello) -> Result<Self, Failure> {
        let mut control = Self { connection, admin: false, _onlooker: None };
        match control.ask(&hello, ANSWER).await? {
            Welcome::Yes { admin } => control.admin = admin,
            Welcome::No(why) => {
                return Err(Failure::new(Exit::Unavailable, printable(&why).to_string()));
            }
        }
        Ok(control)
    }

    /// Says on stderr what it is that is listed; `Err`: why it cannot be listed.
    async fn at_rest(site: &Site) -> Result<Self, String> {
        let (mut connection, onlooker) = Onlooker::start(site).await?;
        let welcome = connection.receive_within::<Welcome>(ANSWER).await;
        match welcome.map_err(|error| format!("qmgr --read-only: {error}"))?.head {
            Welcome::Yes { admin } => {
                let queue = site.queue_directory();
                let queue = queue.display();
                let note = format_args!(
                    "warning: the mail system is not running; this is what lies in {queue}"
                );
                complain(&called(), note);
                Ok(Self { connection, admin, _onlooker: Some(onlooker) })
            }
            Welcome::No(why) => Err(format!("what is queued cannot be shown: {}", printable(&why))),
        }
    }

    pub(crate) async fn command(&mut self, command: Command) -> Result<Answer, Failure> {
        let time = match command {
            Command::Stop => STOP,
            Command::Reload => RELOAD,
            Command::Status => ANSWER,
        };
        match self.ask(&command, time).await? {
            Answer::NotAllowed => Err(not_allowed()),
            answer @ (Answer::Stopped
            | Answer::Status(_)
            | Answer::Reloaded(_)
            | Answer::NotReloaded(_)) => Ok(answer),
        }
    }

    pub(crate) async fn queue(&mut self, request: &QueueRequest) -> Result<QueueReply, Failure> {
        match self.ask(request, ANSWER).await? {
            QueueReply::NotAllowed => Err(not_allowed()),
            QueueReply::Fault(why) => {
                Err(Failure::new(Exit::TempFail, printable(&why).to_string()))
            }
            reply @ (QueueReply::Messages { .. }
            | QueueReply::Message(_)
            | QueueReply::Damaged
            | QueueReply::Count { .. }
            | QueueReply::Changed { .. }
            | QueueReply::Hosts { .. }
            | QueueReply::Forgotten(_)
            | QueueReply::Statistics(_)
            | QueueReply::Watching
            | QueueReply::News { .. }) => Ok(reply),
        }
    }

    /// Administrators only.
    pub(crate) async fn count(&mut self) -> Result<Count, Failure> {
        let reply = self.queue(&QueueRequest::Count).await?;
        let QueueReply::Count { messages, held, damaged } = reply else {
            return Err(misunderstood());
        };
        Ok(Count { messages, held, damaged })
    }

    /// All that is known of next hops, by name. Administrators only.
    pub(crate) async fn hosts(&mut self) -> Result<Vec<Host>, Failure> {
        let mut all: Vec<Host> = Vec::new();
        loop {
            let after = all.last().map(|host| host.name.clone());
            let request = QueueRequest::Hosts { after: after.clone() };
            let QueueReply::Hosts { hosts, next } = self.queue(&request).await? else {
                return Err(misunderstood());
            };
            all.extend(hosts);
            if next.is_none() {
                return Ok(all);
            }
            if next <= after {
                return Err(misunderstood());
            }
        }
    }

    /// Says how many were forgotten. Administrators only.
    pub(crate) async fn forget(&mut self, forget: Forget) -> Result<u64, Failure> {
        let QueueReply::Forgotten(count) = self.queue(&QueueRequest::Forget(forget)).await? else {
            return Err(misunderstood());
        };
        Ok(count)
    }

    /// Administrators only.
    pub(crate) async fn statistics(&mut self, reset: bool) -> Result<Statistics, Failure> {
        let reply = self.queue(&QueueRequest::Statistics { reset }).await?;
        let QueueReply::Statistics(statistics) = reply else { return Err(misunderstood()) };
        Ok(*statistics)
    }

    /// From now on [`Control::news`] has what comes of attempts.
    pub(crate) async fn watch(&mut self) -> Result<(), Failure> {
        let reply = self.queue(&QueueRequest::Watch).await?;
        if reply == QueueReply::Watching { Ok(()) } else { Err(misunderstood()) }
    }

    /// What came of attempts, and whether some is missing; nothing after a while in which there was
    /// none.
    pub(crate) async fn news(&mut self) -> Result<(Vec<News>, bool), Failure> {
        let QueueReply::News { news, missed } = self.queue(&QueueRequest::News).await? else {
            return Err(misunderstood());
        };
        Ok((news, missed))
    }

    /// Shows every message that the filter lets through to `each`, a page at a time.
    pub(crate) async fn each_message(
        &mut self,
        filter: &Filter,
        mut each: impl FnMut(Message) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let mut after = None;
        loop {
            let request = QueueRequest::List { filter: filter.clone(), after };
            let QueueReply::Messages { messages, next } = self.queue(&request).await? else {
                return Err(misunderstood());
            };
            messages.into_iter().try_for_each(&mut each)?;
            after = further(after, next)?;
            if after.is_none() {
                return Ok(());
            }
        }
    }

    /// Does it, a page at a time, and shows the ids to `each`.
    pub(crate) async fn change(
        &mut self,
        action: &Action,
        filter: &Filter,
        dry_run: bool,
        mut each: impl FnMut(QueueId) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let mut after = None;
        loop {
            let (action, filter) = (action.clone(), filter.clone());
            let request = QueueRequest::Change { action, filter, after, dry_run };
            let QueueReply::Changed { ids, next } = self.queue(&request).await? else {
                return Err(misunderstood());
            };
            ids.into_iter().try_for_each(&mut each)?;
            after = further(after, next)?;
            if after.is_none() {
                return Ok(());
            }
        }
    }

    async fn ask<Q: Serialize + Sync, R: DeserializeOwned>(
        &mut self,
        request: &Q,
        time: Duration,
    ) -> Result<R, Failure> {
        let reply = self.connection.call(request, b"", None, time).await;
        reply.map(|frame| frame.head).map_err(|error| {
            Failure::new(Exit::Unavailable, format!("the mail system did not answer: {error}"))
        })
    }
}

/// The next page, which must lie beyond this one, or the listing would never end.
fn further(after: Option<QueueId>, next: Option<QueueId>) -> Result<Option<QueueId>, Failure> {
    if next.is_some() && next <= after { Err(misunderstood()) } else { Ok(next) }
}

pub(crate) fn misunderstood() -> Failure {
    Failure::new(Exit::Protocol, "the mail system answered something else than was asked")
}

fn not_allowed() -> Failure {
    let text = "only the users of control.admins in pennypost.toml may do that";
    Failure::new(Exit::NoPerm, text)
}

async fn connect(site: &Site) -> io::Result<Connection> {
    UnixStream::connect(site.control_socket()).await.and_then(Connection::new)
}

/// Does the mail system not run?
fn is_absence(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused)
}

fn nobody_there(site: &Site, error: &io::Error) -> Failure {
    let path = site.control_socket();
    let path = path.display();
    if is_absence(error) {
        let text = format!(
            "the mail system is not running (nobody answers on {path})\n\
             start it with \"pennypost start\", or say where it lives with --root or PENNYPOST_ROOT"
        );
        return Failure::new(Exit::Unavailable, text);
    }
    let denied = error.kind() == io::ErrorKind::PermissionDenied;
    let exit = if denied { Exit::NoPerm } else { Exit::Unavailable };
    Failure::new(exit, format!("{path}: {error}"))
}
