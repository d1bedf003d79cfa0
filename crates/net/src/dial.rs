//! Connections to other mail systems.

use std::io;
use std::time::Duration;

use tokio::net::{TcpStream, UnixStream};

use crate::{Place, Stream};

/// How long one address has to answer. RFC 1123 §5.3.2 names no time; a host that needs longer
/// than five lost SYN packets is down.
pub const CONNECT_TIME: Duration = Duration::from_secs(30);

/// Connects within `time`. What is written goes out at once: we write whole groups of commands.
///
/// # Errors
/// As the system calls; `TimedOut` when the time is over.
pub async fn dial(place: &Place, time: Duration) -> io::Result<Stream> {
    let connected = async {
        match place {
            Place::Address(address) => {
                let stream = TcpStream::connect(address).await?;
                stream.set_nodelay(true)?;
                Ok(Stream::Tcp(stream))
            }
            Place::Socket(path) => UnixStream::connect(path).await.map(Stream::Unix),
        }
    };
    tokio::time::timeout(time, connected)
        .await
        .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
}
