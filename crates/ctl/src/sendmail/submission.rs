//! A message goes to the socket `submit` by SMTP.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use envelope::{Detail, Enhanced, Status};
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, UnixAddr, connect, setsockopt, socket, sockopt::SendTimeout,
};
use nix::sys::time::{TimeVal, TimeValLike as _};
use smtp::client::{Ended, Mail, Phase, Session, Step, Stuffing};

use super::traffic::{Side, Traffic};

/// A daemon that does not take the connection or greet in this time does not answer, and the
/// message goes to the drop directory.
const GREETING: Duration = Duration::from_secs(10);
/// RFC 5321 §4.5.3.2 has minutes for distant hosts; this one is here.
const REPLY: Duration = Duration::from_secs(60);
/// RFC 5321 §4.5.3.2.6: the commit may wait for a slow disk.
const FINAL_DOT: Duration = Duration::from_secs(600);
/// Content goes out in such pieces.
const PIECE: usize = 64 * 1024;

/// What the daemon said.
#[derive(Debug)]
pub(super) enum Posted {
    /// One status for each recipient, in order.
    Answered(Vec<Status>),
    /// Nothing about any recipient, and why.
    NoAnswer(Detail),
}

/// Connects to the socket `submit` within the time of a greeting, which is the time that each
/// later write has, too.
///
/// # Errors
/// Nobody listens.
pub(super) fn dial(path: &Path) -> std::io::Result<UnixStream> {
    let fd = socket(AddressFamily::Unix, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
    let seconds = i64::try_from(GREETING.as_secs()).unwrap_or(i64::MAX);
    setsockopt(&fd, SendTimeout, &TimeVal::seconds(seconds))?;
    connect(std::os::fd::AsRawFd::as_raw_fd(&fd), &UnixAddr::new(path)?)?;
    Ok(UnixStream::from(fd))
}

/// One transaction. The daemon goes by the name of this host, as its client does.
pub(super) fn post(
    path: &Path,
    our_name: &str,
    mail: &Mail<'_>,
    content: &[u8],
    traffic: &Traffic,
) -> Posted {
    let mut stream = match dial(path) {
        Ok(stream) => stream,
        Err(error) => {
            let text = format!("{}: {error}", path.display());
            return Posted::NoAnswer(Detail::ours(Enhanced::SYSTEM, text));
        }
    };
    let mut session = Session::new(our_name, our_name);
    let end = talk(&mut Line { stream: &mut stream, traffic }, &mut session, mail, content);
    // All is said; whether the daemon hears the goodbye does not matter.
    let _ = Line { stream: &mut stream, traffic }.write_all(&session.farewell());
    match end {
        Ended::Undecided(why) => Posted::NoAnswer(why),
        // Nothing was asked but this.
        Ended::Heard(_) => Posted::NoAnswer(Detail::ours(Enhanced::PROTOCOL, "out of step")),
        Ended::Decided(answers) => {
            Posted::Answered(answers.into_iter().map(|answer| answer.status).collect())
        }
    }
}

/// The connection, and the record of it.
struct Line<'a> {
    stream: &'a mut UnixStream,
    traffic: &'a Traffic,
}

impl Line<'_> {
    fn write_all(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.traffic.note(Side::Client, bytes);
        self.stream.write_all(bytes)
    }
}

fn talk(line: &mut Line<'_>, session: &mut Session, mail: &Mail<'_>, content: &[u8]) -> Ended {
    loop {
        match session.step() {
            Step::Ready => session.begin(mail),
            Step::Reply(phase) => {
                if let Err(error) = exchange(line, session, phase) {
                    session.lost(&error.to_string());
                }
            }
            Step::Content => match write_content(line, content) {
                Ok(()) => session.content_sent(),
                Err(error) => session.lost(&error.to_string()),
            },
            Step::Ended(end) => return end,
            Step::Closed => {
                return Ended::Undecided(Detail::ours(Enhanced::BAD_CONNECTION, "closed"));
            }
        }
    }
}

