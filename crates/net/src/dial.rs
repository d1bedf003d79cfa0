//! TCP connections to other mail systems.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpStream;

/// How long one address has to answer. RFC 1123 §5.3.2 names no time; a host that needs longer
/// than five lost SYN packets is down.
pub const CONNECT_TIME: Duration = Duration::from_secs(30);

/// Connects within [`CONNECT_TIME`]. What is written goes out at once: we write whole groups of
/// commands.
///
/// # Errors
/// As the system calls; `TimedOut` when the time is over.
pub async fn dial(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = tokio::time::timeout(CONNECT_TIME, TcpStream::connect(address))
        .await
        .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
    stream.set_nodelay(true)?;
    Ok(stream)
}
