//! Fresh edges: one end for the process that starts, one for whoever is at the other end of the
//! arrow.

use std::collections::HashMap;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;

use ipc::control::End;
use ipc::{Arrow, Connection, Door, Renewal};
use tokio::sync::mpsc;

use crate::keeper::FreshEdge;

/// Knows where the other end of each arrow is.
#[derive(Debug)]
pub(crate) struct Edges {
    pub(crate) owners: HashMap<End, mpsc::Sender<FreshEdge>>,
    /// The supervisor's own ends.
    pub(crate) to_qmgr: Renewal,
    pub(crate) from_local: Door,
}

impl Edges {
    /// Makes an edge and returns the end that belongs to `near`. The other end is on its way; a
    /// process that is not there to take it gets another one when it starts.
    ///
    /// # Errors
    /// No descriptors are left.
    pub(crate) fn fresh(&self, near: End) -> io::Result<OwnedFd> {
        let (ours, theirs) = UnixStream::pair()?;
        match near {
            End::Answers(Arrow::SupervisorToQmgr) => {
                self.to_qmgr.renew(Connection::from_fd(theirs.into())?);
            }
            End::Asks(Arrow::LocalToSupervisor) => {
                // It serves until `local` ends or breaks it, and then is of no more use.
                let edge = Connection::from_fd(theirs.into())?;
                tokio::spawn(self.from_local.clone().serve(edge));
            }
            End::Asks(arrow) => self.give(End::Answers(arrow), theirs.into()),
            End::Answers(arrow) => self.give(End::Asks(arrow), theirs.into()),
        }
        Ok(ours.into())
    }

    fn give(&self, end: End, fd: OwnedFd) {
        if let Some(owner) = self.owners.get(&end) {
            // Full: a process that takes nothing is restarted by its keeper, and gets new edges.
            let _ = owner.try_send((end, fd));
        }
    }
}
