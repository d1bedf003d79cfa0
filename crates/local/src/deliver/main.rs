//! `deliver`: stores messages for one user, as that user.
//!
//! Descriptor 0 is the connection to `local`; one request is answered after the other, until it
//! closes. The process holds the rights of the user and nothing else; for a mailbox, only its
//! directory.
//!
//! **Invariant:** *delivered* means synced, or a program's exit 0. Any doubt defers.

mod command;
mod content;
mod fault;
mod maildir;
mod mbox;
mod mbox_lock;
mod place;
mod rights;

use std::io;
use std::os::fd::AsFd;
use std::process::ExitCode;
use std::sync::Arc;

use envelope::{Detail, Enhanced, Status};
use ipc::mailbox::{Place, Store, Stored};
use ipc::{Connection, Frame};
use nix::sys::stat::{Mode, umask};
use tokio::signal::unix::{SignalKind, signal};

use content::Content;
use rights::{Rights, Unfit};

fn main() -> ExitCode {
    // Nothing that is made here is for others to read.
    umask(Mode::from_bits_truncate(0o077));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
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
    let mut rights = Rights::Undecided;
    loop {
        let Frame { head: store, body, descriptor } = connection.receive::<Store>().await?;
        let ready = place::prepare_home(&store).map_err(Unfit::Message);
        let status = match ready.and_then(|()| rights.suit(&store)) {
            Ok(()) => {
                let content = Content::new(body, descriptor, store.size);
                deliver(store, content).await
            }
            Err(Unfit::Message(status)) => status,
            Err(Unfit::Process) => return Err(io::Error::other("no sandbox").into()),
        };
        connection.send(&Stored(status), b"", None).await?;
    }
}

async fn deliver(store: Store, content: io::Result<Content>) -> Status {
    let content = match content {
        Ok(content) => Arc::new(content),
        Err(error) => return fault::status("the content", &error),
    };
    match content.was_delivered_to(&store.recipient) {
        Ok(false) => {}
        Ok(true) => {
            return Status::Failed(Detail::ours(Enhanced::LOOP, "mail loop: was here before"));
        }
        Err(error) => return fault::status("the content", &error),
    }
    let store = Arc::new(store);
    match &store.place {
        Place::Maildir(path) => maildir::deliver(path, &store, &content),
        Place::Mbox(path) => mbox::deliver(path, &store, &content),
        Place::Command(argv) => command::deliver(argv, &store, &content).await,
    }
}