/// Writes what is to be written and reads what comes.
fn exchange(line: &mut Line<'_>, session: &mut Session, phase: Phase) -> std::io::Result<()> {
    let time = match phase {
        Phase::Greeting => GREETING,
        Phase::Hello | Phase::Mail | Phase::Rcpt | Phase::Data => REPLY,
        Phase::FinalDot => FINAL_DOT,
    };
    line.stream.set_read_timeout(Some(time))?;
    line.write_all(&session.outgoing())?;
    let mut buffer = [0; 4096];
    let length = line.stream.read(&mut buffer)?;
    if length == 0 {
        return Err(std::io::ErrorKind::UnexpectedEof.into());
    }
    let heard = buffer.get(..length).unwrap_or_default();
    line.traffic.note(Side::Server, heard);
    session.receive(heard);
    Ok(())
}

fn write_content(line: &mut Line<'_>, content: &[u8]) -> std::io::Result<()> {
    let mut stuffing = Stuffing::default();
    let mut out = Vec::with_capacity(content.len().min(PIECE) + 1024);
    for piece in content.chunks(PIECE) {
        stuffing.push(piece, &mut out);
        if out.len() >= PIECE {
            line.write_all(&out)?;
            out.clear();
        }
    }
    stuffing.finish(&mut out);
    line.write_all(&out)
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader};
    use std::os::unix::net::UnixListener;

    use envelope::{Body, Recipient, ReversePath};

    use super::*;

    fn mail(recipients: &[Recipient]) -> Mail<'_> {
        Mail {
            reverse_path: &ReversePath::NULL,
            recipients,
            body: Body::SevenBit,
            utf8_headers: false,
            ret: None,
            envid: None,
            size: 4,
            submission: None,
        }
    }

    /// Answers each line with the next reply, if it is not empty; returns all lines.
    fn serve(listener: &UnixListener, replies: &[&str]) -> Vec<String> {
        let (stream, _) = listener.accept().unwrap();
        let mut writer = stream.try_clone().unwrap();
        let mut lines = BufReader::new(stream).lines();
        let mut heard = Vec::new();
        for reply in replies {
            if !reply.is_empty() {
                writer.write_all(format!("{reply}\r\n").as_bytes()).unwrap();
            }
            match lines.next() {
                Some(line) => heard.push(line.unwrap()),
                None => break,
            }
        }
        heard
    }

    fn post_to(replies: &'static [&'static str]) -> (Posted, Vec<String>) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("submit");
        let listener = UnixListener::bind(&path).unwrap();
        let server = std::thread::spawn(move || serve(&listener, replies));
        let recipients = ["a@x.test", "b@x.test"].map(|a| Recipient::plain(a.parse().unwrap()));
        let posted = post(&path, "here.test", &mail(&recipients), b".\r\n", &Traffic::default());
        (posted, server.join().unwrap())
    }

    #[test]
    fn each_recipient_has_its_answer() {
        let replies =
            &["220 x", "250 x", "250 ok", "250 ok", "550 5.1.1 who?", "354 go", "", "250 2.0.0 ID"];
        let (posted, heard) = post_to(replies);
        let Posted::Answered(statuses) = posted else { panic!("{posted:?}") };
        assert_eq!(statuses.iter().map(Status::code).collect::<Vec<_>>(), ["2.0.0", "5.1.1"]);
        let all = [
            "EHLO here.test",
            "MAIL FROM:<>",
            "RCPT TO:<a@x.test>",
            "RCPT TO:<b@x.test>",
            "DATA",
            "..",
            ".",
            "QUIT",
        ];
        assert_eq!(heard, all);
    }

    #[test]
    fn silence_is_no_answer() {
        let nowhere =
            post(Path::new("/nonexistent/submit"), "x", &mail(&[]), b"", &Traffic::default());
        assert!(matches!(nowhere, Posted::NoAnswer(_)));
        assert!(matches!(post_to(&[]).0, Posted::NoAnswer(_)));
        assert!(matches!(post_to(&["421 4.3.2 busy"]).0, Posted::NoAnswer(_)));
    }
}
