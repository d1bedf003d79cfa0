//! Accepting clients.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use daemon::Drain;
use nix::errno::Errno;
use nix::sys::socket::{setsockopt, sockopt::TcpNoDelay};
use smtp::Reply;
use smtp::server::{Peer, Refusal, Stage};
use tokio::net::{TcpListener, UnixListener};

use crate::guests::Guests;
use crate::log;
use crate::room::Room;
use crate::session;
use crate::stream::Stream;

/// After a lack of descriptors or memory: others have to end first.
const BREATH: Duration = Duration::from_millis(100);

/// The listener for this runtime. Connections inherit its TCP_NODELAY: we write whole groups of
/// replies, and no one should wait for the next.
pub(crate) fn tcp(listener: std::net::TcpListener) -> io::Result<TcpListener> {
    setsockopt(&listener, TcpNoDelay, &true)?;
    TcpListener::from_std(listener)
}

/// Serves clients on the network, each in a task of its own.
pub(crate) async fn serve_tcp(
    listener: TcpListener,
    room: Arc<Room>,
    guests: Guests,
    drain: Drain,
) {
    loop {
        match listener.accept().await {
            Ok((stream, address)) => {
                let address = address.ip().to_canonical();
                let peer = Peer::Network(address);
                admit(Stream::Tcp(stream), peer, &room, &guests, &drain);
            }
            Err(error) => pause(&error).await,
        }
    }
}

/// Serves users of this machine, each in a task of its own.
pub(crate) async fn serve_unix(
    listener: UnixListener,
    room: Arc<Room>,
    guests: Guests,
    drain: Drain,
) {
    loop {
        let accepted = listener.accept().await;
        match accepted.and_then(|(stream, _)| Ok((stream.peer_cred()?.uid(), stream))) {
            Ok((uid, stream)) => {
                let peer = Peer::User { uid, name: room.users.name(uid) };
                admit(Stream::Unix(stream), peer, &room, &guests, &drain);
            }
            Err(error) => pause(&error).await,
        }
    }
}

/// Gives `serving` up once draining has begun.
pub(crate) async fn until_drained(serving: impl Future<Output = ()>, mut drain: Drain) {
    tokio::select! {
        () = serving => {}
        () = drain.begun() => {}
    }
}

fn admit(stream: Stream, peer: Peer, room: &Arc<Room>, guests: &Guests, drain: &Drain) {
    match guests.seat(&peer) {
        Ok(seat) => {
            let (room, drain) = (Arc::clone(room), drain.clone());
            tokio::spawn(session::serve(stream, peer, room, drain, seat));
        }
        Err(reply) => send_away(&stream, &peer, &reply),
    }
}

/// One reply instead of the banner. It fits the buffer of a fresh socket, so nothing waits.
fn send_away(stream: &Stream, peer: &Peer, reply: &Reply) {
    let refusal = Refusal { stage: Stage::Connect, from: None, to: None, reply: reply.clone() };
    log::refusal(peer, "", &refusal);
    let mut text = Vec::new();
    reply.write(&mut text);
    stream.write_now(&text);
}

/// Other errors of accept are of the connection that was to come, and the next may be better
/// (accept(2)).
async fn pause(error: &io::Error) {
    const LACKING: [Errno; 4] = [Errno::EMFILE, Errno::ENFILE, Errno::ENOBUFS, Errno::ENOMEM];
    let errno = Errno::from_raw(error.raw_os_error().unwrap_or_default());
    if LACKING.contains(&errno) {
        tracing::warn!("cannot accept a connection: {error}");
        tokio::time::sleep(BREATH).await;
    }
}
