//! Connections to other mail systems.

use std::io::{self, ErrorKind};
use std::time::Duration;

use envelope::{Detail, Enhanced};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

use crate::{Place, Stream, Target};

/// How long one address has to answer. RFC 1123 §5.3.2 names no time; a host that needs longer
/// than five lost SYN packets is down.
pub const CONNECT_TIME: Duration = Duration::from_secs(30);

/// What sendmail says of it (sm_errstring() of its errstring.c): scripts and people look for the words, and
/// its listings have no room for more.
const SAID: [(ErrorKind, &str); 3] = [
    (ErrorKind::ConnectionRefused, "Connection refused by"),
    (ErrorKind::ConnectionReset, "Connection reset by"),
    (ErrorKind::TimedOut, "Connection timed out with"),
];

/// Connects within `time`. What is written goes out at once: we write whole groups of commands.
///
/// # Errors
/// Why there is no connection.
pub async fn dial(target: &Target, time: Duration) -> Result<Stream, Detail> {
    let connected = timeout(time, connect(&target.place)).await;
    let connected = connected.unwrap_or_else(|_| Err(ErrorKind::TimedOut.into()));
    connected.map_err(|error| Detail::ours(Enhanced::NO_ANSWER, unreached(target, &error)))
}

async fn connect(place: &Place) -> io::Result<Stream> {
    match place {
        Place::Address(address) => {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            Ok(Stream::Tcp(stream))
        }
        Place::Socket(path) => UnixStream::connect(path).await.map(Stream::Unix),
    }
}

fn unreached(target: &Target, error: &io::Error) -> String {
    if let Some((_, words)) = SAID.iter().find(|(kind, _)| *kind == error.kind()) {
        return format!("{words} {target}");
    }
    let text = error.to_string();
    let text = text.split_once(" (os error").map_or(text.as_str(), |(words, _)| words);
    format!("{text}: {target}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "current_thread")]
    async fn nobody_is_there_in_the_words_of_sendmail() {
        let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let target = |place| Target { host: "mx.test".to_owned(), place };
        let nobody = target(Place::Address(closed));
        let why = dial(&nobody, CONNECT_TIME).await.unwrap_err();
        assert_eq!(why.text, format!("Connection refused by {nobody}"));
        let nowhere = target(Place::Socket("/nowhere/at/all".into()));
        let why = dial(&nowhere, CONNECT_TIME).await.unwrap_err();
        assert_eq!(why.text, format!("No such file or directory: {nowhere}"));
    }

    #[test]
    fn who_says_nothing_is_said_so() {
        let place = Place::Address(([192, 0, 2, 1], 25).into());
        let target = Target { host: "mx.test".to_owned(), place };
        let said = unreached(&target, &ErrorKind::TimedOut.into());
        assert_eq!(said, "Connection timed out with mx.test [192.0.2.1]:25");
    }
}
