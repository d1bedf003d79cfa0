//! One turn of the client's dialogue: its commands go out, and what the host says comes in.

use std::io;
use std::time::Duration;

use smtp::client::Session;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::timeout;

use crate::Stream;

/// Bytes read at a time; the replies to a hundred recipients are a few of them.
const ROOM: usize = 4096;

/// Does what [`smtp::client::Step::Reply`] asks for. A host that is silent for longer than
/// `patience`, or gone, is lost to the session.
pub async fn exchange(stream: &mut Stream, session: &mut Session, patience: Duration) {
    let outgoing = session.outgoing();
    let turn = async {
        match stream {
            Stream::Tcp(stream) => {
                let (reader, writer) = stream.split();
                write_and_read(reader, writer, session, &outgoing).await
            }
            Stream::Unix(stream) => {
                let (reader, writer) = stream.split();
                write_and_read(reader, writer, session, &outgoing).await
            }
        }
    };
    let done = timeout(patience, turn).await;
    match done {
        Ok(Ok(())) => {}
        Ok(Err(error)) => session.lost(&format!("connection lost ({error})")),
        Err(_) => session.lost("no reply in time"),
    }
}

/// Writes all of `outgoing` and reads at least once. What the host says while we write is taken in
/// at once: were both sides to write only, neither would get on (RFC 2920 §3.1).
async fn write_and_read(
    mut reader: impl AsyncRead + Unpin,
    mut writer: impl AsyncWrite + Unpin,
    session: &mut Session,
    mut outgoing: &[u8],
) -> io::Result<()> {
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
