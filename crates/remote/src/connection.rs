//! One connection to one host, and its dialogue.

use std::io;
use std::time::Duration;

use envelope::{Dialogue, Protocol};
use net::{Stream, Target, exchange};
use smtp::client::{Ended, Mail, Phase, Session, Step, Stuffing};
use tokio::io::AsyncWriteExt;
use tokio::time::{Instant, timeout};

use crate::content::{Content, PIECE};

/// How long a block of content may take to go out (RFC 5321 §4.5.3.2.5).
const BLOCK_TIME: Duration = Duration::from_mins(3);

/// How long a connection is used: then MX records and better hosts get their chance again.
const LIFE: Duration = Duration::from_mins(5);

/// How long a host may be silent while we wait for a reply (RFC 5321 §4.5.3.2, which names no
/// time for EHLO).
const fn patience(phase: Phase) -> Duration {
    match phase {
        Phase::Greeting | Phase::Hello | Phase::Mail | Phase::Rcpt => Duration::from_mins(5),
        Phase::Data => Duration::from_mins(2),
        Phase::FinalDot => Duration::from_mins(10),
    }
}

#[derive(Debug)]
pub(crate) struct Connection {
    stream: Stream,
    session: Session,
    relay: String,
    made: Instant,
}

/// Why content did not go out.
enum Unsent {
    /// A fault of ours. The final dot is never sent, so that nobody gets half a message.
    Unreadable(String),
    Lost(String),
}

impl Connection {
    pub(crate) fn new(stream: Stream, protocol: Protocol, our_name: &str, target: &Target) -> Self {
        let session = Session::new(our_name, &target.host).speaking(protocol);
        Self { stream, session, relay: target.to_string(), made: Instant::now() }
    }

    /// `host [address]:port`, for the log.
    pub(crate) fn relay(&self) -> &str {
        &self.relay
    }

    /// From now on adds what is said to this dialogue.
    pub(crate) fn record(&mut self, dialogue: Option<Dialogue>) {
        self.session.record(dialogue);
    }

    /// Takes what was said since then.
    pub(crate) const fn recorded(&mut self) -> Option<Dialogue> {
        self.session.recorded()
    }

    /// One transaction; on a fresh connection the greeting comes first. What has been answered when
    /// `until` is over holds: by LMTP some recipients may have the message, and are not to get it again.
    pub(crate) async fn transact(
        &mut self,
        mail: &Mail<'_>,
        content: &Content,
        until: impl Future<Output = ()>,
    ) -> Ended {
        tokio::select! {
            biased;
            ended = self.talk(mail, content) => return ended,
            () = until => {}
        }
        self.session.lost("the attempt took too long");
        self.talk(mail, content).await
    }

    async fn talk(&mut self, mail: &Mail<'_>, content: &Content) -> Ended {
        if let Some(ended) = self.run(content).await {
            return ended;
        }
        self.session.begin(mail);
        loop {
            if let Some(ended) = self.run(content).await {
                return ended;
            }
            self.session.lost("nothing was under way");
        }
    }

    /// Runs the dialogue until it ends, or until the host waits for a transaction.
    async fn run(&mut self, content: &Content) -> Option<Ended> {
        loop {
            match self.session.step() {
                Step::Reply(phase) => {
                    exchange(&mut self.stream, &mut self.session, patience(phase)).await;
                }
                Step::Content => self.send(content).await,
                Step::Ready => return None,
                Step::Ended(ended) => return Some(ended),
                Step::Closed => self.session.lost("the connection was closed before"),
            }
        }
    }

    async fn send(&mut self, content: &Content) {
        match self.send_all(content).await {
            Ok(()) => self.session.content_sent(),
            Err(Unsent::Unreadable(why)) => self.session.fault(&why),
            Err(Unsent::Lost(why)) => self.session.lost(&why),
        }
    }

    /// Writes the content and the final dot; a small message in one write.
    async fn send_all(&mut self, content: &Content) -> Result<(), Unsent> {
        let (mut stuffing, mut out, mut offset) = (Stuffing::default(), Vec::new(), 0);
        loop {
            let piece = content.piece(offset);
            let piece = piece.map_err(|error| Unsent::Unreadable(format!("content: {error}")))?;
            if piece.is_empty() {
                stuffing.finish(&mut out);
                return self.write(&mut out).await;
            }
            if out.len() >= PIECE {
                self.write(&mut out).await?;
            }
            offset += piece.len() as u64;
            stuffing.push(&piece, &mut out);
        }
    }

    /// Writes and empties `out`.
    async fn write(&mut self, out: &mut Vec<u8>) -> Result<(), Unsent> {
        let written = timeout(BLOCK_TIME, self.stream.write_all(out)).await;
        out.clear();
        written
            .map_err(|_| Unsent::Lost("the host takes no more".to_owned()))?
            .map_err(|error| Unsent::Lost(format!("connection lost ({error})")))
    }

    /// Could another transaction begin? A host that closed or spoke meanwhile is not asked again.
    pub(crate) fn is_reusable(&mut self) -> bool {
        let silent = || {
            let seen = self.stream.try_read(&mut [0]);
            seen.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
        };
        self.session.is_ready() && self.made.elapsed() < LIFE && silent()
    }

    /// Says QUIT, if the host still listens. Its reply is not waited for: nothing depends on it.
    pub(crate) fn close(mut self) {
        let farewell = self.session.farewell();
        if !farewell.is_empty() {
            // If it cannot be sent now, the host notices soon enough.
            let _ = self.stream.try_write(&farewell);
        }
    }
}
