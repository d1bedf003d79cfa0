//! The connection to a client.

use std::io;

use tokio::io::AsyncWriteExt;
use tokio::net::{TcpStream, UnixStream};

/// Bytes read at a time of what nobody will hear.
const UNHEARD: usize = 4 * 1024;

/// TCP, or the socket `submit`.
#[derive(Debug)]
pub(crate) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Stream {
    /// Takes what the client sent before anyone listened; is there anything? Asks the kernel: the
    /// runtime takes a fresh connection to be ready until it has proved not to be.
    pub(crate) fn has_spoken(&self) -> bool {
        let read = match self {
            Self::Tcp(stream) => stream.try_read(&mut [0]),
            Self::Unix(stream) => stream.try_read(&mut [0]),
        };
        read.is_ok_and(|length| length > 0)
    }

    /// Returns once the client has said anything. Cancel-safe.
    pub(crate) async fn speaks(&self) -> io::Result<()> {
        loop {
            self.readable().await?;
            let read = match self {
                Self::Tcp(stream) => stream.try_read(&mut [0]),
                Self::Unix(stream) => stream.try_read(&mut [0]),
            };
            match read {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(_) => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Returns once there is input or an end. Cancel-safe.
    pub(crate) async fn readable(&self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.readable().await,
            Self::Unix(stream) => stream.readable().await,
        }
    }

    /// Appends what input there is to `input`, at most what there is room for. 0: the client has
    /// ended. `WouldBlock`: nothing is there.
    pub(crate) fn read_now(&self, input: &mut Vec<u8>) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.try_read_buf(input),
            Self::Unix(stream) => stream.try_read_buf(input),
        }
    }

    pub(crate) async fn write(&mut self, output: &[u8]) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.write_all(output).await,
            Self::Unix(stream) => stream.write_all(output).await,
        }
    }

    /// Writes what fits without waiting; the connection is about to end in any case.
    pub(crate) fn write_now(&self, output: &[u8]) {
        let _ = match self {
            Self::Tcp(stream) => stream.try_write(output),
            Self::Unix(stream) => stream.try_write(output),
        };
    }

    /// Says that no more will come from us, and reads on until the client has ended, so that it can
    /// read what we said last: a connection closed with unread input is reset, and takes our words
    /// along (RFC 1122 §4.2.2.13).
    pub(crate) async fn linger(&mut self) -> io::Result<()> {
        let mut unheard = Vec::with_capacity(UNHEARD);
        self.shut_down().await?;
        loop {
            unheard.clear();
            self.readable().await?;
            match self.read_now(&mut unheard) {
                Ok(0) => return Ok(()),
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error),
                Ok(_) | Err(_) => {}
            }
        }
    }

    async fn shut_down(&mut self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.shutdown().await,
            Self::Unix(stream) => stream.shutdown().await,
        }
    }
}
