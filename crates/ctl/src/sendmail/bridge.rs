//! `-bs`: SMTP on stdin and stdout, spoken by the daemon behind the socket `submit`.
//!
//! Programs on this side write LF where SMTP wants CRLF, and some send a whole batch without
//! listening. So line ends are made right, except inside BDAT chunks, whose length is said before,
//! and what follows the greeting and DATA waits for the reply to them: it says what comes next.

mod heard;
mod lines;

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;

use nix::sys::socket::{AddressFamily, SockaddrLike as _, SockaddrStorage, getsockname};

use super::submission;
use super::traffic::{Side, Traffic};
use crate::{Exit, Failure};
use heard::Heard;
pub(crate) use heard::Verdict;
pub(crate) use lines::Lines;

/// Bytes copied at a time.
const PIECE: usize = 16 * 1024;

/// Bridges until the daemon closes the connection, which it does after QUIT and at the end of
/// stdin.
pub(super) fn run(socket: &Path, traffic: Traffic) -> Result<Exit, Failure> {
    let mut stdout = io::stdout().lock();
    if is_of_a_network(io::stdin()) {
        stdout.write_all(b"421 4.3.2 Mail from the network is not taken here\r\n")?;
        let text =
            "-bs on a connection from the network, as inetd has it: a [[listener]] takes such mail";
        return Err(Failure::new(Exit::Unavailable, text));
    }
    let stream = match submission::dial(socket) {
        Ok(stream) => stream,
        Err(error) => {
            stdout.write_all(b"421 4.3.2 The mail system is not running\r\n")?;
            let text = format!("the mail system does not answer: {}: {error}", socket.display());
            return Err(Failure::new(Exit::TempFail, text));
        }
    };
    stream.set_write_timeout(None)?;
    let heard = Arc::new(Heard::default());
    let (writer, ears) = (stream.try_clone()?, Arc::clone(&heard));
    let traffic = Arc::new(traffic);
    let record = Arc::clone(&traffic);
    // The thread ends with the process: stdin may stay open after QUIT.
    std::thread::spawn(move || pass_on(&mut io::stdin().lock(), writer, &ears, &record));
    hand_back(stream, &mut stdout, &heard, &traffic)?;
    Ok(Exit::Ok)
}

/// Then somebody elsewhere speaks, who would have the rights of our caller: any relaying.
fn is_of_a_network(input: impl AsFd) -> bool {
    let ours = getsockname::<SockaddrStorage>(input.as_fd().as_raw_fd());
    ours.is_ok_and(|address| address.family() != Some(AddressFamily::Unix))
}

/// Copies commands and content.
fn pass_on(input: &mut impl Read, mut daemon: UnixStream, heard: &Heard, traffic: &Traffic) {
    let mut lines = Lines::default();
    let mut buffer = [0; PIECE];
    let mut out = Vec::with_capacity(PIECE + 1024);
    heard.wait_for(lines.expected());
    while let Ok(length @ 1..) = input.read(&mut buffer) {
        let mut rest = buffer.get(..length).unwrap_or_default();
        while !rest.is_empty() {
            out.clear();
            rest = lines.push(rest, &mut out);
            traffic.note(Side::Client, &out);
            if daemon.write_all(&out).is_err() {
                return;
            }
            if lines.awaits_reply() {
                lines.go_on(heard.wait_for(lines.expected()));
            }
        }
    }
    // The daemon sees the end and closes its side; if it is gone, that is the end too.
    let _ = daemon.shutdown(std::net::Shutdown::Write);
}

/// Copies replies.
fn hand_back(
    mut daemon: UnixStream,
    output: &mut impl Write,
    heard: &Heard,
    traffic: &Traffic,
) -> io::Result<()> {
    let mut buffer = [0; PIECE];
    loop {
        let read = daemon.read(&mut buffer);
        let gone = |error: &io::Error| error.kind() == io::ErrorKind::ConnectionReset;
        if matches!(read, Ok(0)) || read.as_ref().is_err_and(gone) {
            heard.end();
            return Ok(());
        }
        let replies = buffer.get(..read?).unwrap_or_default();
        traffic.note(Side::Server, replies);
        heard.take(replies);
        output.write_all(replies)?;
        output.flush()?;
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader};
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn what_inetd_hands_over_is_told_from_what_a_program_does() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(listener) = TcpListener::bind(address) else { continue };
            let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let (accepted, _) = listener.accept().unwrap();
            assert!(is_of_a_network(&accepted), "{address}");
            drop(client);
            assert!(is_of_a_network(&accepted), "{address}: also when the other side has gone");
        }
        assert!(!is_of_a_network(UnixStream::pair().unwrap().0));
        assert!(!is_of_a_network(std::fs::File::open("/dev/null").unwrap()));
        assert!(!is_of_a_network(io::pipe().unwrap().0));
    }

    /// Answers each command, and content only after its dot; returns all lines.
    fn serve(stream: UnixStream, refuse_data: bool) -> Vec<String> {
        let mut writer = stream.try_clone().unwrap();
        let mut lines = BufReader::new(stream).lines();
        let mut heard = Vec::new();
        let mut content = false;
        writer.write_all(b"220-x\r\n220 x\r\n").unwrap();
        while let Some(Ok(line)) = lines.next() {
            heard.push(line.clone());
            content = content && line != ".";
            if content {
                continue;
            }
            content = line == "DATA" && !refuse_data;
            writer.write_all(if content { b"354 go\r\n" } else { b"250 ok\r\n" }).unwrap();
        }
        heard
    }

    fn bridged(mut input: &[u8], refuse_data: bool) -> (Vec<String>, String) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let server = std::thread::spawn(move || serve(theirs, refuse_data));
        let heard = Arc::new(Heard::default());
        let (writer, ears) = (ours.try_clone().unwrap(), Arc::clone(&heard));
        let mut output = Vec::new();
        let none = &Traffic::default();
        std::thread::scope(|scope| {
            scope.spawn(move || pass_on(&mut input, writer, &ears, none));
            hand_back(ours, &mut output, &heard, none).unwrap();
        });
        (server.join().unwrap(), String::from_utf8(output).unwrap())
    }

    #[test]
    fn a_batch_without_listening() {
        let batch = b"EHLO x\nDATA\nSubject: x\n\nDATA\nBDAT 3\n.\nNOOP\n";
        let (heard, output) = bridged(batch, false);
        let all = ["EHLO x", "DATA", "Subject: x", "", "DATA", "BDAT 3", ".", "NOOP"];
        assert_eq!(heard, all);
        assert_eq!(output.matches("250 ").count(), 3);
        assert_eq!(output.matches("354 ").count(), 1);
    }

    #[test]
    fn a_refused_data_has_no_content() {
        let (heard, output) = bridged(b"DATA\nNOOP\n.\nQUIT\n", true);
        assert_eq!(heard, ["DATA", "NOOP", ".", "QUIT"]);
        assert_eq!(output.matches("250 ").count(), 4);
    }
}
