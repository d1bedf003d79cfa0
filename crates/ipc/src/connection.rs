//! Frames on a Unix socket.
//!
//! A frame is an eight-byte prefix (`u32` little endian each: bytes of the head, bytes of the body;
//! the top bit of the first says that a descriptor comes along), a head (a serde type in postcard)
//! and a body (opaque bytes: message content, which is never put through serde).

use std::collections::VecDeque;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use rustix::net::sockopt::socket_peercred;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};
use serde::{Serialize, de::DeserializeOwned};
use tokio::net::unix::pipe;

use crate::Error;

/// Bytes of a head: the envelope of 1,000 recipients (RFC 5321 §4.5.3.1.8 asks for 100) with
/// 254-byte addresses and 500-byte ORCPT each fits.
pub const MAX_HEAD: usize = 1 << 20;
/// Bytes of a body: 64 KiB of inline content and the fields that are put before it.
pub const MAX_BODY: usize = 96 * 1024;

const PREFIX: usize = 8;
const HAS_DESCRIPTOR: u32 = 1 << 31;
/// Read at a time; a 4 KiB message with its envelope comes in one piece.
const CHUNK: usize = 16 * 1024;
/// Bytes of a frame whose memory serves the next one, too. A connection that is idle keeps no more.
const MAX_KEPT: usize = 128 * 1024;
/// Descriptors that wait for their frames: that of a frame of which more is to come, and that of
/// the frame after it, which ends a read.
const MAX_DESCRIPTORS: usize = 2;

/// One end of a socketpair, carrying frames both ways.
#[derive(Debug)]
pub struct Connection {
    /// A socket, watched for input only: as a stream of the runtime it would wake this process also
    /// whenever the other side takes what was sent.
    stream: pipe::Receiver,
    inbox: BytesMut,
    descriptors: VecDeque<OwnedFd>,
}

/// One frame as received.
#[derive(Debug)]
pub struct Frame<T> {
    pub head: T,
    pub body: Bytes,
    pub descriptor: Option<OwnedFd>,
}

impl Connection {
    /// Takes over a stream of the runtime.
    ///
    /// # Errors
    /// The descriptor cannot be registered anew.
    pub fn new(stream: tokio::net::UnixStream) -> io::Result<Self> {
        Self::from_fd(stream.into_std()?.into())
    }

    /// Takes over a connected Unix stream socket.
    ///
    /// # Errors
    /// The descriptor cannot be registered with the runtime.
    pub fn from_fd(fd: OwnedFd) -> io::Result<Self> {
        let stream = UnixStream::from(fd);
        stream.set_nonblocking(true)?;
        let stream = pipe::Receiver::from_owned_fd_unchecked(stream.into())?;
        Ok(Self { stream, inbox: BytesMut::new(), descriptors: VecDeque::new() })
    }

    /// A fresh socketpair: this end, and the one to give away.
    ///
    /// # Errors
    /// No descriptors are left.
    pub fn pair() -> io::Result<(Self, OwnedFd)> {
        let (ours, theirs) = socket_pair()?;
        Ok((Self::from_fd(ours)?, theirs))
    }

    /// The user at the other end, as the kernel saw him connect.
    ///
    /// # Errors
    /// As the system call.
    pub fn peer_uid(&self) -> io::Result<u32> {
        Ok(socket_peercred(&self.stream)?.uid.as_raw())
    }

    /// The socket, to hand it on; bytes already read are lost with it.
    ///
    /// # Errors
    /// The socket cannot be taken from the runtime.
    pub fn into_fd(self) -> io::Result<OwnedFd> {
        self.stream.into_nonblocking_fd()
    }

