//! What this process may still do: its first message decides, for ever.
//!
//! A mailbox needs the directory that it lies in and nothing else. A command is a program of the
//! user's with the plain rights of the user: it may open any file of theirs and start a setuid or
//! setgid program (procmail is one), which no_new_privs would forbid, so there is no sandbox.

use std::io;

use daemon::{Permit, Sandbox, sandbox};
use envelope::Status;
use ipc::mailbox::{Place, Store};

use super::{fault, place};

/// Bytes of memory: a group of messages with content of 64 KiB, with a buffer and a stack for each.
const MEMORY: u64 = 128 << 20;
/// Descriptors: the connection, the spool files and mailboxes of a group, and directories.
const DESCRIPTORS: u64 = 256;

/// Of this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rights {
    Undecided,
    Mailbox,
    User,
}

/// Why a message cannot be delivered by this process.
#[derive(Debug)]
pub(crate) enum Unfit {
    /// This one; the next may fare better.
    Message(Status),
    /// Half confined: the process is of no use.
    Process,
}

impl Rights {
    /// May it still read a file of the user's?
    pub(crate) fn may_read(self) -> bool {
        self != Self::Mailbox
    }

    /// Takes on what the first message needs, and refuses one that needs something else: what
    /// has been given up does not come back.
    pub(crate) fn suit(&mut self, store: &Store) -> Result<(), Unfit> {
        let mailbox = match store.place {
            Place::Mbox(_) | Place::Maildir(_) => Self::Mailbox,
            Place::Command(_) | Place::Program { .. } | Place::File(_) | Place::Include(_) => {
                Self::User
            }
        };
        match (*self, mailbox) {
            (Self::Undecided, Self::Mailbox) => {
                let below = || format!("mailboxes below {}", store.tree.display());
                prepare(store).map_err(|error| Unfit::Message(fault::status(&below(), &error)))?;
                confine(store).map_err(|_| Unfit::Process)?;
            }
            (Self::Undecided, _) => {}
            (own, wanted) if own == wanted => {}
            (_, _) => {
                let text = "this process was started for another kind of mailbox";
                return Err(Unfit::Message(Status::fault(text)));
            }
        }
        *self = mailbox;
        Ok(())
    }
}

/// The directory has to be there to be named.
fn prepare(store: &Store) -> io::Result<()> {
    match store.place {
        Place::Maildir(_) => place::make(&store.tree),
        Place::Mbox(_) if store.make_home => place::make(&store.tree),
        Place::Mbox(_)
        | Place::Command(_)
        | Place::Program { .. }
        | Place::File(_)
        | Place::Include(_) => store.tree.metadata().map(drop),
    }
}

fn confine(store: &Store) -> Result<(), daemon::Error> {
    let sandbox = Sandbox::new().directory(&store.tree).permit(Permit::Threads);
    sandbox::enter(sandbox.memory(MEMORY).descriptors(DESCRIPTORS)).map(drop)
}
