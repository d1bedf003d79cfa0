//! The connection to a client.

use std::io;
use std::os::fd::{AsRawFd, RawFd};

use nix::sys::socket::{MsgFlags, recv, send};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};

/// TCP, or the socket `submit`.
#[derive(Debug)]
pub(crate) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Stream {
    /// Has the client sent something that is still unread? Asks the kernel, because the runtime
    /// does not know of a connection's input before its next turn.
    pub(crate) fn has_input(&self) -> bool {
        let peek = MsgFlags::MSG_PEEK | MsgFlags::MSG_DONTWAIT;
        recv(self.as_raw_fd(), &mut [0], peek).is_ok_and(|length| length > 0)
    }

    /// Returns once there is input or an end. Cancel-safe.
    pub(crate) async fn readable(&self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.readable().await,
            Self::Unix(stream) => stream.readable().await,
        }
    }

    /// Appends input to `input`, at most what there is room for. 0: the client has ended.
    pub(crate) async fn read(&mut self, input: &mut Vec<u8>) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.read_buf(input).await,
            Self::Unix(stream) => stream.read_buf(input).await,
        }
    }

    pub(crate) async fn write(&mut self, output: &[u8]) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.write_all(output).await,
            Self::Unix(stream) => stream.write_all(output).await,
        }
    }

    /// Writes what fits without waiting.
    pub(crate) fn write_now(&self, output: &[u8]) {
        let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
        // The connection ends in any case.
        let _ = send(self.as_raw_fd(), output, flags);
    }

    /// Says that no more will come from us.
    pub(crate) async fn shut_down(&mut self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.shutdown().await,
            Self::Unix(stream) => stream.shutdown().await,
        }
    }
}

impl AsRawFd for Stream {
    fn as_raw_fd(&self) -> RawFd {
        match self {
            Self::Tcp(stream) => stream.as_raw_fd(),
            Self::Unix(stream) => stream.as_raw_fd(),
        }
    }
}