    /// Sends one frame. Not cancel-safe: a connection whose `send` was dropped is to be dropped.
    ///
    /// # Errors
    /// [`Error::TooLarge`] before anything is sent; else the connection is of no more use.
    pub async fn send<T: Serialize + Sync>(
        &mut self,
        head: &T,
        body: &[u8],
        descriptor: Option<BorrowedFd<'_>>,
    ) -> Result<(), Error> {
        let mut text = postcard::to_extend(head, vec![0; PREFIX]).map_err(|_| Error::TooLarge)?;
        let head_len = text.len() - PREFIX;
        if head_len > MAX_HEAD || body.len() > MAX_BODY {
            return Err(Error::TooLarge);
        }
        let flag = if descriptor.is_some() { HAS_DESCRIPTOR } else { 0 };
        let first = u32::try_from(head_len).map_err(|_| Error::TooLarge)? | flag;
        let second = u32::try_from(body.len()).map_err(|_| Error::TooLarge)?;
        if let Some(prefix) = text.first_chunk_mut::<PREFIX>() {
            *prefix = (u64::from(second) << 32 | u64::from(first)).to_le_bytes();
        }
        self.write(&text, body, descriptor).await
    }

    /// [`Connection::send`] with a deadline.
    ///
    /// # Errors
    /// [`Error::TimedOut`], or as `send`.
    pub async fn send_within<T: Serialize + Sync>(
        &mut self,
        head: &T,
        time: Duration,
    ) -> Result<(), Error> {
        let sent = tokio::time::timeout(time, self.send(head, b"", None)).await;
        sent.map_err(|_| Error::TimedOut)?
    }

    async fn write(
        &mut self,
        mut head: &[u8],
        mut body: &[u8],
        mut descriptor: Option<BorrowedFd<'_>>,
    ) -> Result<(), Error> {
        while !head.is_empty() || !body.is_empty() {
            let sent = match write_once(&self.stream, head, body, descriptor) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.writable().await?;
                    continue;
                }
                sent => sent?,
            };
            descriptor = None;
            let of_head = sent.min(head.len());
            head.advance(of_head);
            body.advance((sent - of_head).min(body.len()));
        }
        Ok(())
    }

    /// Returns once the other side has made room.
    async fn writable(&self) -> io::Result<()> {
        // A descriptor of its own, as the runtime takes each one once.
        let copy = self.stream.as_fd().try_clone_to_owned()?;
        pipe::Sender::from_owned_fd_unchecked(copy)?.writable().await
    }

    /// Waits until a frame begins, and returns its bytes; no memory is taken for them before it is
    /// received. Cancel-safe.
    ///
    /// # Errors
    /// As `receive`.
    pub async fn announced(&mut self) -> Result<usize, Error> {
        loop {
            if let Some(Prefix { head, body, .. }) = Prefix::read(&self.inbox)? {
                return Ok(PREFIX + head + body);
            }
            self.fill().await?;
        }
    }

    /// Receives one frame. Cancel-safe.
    ///
    /// # Errors
    /// [`Error::PeerGone`] at the end of the stream; after any error the connection is of no use.
    pub async fn receive<T: DeserializeOwned>(&mut self) -> Result<Frame<T>, Error> {
        loop {
            if let Some(frame) = decode(&mut self.inbox, &mut self.descriptors)? {
                return Ok(frame);
            }
            self.fill().await?;
        }
    }

    /// The next frame, if it has arrived. Cancel-safe.
    ///
    /// # Errors
    /// As `receive`.
    pub async fn receive_ready<T: DeserializeOwned>(&mut self) -> Result<Option<Frame<T>>, Error> {
        loop {
            if let Some(frame) = decode(&mut self.inbox, &mut self.descriptors)? {
                return Ok(Some(frame));
            }
            // The runtime looks for input meanwhile.
            tokio::task::yield_now().await;
            match self.fill_now() {
                Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Ok(None);
                }
                other => other?,
            }
        }
    }

    /// [`Connection::receive`] with a deadline.
    ///
    /// # Errors
    /// [`Error::TimedOut`], or as `receive`.
    pub async fn receive_within<T: DeserializeOwned>(
        &mut self,
        time: Duration,
    ) -> Result<Frame<T>, Error> {
        tokio::time::timeout(time, self.receive()).await.map_err(|_| Error::TimedOut)?
    }

    /// Sends a request and waits for its reply; both within `time`.
    ///
    /// # Errors
    /// As `send` and `receive`, and [`Error::TimedOut`].
    pub async fn call<Q: Serialize + Sync, R: DeserializeOwned>(
        &mut self,
        head: &Q,
        body: &[u8],
        descriptor: Option<BorrowedFd<'_>>,
        time: Duration,
    ) -> Result<Frame<R>, Error> {
        let exchange = async {
            self.send(head, body, descriptor).await?;
            self.receive().await
        };
        tokio::time::timeout(time, exchange).await.map_err(|_| Error::TimedOut)?
    }

    async fn fill(&mut self) -> Result<(), Error> {
        loop {
            self.stream.readable().await?;
            // No await from here on: a dropped future leaves the inbox whole.
            match self.fill_now() {
                Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => {}
                other => return other,
            }
        }
    }

    fn fill_now(&mut self) -> Result<(), Error> {
        let start = self.inbox.len();
        self.inbox.resize(start + CHUNK.max(self.inbox.capacity() - start), 0);
        let room = self.inbox.get_mut(start..).unwrap_or_default();
        let read = self.stream.try_io(|| read_once(&self.stream, room));
        let length = read.as_ref().map_or(0, |(length, _)| *length);
        let short = length < room.len();
        self.inbox.truncate(start + length);
        let (_, descriptor) = read?;
        if short && descriptor.is_none() {
            // Nothing is left: the runtime need not ask the kernel before the next event. (A
            // descriptor ends a read early.)
            let nothing = || Err::<(), _>(io::ErrorKind::WouldBlock.into());
            let _ = self.stream.try_io(nothing);
        }
        self.descriptors.extend(descriptor);
        if self.descriptors.len() > MAX_DESCRIPTORS {
            return Err(Error::PeerMisbehaved("descriptors that belong to no frame"));
        }
        if length == 0 { Err(Error::PeerGone) } else { Ok(()) }
    }
}

