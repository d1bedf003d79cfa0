//! The queue of a mail system that does not run: `qmgr --read-only` looks at it for us.
//!
//! To that process we are its supervisor: configuration, tables and one edge come to its descriptor 0,
//! and when this command ends, in whatever way, that closes, and the process ends, too.
//!
//! **Invariant:** nobody sees more by it than he could without: the process is this user, or, for root, the
//! owner of the queue.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use config::{LogFormat, LogTarget, Snapshot, needs};
use envelope::printable;
use ipc::admin::Visitor;
use ipc::control::{End, Push};
use ipc::{Arrow, Client, Connection, Error, MAX_BODY};
use nix::errno::Errno;
use nix::unistd::{AccessFlags, access, geteuid};
use tokio::time::timeout;

use crate::pennypost::find;
use crate::site::Site;
use crate::{called, complain};

/// How long it may take until the process answers: it reads tables, and waits until a queue manager that
/// is just ending has gone.
const BEGIN: Duration = Duration::from_secs(30);
/// It gets one.
const GENERATION: u64 = 1;
/// Bytes of its log that are shown.
const MAX_LOG: u64 = 64 * 1024;

/// A process that looks at the queue. It ends when this is dropped.
#[derive(Debug)]
pub(super) struct Onlooker {
    process: Child,
    control: Connection,
    /// Shows what it logs.
    log: Option<JoinHandle<()>>,
}

impl Drop for Onlooker {
    fn drop(&mut self) {
        // It writes nothing, so it may end anywhere; whoever starts the mail system next is not to
        // find it there.
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = self.log.take().map(JoinHandle::join);
    }
}

impl Onlooker {
    /// Starts it, with a connection to it, on which it welcomes us.
    ///
    /// # Errors
    /// Why there is nothing to be seen.
    pub(super) async fn start(site: &Site) -> Result<(Connection, Self), String> {
        let account = account(site)?;
        let mut snapshot = site.snapshot()?;
        // What it has to say is for the one who asks.
        snapshot.config.log.target = LogTarget::Stderr;
        snapshot.config.log.format = LogFormat::Text;
        let failed = |error: &dyn std::fmt::Display| format!("qmgr --read-only: {error}");
        let (control, theirs) = Connection::pair().map_err(|error| failed(&error))?;
        let mut process = spawn(account, theirs)?;
        let log = process.stderr.take().map(|log| thread::spawn(|| relay(log)));
        let mut onlooker = Self { process, control, log };
        let met = timeout(BEGIN, meet(&mut onlooker.control, &snapshot)).await;
        let met = met.unwrap_or(Err(Error::TimedOut));
        Ok((met.map_err(|error| failed(&error))?, onlooker))
    }
}

/// Whose uid and gid the process takes; `None`: it keeps ours.
fn account(site: &Site) -> Result<Option<(u32, u32)>, String> {
    let queue = site.queue_directory();
    let file = queue.join("queue.redb");
    let shown = file.display();
    match access(&file, AccessFlags::R_OK) {
        Ok(()) => {}
        Err(Errno::ENOENT) => {
            return Err(format!("nothing was ever queued here: there is no {shown}"));
        }
        Err(Errno::EACCES) => {
            let who = if site.root().is_some() { "the owner of this root" } else { "root" };
            return Err(format!("until then only {who} can list what is queued"));
        }
        Err(error) => return Err(format!("{shown}: {error}")),
    }
    let owner = fs::metadata(&queue).map_err(|error| format!("{}: {error}", queue.display()))?;
    let (own, uid, gid) = (geteuid(), owner.uid(), owner.gid());
    if !own.is_root() || own.as_raw() == uid {
        return Ok(None);
    }
    // Whoever lays out a root of his own says with it which files are read.
    if site.root().is_some() {
        return Err(format!("{shown} is of uid {uid}: only that user can list what is queued"));
    }
    Ok(Some((uid, gid)))
}

fn spawn(account: Option<(u32, u32)>, control: OwnedFd) -> Result<Child, String> {
    let program = find("qmgr").map_err(|failure| failure.to_string())?;
    let mut command = Command::new(&program);
    command.arg("--read-only").stdin(Stdio::from(control)).stdout(Stdio::null());
    command.stderr(Stdio::piped()).env_clear().current_dir("/");
    if let Some((uid, gid)) = account {
        command.uid(uid).gid(gid);
    }
    // What our caller left open is not for another user.
    close_fds::set_fds_cloexec(3, &[]);
    command.spawn().map_err(|error| format!("cannot run {}: {error}", program.display()))
}

/// Shows its log. It is another user's process, which gets no way to our terminal but this.
fn relay(log: ChildStderr) {
    let lines = BufReader::new(log.take(MAX_LOG)).split(b'\n').map_while(Result::ok);
    for line in lines {
        complain(&called(), printable(&String::from_utf8_lossy(&line)));
    }
}

/// Gives it all that it gets, and has it take us as its visitor.
async fn meet(control: &mut Connection, snapshot: &Snapshot) -> Result<Connection, Error> {
    let config = postcard::to_allocvec(&snapshot.config).map_err(|_| Error::TooLarge)?;
    let mut pieces = config.chunks(MAX_BODY).peekable();
    while let Some(piece) = pieces.next() {
        let last = pieces.peek().is_none();
        let configuration = Push::Configuration { generation: GENERATION, last };
        control.send(&configuration, piece, None).await?;
    }
    for name in needs::ROUTING {
        if let Some(table) = snapshot.tables.get(name) {
            let name = (*name).to_owned();
            push(control, &Push::Table { name }, table.as_fd()).await?;
        }
    }
    let arrow = Arrow::SupervisorToQmgr;
    let (edge, theirs) = Connection::pair()?;
    push(control, &Push::Edge(End::Answers(arrow)), theirs.as_fd()).await?;
    control.send(&Push::Start, b"", None).await?;
    let (client, renewal) = Client::new(arrow);
    renewal.renew(edge);
    let (connection, socket) = Connection::pair()?;
    let visitor = Visitor { name: "the caller".to_owned(), admin: true };
    client.call::<_, ()>(&visitor, b"", Some(&socket), BEGIN).await?;
    Ok(connection)
}

async fn push(control: &mut Connection, what: &Push, fd: BorrowedFd<'_>) -> Result<(), Error> {
    control.send(what, b"", Some(fd)).await
}
