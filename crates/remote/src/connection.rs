//! One TCP connection to one host, and its dialogue.

use std::io;
use std::time::Duration;

use net::Target;
use smtp::client::{Ended, Mail, Phase, Session, Step, Stuffing};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use crate::content::{Content, PIECE};

/// How long a block of content may take to go out (RFC 5321 §4.5.3.2.5).
const BLOCK_TIME: Duration = Duration::from_mins(3);
/// Bytes read at a time; the replies to a hundred recipients are a few of them.
const ROOM: usize = 4096;

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
    stream: TcpStream,
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
    pub(crate) fn new(stream: TcpStream, our_name: &str, target: &Target) -> Self {
        let session = Session::new(our_name, &target.host);
        Self { stream, session, relay: relay(target), made: Instant::now() }
    }

    /// `host [address]:port`, for the log.
    pub(crate) fn relay(&self) -> &str {
        &self.relay
    }

    /// One transaction; on a fresh connection the greeting comes first.
    pub(crate) async fn transact(&mut self, mail: &Mail<'_>, content: &Content) -> Ended {
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
                Step::Reply(phase) => self.exchange(phase).await,
                Step::Content => self.send(content).await,
                Step::Ready => return None,
                Step::Ended(ended) => return Some(ended),
                Step::Closed => self.session.lost("the connection was closed before"),
            }
        }
    }

    async fn exchange(&mut self, phase: Phase) {
        let Self { stream, session, .. } = self;
        let outgoing = session.outgoing();
        match timeout(patience(phase), write_and_read(stream, session, &outgoing)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => session.lost(&format!("connection lost ({error})")),
            Err(_) => session.lost("no reply in time"),
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

pub(crate) fn relay(target: &Target) -> String {
    let Target { host, address } = target;
    match address.ip() {
        ip if host.parse() == Ok(ip) => format!("[{ip}]:{}", address.port()),
        ip => format!("{host} [{ip}]:{}", address.port()),
    }
}

/// Writes all of `outgoing` and reads at least once. What the host says while we write is taken in
/// at once: were both sides to write only, neither would get on (RFC 2920 §3.1).
async fn write_and_read(
    stream: &mut TcpStream,
    session: &mut Session,
    mut outgoing: &[u8],
) -> io::Result<()> {
    let (mut reader, mut writer) = stream.split();
    let mut room = [0; ROOM];
    let mut has_read = false;
    while !outgoing.is_empty() {
        let read = tokio::select! {
            biased;
            written = writer.write(outgoing) => {
                outgoing = outgoing.get(written?..).unwrap_or_default();
                continue;
            }
            read = reader.read(&mut room) => read?,
        };
        take(session, &room, read)?;
        has_read = true;
    }
    if !has_read {
        let read = reader.read(&mut room).await?;
        take(session, &room, read)?;
    }
    Ok(())
}

fn take(session: &mut Session, room: &[u8], read: usize) -> io::Result<()> {
    match room.get(..read) {
        None | Some([]) => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "closed by the host")),
        Some(bytes) => {
            session.receive(bytes);
            Ok(())
        }
    }
}