/// What a frame begins with.
struct Prefix {
    /// Bytes.
    head: usize,
    /// Bytes.
    body: usize,
    has_descriptor: bool,
}

impl Prefix {
    /// `None`: it has not arrived.
    fn read(inbox: &[u8]) -> Result<Option<Self>, Error> {
        let Some(prefix) = inbox.first_chunk::<PREFIX>() else { return Ok(None) };
        let prefix = u64::from_le_bytes(*prefix);
        let [first, second] = [prefix & 0xffff_ffff, prefix >> 32]
            .map(|half| u32::try_from(half).unwrap_or(u32::MAX));
        let [head, body] = [first & !HAS_DESCRIPTOR, second]
            .map(|length| usize::try_from(length).unwrap_or(usize::MAX));
        if head > MAX_HEAD || body > MAX_BODY {
            return Err(Error::PeerMisbehaved("a frame over its bound"));
        }
        Ok(Some(Self { head, body, has_descriptor: first & HAS_DESCRIPTOR != 0 }))
    }
}

/// Takes the first frame off `inbox`, and its descriptor off `descriptors`; `None`: more of it is
/// still to come.
///
/// # Errors
/// [`Error::PeerMisbehaved`]: what is there can never be a frame.
pub fn decode<T: DeserializeOwned>(
    inbox: &mut BytesMut,
    descriptors: &mut VecDeque<OwnedFd>,
) -> Result<Option<Frame<T>>, Error> {
    let Some(prefix) = Prefix::read(inbox)? else { return Ok(None) };
    let length = PREFIX + prefix.head + prefix.body;
    if inbox.len() < length {
        inbox.reserve(length - inbox.len());
        return Ok(None);
    }
    inbox.advance(PREFIX);
    let head = inbox.split_to(prefix.head);
    let body = inbox.split_to(prefix.body).freeze();
    if inbox.is_empty() && length > MAX_KEPT {
        *inbox = BytesMut::new();
    }
    let descriptor = if prefix.has_descriptor {
        let fd = descriptors.pop_front();
        Some(fd.ok_or(Error::PeerMisbehaved("a descriptor is missing"))?)
    } else {
        None
    };
    match postcard::take_from_bytes(&head) {
        Ok((head, [])) => Ok(Some(Frame { head, body, descriptor })),
        Ok(_) | Err(_) => Err(Error::PeerMisbehaved("a head that cannot be decoded")),
    }
}

