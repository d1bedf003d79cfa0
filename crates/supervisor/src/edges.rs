//! Fresh edges: one end for the process that starts, one for whoever is at the other end of the
//! arrow.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::{Mutex, MutexGuard, PoisonError};

use ipc::control::End;
use ipc::{Arrow, Connection, Door, Renewal};
use tokio::sync::mpsc;

use crate::plan::Plan;
use crate::process::Word;

/// Knows who is at the other end of each arrow.
#[derive(Debug)]
pub(crate) struct Edges {
    /// The supervisor's own ends.
    to_qmgr: Renewal,
    from_local: Door,
    /// Of each plan the first that is there is the one that is asked.
    members: Mutex<Vec<Member>>,
}

type Member = (&'static Plan, mpsc::WeakSender<Word>);

impl Edges {
    pub(crate) fn new(to_qmgr: Renewal, from_local: Door) -> Self {
        Self { to_qmgr, from_local, members: Mutex::default() }
    }

    /// A process starts that may ask; others ask it once it was made the [first](Self::first).
    pub(crate) fn join(&self, plan: &'static Plan, process: &mpsc::Sender<Word>) {
        self.members().push((plan, process.downgrade()));
    }

    /// From now on this is the process that is asked. Forgets those that are gone.
    pub(crate) fn first(&self, process: &mpsc::Sender<Word>) {
        let mut members = self.members();
        members.retain(|(_, other)| other.strong_count() > 0);
        let is_it = |other: &Member| other.1.upgrade().is_some_and(|it| it.same_channel(process));
        members.sort_by_key(|other| !is_it(other));
    }

    /// Makes the edges for an end, and returns the ends that belong to it; the others are on their
    /// way. Whoever asks gets one edge, and whoever answers one for each that asks, retired ones
    /// too.
    ///
    /// # Errors
    /// No descriptors are left.
    pub(crate) fn fresh(&self, near: End) -> io::Result<Vec<OwnedFd>> {
        match near {
            End::Answers(Arrow::SupervisorToQmgr) => {
                let (ours, theirs) = Connection::pair()?;
                self.to_qmgr.renew(ours);
                Ok(vec![theirs])
            }
            End::Asks(Arrow::LocalToSupervisor) => {
                let (ours, theirs) = Connection::pair()?;
                // It serves until `local` ends or breaks it, and then is of no more use.
                tokio::spawn(self.from_local.clone().serve(ours));
                Ok(vec![theirs])
            }
            End::Asks(arrow) => self.to_others(End::Answers(arrow), 1),
            End::Answers(arrow) => self.to_others(End::Asks(arrow), usize::MAX),
        }
    }

    fn to_others(&self, far: End, most: usize) -> io::Result<Vec<OwnedFd>> {
        let members = self.members();
        let there = members.iter().filter(|(plan, _)| plan.ends().any(|end| end == far));
        let there: Vec<_> = there.filter_map(|(_, words)| words.upgrade()).take(most).collect();
        let edges = there.iter().map(|words| {
            let (ours, theirs) = UnixStream::pair()?;
            // Full: a process that takes nothing is restarted, and gets new edges.
            let _ = words.try_send(Word::Edge(far, theirs.into()));
            Ok(ours.into())
        });
        edges.collect()
    }

    fn members(&self) -> MutexGuard<'_, Vec<Member>> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An end of an edge that leads nowhere: a process that nobody is to ask yet.
///
/// # Errors
/// No descriptors are left.
pub(crate) fn nobody() -> io::Result<OwnedFd> {
    Ok(UnixStream::pair()?.0.into())
}
