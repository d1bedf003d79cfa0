//! `deliver`: stores messages for one user, as that user.
//!
//! Descriptor 0 is the connection to `local`, on which requests come until it closes. The process
//! holds the rights of the user and nothing else; for a mailbox, only its directory. What has
//! arrived together is stored together, so that it shares the syncs of the disk; commands run beside
//! it. Before a mailbox comes the user's `.forward`, which is read before the process confines itself.
//!
//! **Invariant:** *delivered* means synced, or a program's exit 0. Any doubt defers.

mod command;
mod content;
mod fault;
mod forward;
mod letter;
mod maildir;
mod mbox;
mod mbox_lock;
mod place;
mod rights;

use std::collections::BTreeMap;
use std::io;
use std::os::fd::AsFd;
use std::process::ExitCode;

use envelope::{Detail, Status};
use ipc::Connection;
use ipc::mailbox::{Place, Said, Store, Stored};
use nix::sys::stat::{Mode, umask};
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;

use command::Source;
use forward::{Forwards, Way};
use letter::Letter;
use rights::{Rights, Unfit};

/// Messages that are stored together; `local` lets no more be under way.
const MAX_GROUP: usize = 32;
/// Threads: one for each message of a group. A command that leaves its input to a child in the
/// background keeps one for as long.
const THREADS: usize = MAX_GROUP;
/// Bytes of the stack of a thread, which writes a file and no more.
const STACK: usize = 256 * 1024;

/// What came of a request, by its number.
type Answer = (u64, Status);

fn main() -> ExitCode {
    // Nothing that is made here is for others to read.
    umask(Mode::from_bits_truncate(0o077));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .max_blocking_threads(THREADS)
        .thread_stack_size(STACK)
        .enable_all()
        .build();
    let Ok(runtime) = runtime else {
        return ExitCode::FAILURE;
    };
    let ended = runtime.block_on(serve());
    // A command's child may still hold the pipe that a thread writes to.
    runtime.shutdown_background();
    match ended {
        Err(ipc::Error::PeerGone) | Ok(()) => ExitCode::SUCCESS,
        // `local` sees the connection close, defers, and says so in the log.
        Err(_) => ExitCode::FAILURE,
    }
}

async fn serve() -> Result<(), ipc::Error> {
    // With a handler, a write beyond RLIMIT_FSIZE fails with EFBIG instead of ending the process.
    let _file_size = signal(SignalKind::from_raw(nix::libc::SIGXFSZ))?;
    let mut connection = Connection::from_fd(std::io::stdin().as_fd().try_clone_to_owned()?)?;
    let mut storage = Storage {
        rights: Rights::Undecided,
        forwards: Forwards::default(),
        commands: JoinSet::new(),
    };
    let ended = loop {
        let answers = tokio::select! {
            Some(Ok((number, status))) = storage.commands.join_next() => {
                vec![(number, Said::Status(status))]
            }
            received = connection.receive::<Store>() => match received {
                Ok(frame) => {
                    let group = gather(&mut connection, Letter::new(frame)).await;
                    storage.store(group).await?
                }
                Err(error) => break error,
            },
        };
        for frame in frames(answers) {
            connection.send(&Stored(frame), b"", None).await?;
        }
    };
    // Nobody waits for them, but half done they would be done again.
    while storage.commands.join_next().await.is_some() {}
    Err(ended)
}

/// What has arrived by now. An error of the connection shows at the next request.
async fn gather(connection: &mut Connection, first: Letter) -> Vec<Letter> {
    let mut group = vec![first];
    while group.len() < MAX_GROUP
        && let Ok(Some(frame)) = connection.receive_ready::<Store>().await
    {
        group.push(Letter::new(frame));
    }
    group
}

/// Each list goes alone: it may fill half a frame.
fn frames(answers: Vec<(u64, Said)>) -> impl Iterator<Item = Vec<(u64, Said)>> {
    let is_list = |(_, said): &(u64, Said)| matches!(said, Said::Expanded { .. });
    let (lists, others): (Vec<_>, Vec<_>) = answers.into_iter().partition(is_list);
    let lists = lists.into_iter().map(|list| vec![list]);
    lists.chain((!others.is_empty()).then_some(others))
}

/// What this process may do, and what it does beside answering.
struct Storage {
    rights: Rights,
    forwards: Forwards,
    commands: JoinSet<Answer>,
}

impl Storage {
    /// Stores a group and says what came of it; commands are started, and answer later.
    async fn store(&mut self, group: Vec<Letter>) -> Result<Vec<(u64, Said)>, ipc::Error> {
        let mut said = Vec::new();
        let mut to_maildirs = Vec::new();
        let mut to_mailboxes = BTreeMap::<_, Vec<_>>::new();
        let mut remarks = BTreeMap::new();
        for letter in group {
            let number = letter.store.number;
            match self.forwards.way(&letter.store, self.rights.may_read()) {
                Way::Mailbox(remark) if remark.is_empty() => {}
                Way::Mailbox(remark) => drop(remarks.insert(number, remark.join("; "))),
                Way::Elsewhere(elsewhere) => {
                    said.push((number, elsewhere));
                    continue;
                }
            }
            match self.accept(&letter) {
                Ok(()) => {}
                Err(Unfit::Message(status)) => {
                    said.push((number, Said::Status(status)));
                    continue;
                }
                Err(Unfit::Process) => return Err(io::Error::other("no sandbox").into()),
            }
            match letter.store.place.clone() {
                Place::Maildir(path) => to_maildirs.push((path, letter)),
                Place::Mbox(path) => to_mailboxes.entry(path).or_default().push(letter),
                Place::Command(argv) => {
                    self.commands.spawn(command::deliver(argv, letter, Source::Configuration));
                }
                Place::Program { argv, failure } => {
                    let source = Source::User { failure };
                    self.commands.spawn(command::deliver(argv, letter, source));
                }
                // Others may hold its lock.
                Place::File(path) => {
                    self.commands.spawn_blocking(move || mbox::append_to(&path, letter));
                }
                Place::Include(path) => said.push((number, forward::include(&path, &letter.store))),
            }
        }
        let mut answers = maildir::deliver(to_maildirs).await;
        for (path, letters) in to_mailboxes {
            answers.extend(mbox::deliver(&path, &letters));
        }
        let with_remark =
            |(number, status)| (number, Said::Status(told(status, remarks.get(&number))));
        said.extend(answers.into_iter().map(with_remark));
        Ok(said)
    }

    /// May it be delivered, and by this process?
    fn accept(&mut self, letter: &Letter) -> Result<(), Unfit> {
        place::prepare_home(&letter.store).map_err(Unfit::Message)?;
        self.rights.suit(&letter.store)?;
        match letter.store.place {
            // It is not delivered there.
            Place::Include(_) => Ok(()),
            Place::Mbox(_)
            | Place::Maildir(_)
            | Place::Command(_)
            | Place::Program { .. }
            | Place::File(_) => letter.check().map_err(Unfit::Message),
        }
    }
}

/// What came of it, with a word on a `.forward` that was not followed.
fn told(status: Status, remark: Option<&String>) -> Status {
    match (status, remark) {
        (Status::Delivered(detail), Some(remark)) => {
            let text = format!("{}; {remark}", detail.text);
            Status::Delivered(Detail::ours(detail.enhanced, text))
        }
        (status, _) => status,
    }
}
