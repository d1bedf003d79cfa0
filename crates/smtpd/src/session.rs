//! One client: moves bytes between its connection and the state machine, and carries out what
//! that says.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use daemon::Drain;
use smtp::server::{Ending, Peer, Session, Step};

use crate::guests::Seat;
use crate::log::{self, Quota};
use crate::policy;
use crate::room::Room;
use crate::stream::Stream;
use crate::upload::Handover;

/// Bytes read at a time between messages, and room that an idle session does not keep.
const COMMANDS: usize = 4 * 1024;
/// Bytes of content read at a time: most messages are shorter.
const CONTENT: usize = 16 * 1024;
/// The same once some of it is on its way.
const LONG_CONTENT: usize = 64 * 1024;
/// For a client that does not take our replies (RFC 5321 §4.5.3.2.7).
const WRITE: Duration = Duration::from_secs(300);
/// For what a client still sends while we send it away.
const LINGER: Duration = Duration::from_secs(5);

/// Serves one client to the end.
pub(crate) async fn serve(stream: Stream, peer: Peer, room: Arc<Room>, drain: Drain, seat: Seat) {
    let now = Instant::now();
    room.counters.connected();
    let session = Session::new(Arc::clone(&room.settings), peer, now).without(seat.withheld());
    let mut visit = Visit {
        quota: Quota::of_a_session(now),
        seat,
        stream,
        room,
        drain,
        session,
        input: Vec::new(),
        handover: Handover::default(),
        draining: false,
    };
    if let Err(error) = visit.converse().await
        && visit.session.opening().is_some()
    {
        log::lost(visit.session.peer(), visit.session.client_name(), &error);
    }
    log::end(&visit.quota, visit.session.peer(), visit.session.client_name());
}

struct Visit {
    stream: Stream,
    room: Arc<Room>,
    seat: Seat,
    quota: Quota,
    drain: Drain,
    session: Session,
    input: Vec<u8>,
    handover: Handover,
    draining: bool,
}

enum Wake {
    Readable,
    Draining,
    /// Others wait for the seat, or do so no longer.
    Crowded,
    Late,
}

impl Visit {
    /// Returns an error when the client is gone before the end.
    async fn converse(&mut self) -> io::Result<()> {
        let spoke_first = match self.session.peer() {
            Peer::Network(_) => self.speaks_in_pause().await? || self.stream.has_spoken(),
            Peer::User { .. } => false,
        };
        self.session.greet(spoke_first);
        loop {
            match self.step() {
                Step::Read => self.exchange().await?,
                Step::Check(question) => {
                    let (peer, helo) = (self.session.peer(), self.session.client_name());
                    let verdicts = policy::ask(&self.room, peer, helo, question).await;
                    self.session.verdicts(verdicts);
                }
                Step::Piece(piece) => {
                    self.handover.piece(&self.room, &mut self.session, &piece).await;
                }
                Step::Submit(message) => {
                    self.handover.submit(&self.room, &mut self.session, &message).await;
                }
                Step::Close(ending) => return self.close(ending).await,
            }
        }
    }

    /// Lets the client wait for its greeting, as it is to; who does not is told so. Nobody waits in
    /// others' way.
    async fn speaks_in_pause(&mut self) -> io::Result<bool> {
        let pause = self.seat.pause();
        if pause.is_zero() {
            return Ok(false);
        }
        tokio::select! {
            biased;
            spoke = self.stream.speaks() => spoke.map(|()| true),
            () = tokio::time::sleep(pause) => Ok(false),
            () = self.drain.begun() => Ok(false),
            () = self.seat.changed() => Ok(false),
        }
    }

    fn step(&mut self) -> Step {
        let mut rest = self.input.as_slice();
        let step = self.session.step(&mut rest, Instant::now());
        let consumed = self.input.len() - rest.len();
        self.input.drain(..consumed);
        for refusal in self.session.refusals() {
            let quotas = (&mut self.quota, &self.room.quota);
            self.room.counters.refused(refusal.stage);
            log::refusal(quotas, self.session.peer(), self.session.client_name(), &refusal);
        }
        if !self.session.in_content() && !matches!(step, Step::Submit(_)) {
            self.handover.void();
        }
        step
    }

    /// Writes what there is to say, and waits for more to hear.
    async fn exchange(&mut self) -> io::Result<()> {
        self.flush().await?;
        if self.input.is_empty() {
            // An idle session keeps no buffer.
            self.input = Vec::new();
        }
        match self.wake().await? {
            Wake::Readable => self.read(),
            Wake::Draining => {
                self.draining = true;
                self.session.drain();
                Ok(())
            }
            Wake::Crowded => Ok(()),
            Wake::Late => {
                if Instant::now() < self.session.deadline() {
                    self.session.make_room();
                } else {
                    self.session.time_out();
                }
                Ok(())
            }
        }
    }

    async fn wake(&mut self) -> io::Result<Wake> {
        let deadline = self.deadline();
        tokio::select! {
            biased;
            ready = self.stream.readable() => ready.map(|()| Wake::Readable),
            () = self.drain.begun(), if !self.draining => Ok(Wake::Draining),
            () = self.seat.changed() => Ok(Wake::Crowded),
            () = tokio::time::sleep_until(deadline) => Ok(Wake::Late),
        }
    }

    fn deadline(&self) -> tokio::time::Instant {
        tokio::time::Instant::from_std(match self.seat.is_wanted() {
            true => self.session.deadline_in_a_crowd(),
            false => self.session.deadline(),
        })
    }

    /// Never waits: a stream that looked readable may have nothing after all, and the next wait has
    /// its deadline.
    fn read(&mut self) -> io::Result<()> {
        self.input.reserve(match self.session.in_content() {
            true if self.handover.has_begun() => LONG_CONTENT,
            true => CONTENT,
            false => COMMANDS,
        });
        match self.stream.read_now(&mut self.input) {
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
            Ok(_) | Err(_) => Ok(()),
        }
    }

    async fn flush(&mut self) -> io::Result<()> {
        let output = std::mem::take(self.session.output());
        if output.is_empty() {
            return Ok(());
        }
        let deadline = self.deadline().min(tokio::time::Instant::now() + WRITE);
        let hurry = async {
            tokio::select! {
                () = self.drain.begun() => {}
                () = self.seat.changed() => {}
            }
            tokio::time::sleep(LINGER).await;
        };
        tokio::select! {
            biased;
            written = self.stream.write(&output) => written,
            () = tokio::time::sleep_until(deadline) => Err(io::ErrorKind::TimedOut.into()),
            () = hurry => Err(io::ErrorKind::TimedOut.into()),
        }
    }

    async fn close(&mut self, ending: Ending) -> io::Result<()> {
        self.flush().await?;
        match ending {
            Ending::Agreed => Ok(()),
            Ending::Forced => {
                tokio::time::timeout(LINGER, self.stream.linger()).await.unwrap_or(Ok(()))
            }
        }
    }
}
