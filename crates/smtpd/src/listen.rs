//! Accepting clients.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use daemon::Drain;
use envelope::Enhanced;
use nix::errno::Errno;
use nix::sys::socket::{setsockopt, sockopt::TcpNoDelay};
use smtp::server::{Peer, Stage};
use smtp::{Charset, Reply};
use tokio::net::{TcpListener, UnixListener};

use crate::guests::{Guests, Rejection, Seat};
use crate::log;
use crate::policy;
use crate::room::Room;
use crate::session;
use crate::stream::Stream;

/// After a lack of descriptors or memory: others have to end first.
const BREATH: Duration = Duration::from_millis(100);
/// For what a client sends that has no seat.
const LINGER: Duration = Duration::from_secs(2);

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
                let peer = Peer::User { uid, name: uid.to_string() };
                admit(Stream::Unix(stream), peer, &room, &guests, &drain);
            }
            Err(error) => pause(&error).await,
        }
    }
}

/// Gives `serving` up once a successor has taken over. A process without one serves to its end:
/// who still comes, or waits to be accepted, is told to come back.
pub(crate) async fn until_succeeded(serving: impl Future<Output = ()>, mut drain: Drain) {
    let succeeded = async {
        drain.nothing_new().await;
        if drain.has_begun() {
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        () = serving => {}
        () = succeeded => {}
    }
}

fn admit(stream: Stream, peer: Peer, room: &Arc<Room>, guests: &Guests, drain: &Drain) {
    if drain.has_begun() {
        let reply = Reply::new(421, Enhanced(3, 2), "Going down, try again soon");
        return send_away(stream, &reply, guests);
    }
    match guests.seat(&peer, Instant::now()) {
        Ok(mut seat) => {
            let (room, drain, guests) = (Arc::clone(room), drain.clone(), guests.clone());
            // Seated first: while somebody is here this process stays.
            tokio::spawn(async move {
                let peer = named(peer, &room).await;
                match settle(&peer, &room, &mut seat).await {
                    Ok(()) => session::serve(stream, peer, room, drain, seat).await,
                    Err(rejection) => reject(stream, &peer, rejection, &room, &guests),
                }
            });
        }
        Err(rejection) => reject(stream, &peer, rejection, room, guests),
    }
}

/// On what terms the client stays.
async fn settle(peer: &Peer, room: &Room, seat: &mut Seat) -> Result<(), Rejection> {
    let Some(client) = seat.stranger(peer, Instant::now()) else { return Ok(()) };
    match policy::terms(room, client).await {
        Some(terms) => seat.agree(client, terms, Instant::now()),
        None => seat.unanswered(Instant::now()),
    }
}

fn reject(stream: Stream, peer: &Peer, rejection: Rejection, room: &Room, guests: &Guests) {
    let Rejection { reply, untold } = rejection;
    room.counters.refused(Stage::Connect);
    if let Some(untold) = untold {
        log::rejection(&room.quota, peer, &reply, untold);
    }
    send_away(stream, &reply, guests);
}

/// Who it is may take a while to find out.
async fn named(peer: Peer, room: &Room) -> Peer {
    match peer {
        Peer::Network(_) => peer,
        Peer::User { uid, .. } => {
            let name = room.users.name(&room.policyd, uid).await;
            Peer::User { uid, name }
        }
    }
}

/// One reply instead of the banner. It fits the buffer of a fresh socket, so nothing waits; but a
/// client that speaks first reads it only if its words are heard (RFC 1122 §4.2.2.13).
fn send_away(mut stream: Stream, reply: &Reply, guests: &Guests) {
    let mut text = Vec::new();
    reply.write(Charset::Ascii, &mut text);
    stream.write_now(&text);
    if let Some(place) = guests.door() {
        tokio::spawn(async move {
            let _ = tokio::time::timeout(LINGER, stream.linger()).await;
            drop(place);
        });
    }
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