/// A connected pair of Unix stream sockets, closed on exec.
///
/// # Errors
/// No descriptors are left.
pub(crate) fn socket_pair() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?)
}

fn write_once(
    stream: impl AsFd,
    head: &[u8],
    body: &[u8],
    descriptor: Option<BorrowedFd<'_>>,
) -> io::Result<usize> {
    let parts = [IoSlice::new(head), IoSlice::new(body)];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if let Some(fd) = &descriptor {
        control.push(SendAncillaryMessage::ScmRights(std::slice::from_ref(fd)));
    }
    let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
    Ok(sendmsg(stream, &parts, &mut control, flags)?)
}

/// Bytes read (0: end of stream), and the descriptor that came with them.
fn read_once(stream: impl AsFd, room: &mut [u8]) -> io::Result<(usize, Option<OwnedFd>)> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let flags = RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT;
    let read = recvmsg(stream, &mut [IoSliceMut::new(room)], &mut control, flags)?;
    let mut descriptor = None;
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(mut rights) = message {
            descriptor = descriptor.or(rights.next());
        }
    }
    Ok((read.bytes, descriptor))
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::fd::AsFd;

    use super::*;

    fn run(test: impl Future<Output = ()>) {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test);
    }

    fn two() -> (Connection, Connection) {
        let (ours, theirs) = Connection::pair().unwrap();
        (ours, Connection::from_fd(theirs).unwrap())
    }

    #[test]
    fn frames_arrive_whole_and_in_order() {
        run(async {
            let (mut left, mut right) = two();
            let body = vec![7; MAX_BODY];
            let sender = async {
                left.send(&"one", b"", None).await.unwrap();
                left.send(&"two", &body, None).await.unwrap();
                drop(left);
            };
            let receiver = async {
                assert_eq!(right.receive::<String>().await.unwrap().head, "one");
                let frame = right.receive::<String>().await.unwrap();
                assert_eq!((frame.head.as_str(), &frame.body[..]), ("two", &body[..]));
                assert!(matches!(right.receive::<String>().await, Err(Error::PeerGone)));
            };
            tokio::join!(sender, receiver);
        });
    }

    #[test]
    fn descriptors_stay_with_their_frames() {
        run(async {
            let (mut left, mut right) = two();
            let (mut end, given) = std::os::unix::net::UnixStream::pair().unwrap();
            left.send(&1, b"x", None).await.unwrap();
            left.send(&2, b"", Some(given.as_fd())).await.unwrap();
            left.send(&3, b"", None).await.unwrap();
            drop(given);
            assert!(right.receive::<i32>().await.unwrap().descriptor.is_none());
            let fd = right.receive::<i32>().await.unwrap().descriptor.unwrap();
            assert!(right.receive::<i32>().await.unwrap().descriptor.is_none());
            std::os::unix::net::UnixStream::from(fd).write_all(b"here").unwrap();
            let mut text = String::new();
            end.read_to_string(&mut text).unwrap();
            assert_eq!(text, "here");
        });
    }

    #[test]
    fn malformed_frames_are_the_peers_fault() {
        let long = [&(u32::MAX >> 1).to_le_bytes()[..], &[0; 4]].concat();
        let no_descriptor = [&(1 | HAS_DESCRIPTOR).to_le_bytes()[..], &[0; 5]].concat();
        let trailing = [&2_u32.to_le_bytes()[..], &[0; 6]].concat();
        let truncated = [&1_u32.to_le_bytes()[..], &[0; 4], &[5]].concat();
        for bytes in [long, no_descriptor, trailing, truncated] {
            run(async move {
                let (mut ours, theirs) = Connection::pair().unwrap();
                std::os::unix::net::UnixStream::from(theirs).write_all(&bytes).unwrap();
                let result = ours.receive::<Vec<u8>>().await.map(|frame| frame.head);
                assert!(matches!(result, Err(Error::PeerMisbehaved(_))), "{bytes:?}: {result:?}");
            });
        }
    }

    #[test]
    fn descriptors_without_a_frame_are_not_collected() {
        run(async {
            let (left, mut right) = two();
            let (_, given) = std::os::unix::net::UnixStream::pair().unwrap();
            let frame = [&1_u32.to_le_bytes()[..], &[0; 4], &[7]].concat();
            let mut taken = 0;
            let end = loop {
                write_once(&left.stream, &frame, b"", Some(given.as_fd())).unwrap();
                match right.receive::<u8>().await {
                    Ok(frame) => assert!(frame.descriptor.is_none()),
                    Err(error) => break error,
                }
                taken += 1;
            };
            assert!(matches!(end, Error::PeerMisbehaved(_)), "{end}");
            assert_eq!(taken, MAX_DESCRIPTORS);
        });
    }

    #[test]
    fn many_frames_with_descriptors_may_wait() {
        run(async {
            let (mut left, mut right) = two();
            let (_, given) = std::os::unix::net::UnixStream::pair().unwrap();
            for number in 0..100_u8 {
                let body = vec![0; usize::from(number)];
                left.send(&number, &body, Some(given.as_fd())).await.unwrap();
                left.send(&number, &body, None).await.unwrap();
            }
            for number in 0..100_u8 {
                assert!(right.receive::<u8>().await.unwrap().descriptor.is_some(), "{number}");
                assert!(right.receive::<u8>().await.unwrap().descriptor.is_none(), "{number}");
            }
        });
    }

    #[test]
    fn what_has_arrived_is_taken_and_no_more() {
        run(async {
            let (mut left, mut right) = two();
            assert!(right.receive_ready::<u8>().await.unwrap().is_none());
            for number in 0_u8..3 {
                left.send(&number, b"", None).await.unwrap();
            }
            let unfinished = [&1_u32.to_le_bytes()[..], &9_u32.to_le_bytes()].concat();
            write_once(&left.stream, &unfinished, b"", None).unwrap();
            for number in 0_u8..3 {
                let frame = right.receive_ready::<u8>().await.unwrap();
                assert_eq!(frame.map(|frame| frame.head), Some(number));
            }
            assert!(right.receive_ready::<u8>().await.unwrap().is_none());
            drop(left);
            assert!(matches!(right.receive_ready::<u8>().await, Err(Error::PeerGone)));
        });
    }

    #[test]
    fn a_frame_is_announced_before_it_takes_room() {
        run(async {
            let (mut left, mut right) = two();
            let head = vec![7_u8; MAX_HEAD - 3];
            let sender = async {
                left.send(&head, b"body", None).await.unwrap();
                left.send(&1_u8, b"", None).await.unwrap();
            };
            let receiver = async {
                assert_eq!(right.announced().await.unwrap(), PREFIX + MAX_HEAD + 4);
                assert!(right.inbox.capacity() < MAX_KEPT);
                let frame = right.receive::<Vec<u8>>().await.unwrap();
                assert_eq!((frame.head.len(), &frame.body[..]), (head.len(), &b"body"[..]));
                assert_eq!(right.announced().await.unwrap(), PREFIX + 1);
                assert!(right.inbox.capacity() < MAX_KEPT);
                assert_eq!(right.receive::<u8>().await.unwrap().head, 1);
            };
            tokio::join!(sender, receiver);
        });
    }

    #[test]
    fn who_does_not_read_is_not_waited_for() {
        run(async {
            let (mut left, _right) = two();
            let text = vec![0_u8; MAX_HEAD / 2];
            let sent = left.send_within(&text, Duration::from_millis(1)).await;
            assert!(matches!(sent, Err(Error::TimedOut)), "{sent:?}");
        });
    }

    #[test]
    fn a_dropped_receive_loses_nothing() {
        run(async {
            let (mut left, mut right) = two();
            let nothing = right.receive_within::<u8>(Duration::from_millis(1)).await;
            assert!(matches!(nothing, Err(Error::TimedOut)));
            left.send(&9_u8, b"body", None).await.unwrap();
            assert_eq!(right.receive::<u8>().await.unwrap().head, 9);
        });
    }
}
