use std::io::Write;

use daemon::LoadGauge;
use envelope::{Body, Extension, Extensions, Origin};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpStream, UnixListener, UnixStream};

use super::*;
use crate::guests::Guests;
use crate::listen;

const HELLO: &str = "EHLO client.test\r\n";
const ENVELOPE: &str = "MAIL FROM:<a@client.test>\r\nRCPT TO:<b@mx.test>\r\nDATA\r\n";

/// A house that listens.
struct Open {
    house: House,
    guests: Guests,
    address: SocketAddr,
    // The directory is removed with it.
    _root: tempfile::TempDir,
}

fn listener() -> std::net::TcpListener {
    let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.set_nonblocking(true).unwrap();
    listener
}

fn open(listener: std::net::TcpListener, change: impl FnOnce(&mut Config)) -> Open {
    open_on(Terms::default(), listener, change)
}

fn open_on(
    terms: Terms,
    listener: std::net::TcpListener,
    change: impl FnOnce(&mut Config),
) -> Open {
    let root = tempfile::tempdir().unwrap();
    let house = House::on(terms, Role::Mx, root.path(), change);
    let guests = Guests::new(house.room.role, &house.room.config, LoadGauge::open());
    let address = listener.local_addr().unwrap();
    let listener = listen::tcp(listener).unwrap();
    let drain = daemon::Drain::from(house.drain.subscribe());
    let serving =
        listen::serve_tcp(listener, Arc::clone(&house.room), guests.clone(), drain.clone());
    tokio::spawn(listen::until_succeeded(serving, drain));
    Open { house, guests, address, _root: root }
}

struct Client<S>(BufReader<S>);

impl Client<TcpStream> {
    async fn connect(open: &Open) -> Self {
        Self(BufReader::new(TcpStream::connect(open.address).await.unwrap()))
    }

    /// Greeted, and past EHLO.
    async fn hello(open: &Open) -> Self {
        let mut client = Self::connect(open).await;
        assert_eq!(client.replies(1).await, ["220 mx.test ESMTP Pennypost"]);
        client.send(HELLO).await;
        client.replies(1).await;
        client
    }
}

impl<S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin> Client<S> {
    async fn send(&mut self, text: impl AsRef<[u8]>) {
        self.0.get_mut().write_all(text.as_ref()).await.unwrap();
    }

    /// The last lines of so many replies.
    async fn replies(&mut self, count: usize) -> Vec<String> {
        let mut last = Vec::new();
        while last.len() < count {
            let mut line = String::new();
            self.0.read_line(&mut line).await.unwrap();
            let line = line.strip_suffix("\r\n").expect("a whole line").to_owned();
            if line.get(3..4) == Some(" ") {
                last.push(line);
            }
        }
        last
    }

    async fn ended(&mut self) {
        let mut rest = String::new();
        self.0.read_to_string(&mut rest).await.unwrap();
        assert_eq!(rest, "");
    }
}

#[test]
fn a_message_arrives_with_a_received_field_in_front() {
    run(async {
        let mut open = open(listener(), |_| ());
        let mut client = Client::hello(&open).await;
        client.send(ENVELOPE).await;
        let replies = client.replies(3).await;
        assert!(replies[2].starts_with("354 "), "{replies:?}");
        client.send("Subject: x\r\n\r\n..text\r\n.\r\nQUIT\r\n").await;
        let id = QueueId::new(52).unwrap();
        let expected = [format!("250 2.0.0 Queued as {id}"), "221 2.0.0 Bye".to_owned()];
        assert_eq!(client.replies(2).await, expected);
        client.ended().await;

        let check = open.house.checks.recv().await.unwrap();
        assert_eq!(check.client, Asker::Network(IpAddr::V4(Ipv4Addr::LOCALHOST)));
        assert_eq!((check.helo.as_str(), check.recipients.len()), ("client.test", 1));
        let Some(Submission::Whole { envelope, quarantine: None, id_at, content, frames: 1 }) =
            open.house.submissions.recv().await
        else {
            panic!("no whole message");
        };
        let helo = "client.test".to_owned();
        let address = IpAddr::V4(Ipv4Addr::LOCALHOST);
        assert_eq!(envelope.origin, Origin::Client { address, helo });
        assert_eq!(envelope.body, Body::SevenBit);
        let content = String::from_utf8(content).unwrap();
        assert_eq!(content.get(id_at..id_at + QueueId::WIDTH), Some("0000000000000"));
        assert!(content.starts_with("Received: from client.test ([127.0.0.1])\r\n"), "{content}");
        assert!(content.ends_with("\r\nSubject: x\r\n\r\n.text\r\n"), "{content}");
    });
}

#[test]
fn a_body_without_a_header_does_not_become_one() {
    run(async {
        let mut open = open(listener(), |_| ());
        let mut client = Client::hello(&open).await;
        client.send(ENVELOPE).await;
        client.replies(3).await;
        client.send("just text\r\n.\r\n").await;
        client.replies(1).await;
        let Some(Submission::Whole { content, .. }) = open.house.submissions.recv().await else {
            panic!("no message");
        };
        assert!(content.ends_with(b"\r\n\r\njust text\r\n"));
    });
}

#[test]
fn what_is_discarded_goes_nowhere_and_what_is_held_says_why() {
    run(async {
        let mut open = open(listener(), |_| ());
        let mut client = Client::hello(&open).await;
        let line = "x".repeat(998) + "\r\n";
        for (to, content) in [("void", "x\r\n".to_owned()), ("void", line.repeat(200))] {
            client.send(ENVELOPE.replace("<b@", &format!("<{to}@"))).await;
            assert!(client.replies(3).await[2].starts_with("354 "));
            client.send(format!("{content}.\r\n")).await;
            let reply = client.replies(1).await.remove(0);
            let id = reply.strip_prefix("250 2.0.0 Queued as ").unwrap();
            assert!(id.parse::<QueueId>().is_ok(), "{reply}");
        }
        for content in ["x\r\n".to_owned(), line.repeat(200)] {
            client.send(ENVELOPE.replace("<b@", "<held@")).await;
            client.replies(3).await;
            client.send(format!("{content}.\r\n")).await;
            client.replies(1).await;
            // The first that comes: of those before nothing was handed over.
            let Some(Submission::Whole { quarantine, envelope, .. }) =
                open.house.submissions.recv().await
            else {
                panic!("no message");
            };
            assert_eq!(quarantine.as_deref(), Some("suspicious"));
            assert_eq!(envelope.recipients[0].address.local(), "held");
        }
    });
}

#[test]
fn long_content_is_streamed() {
    run(async {
        let mut open = open(listener(), |_| ());
        let mut client = Client::hello(&open).await;
        client.send(ENVELOPE).await;
        client.replies(3).await;
        let lines = format!("{}\r\n", "x".repeat(70)).repeat(5000);
        client.send(format!("{lines}.\r\n")).await;
        assert!(client.replies(1).await[0].starts_with("250 2.0.0"));
        let Some(Submission::Whole { content, frames, .. }) = open.house.submissions.recv().await
        else {
            panic!("no message");
        };
        assert!(content.ends_with(lines.as_bytes()));
        assert_eq!(frames, lines.len() / 65_537 + 2);
    });
}

#[test]
fn a_client_that_goes_in_the_middle_delivers_nothing() {
    run(async {
        let mut open = open(listener(), |_| ());
        let mut client = Client::hello(&open).await;
        client.send(ENVELOPE).await;
        client.replies(3).await;
        client.send("x\r\n".repeat(50_000)).await;
        drop(client);
        assert!(matches!(open.house.submissions.recv().await, Some(Submission::Aborted)));
        open.guests.gone().await;
        assert!(open.house.submissions.try_recv().is_err());
    });
}

#[test]
fn a_message_found_bad_at_its_end_is_aborted_and_the_session_goes_on() {
    run(async {
        let mut open = open(listener(), |_| ());
        let mut client = Client::hello(&open).await;
        client.send(ENVELOPE).await;
        client.replies(3).await;
        client.send(format!("{}\0\r\n.\r\n", "x\r\n".repeat(50_000))).await;
        assert!(client.replies(1).await[0].starts_with("554 5.6.0"));
        assert!(matches!(open.house.submissions.recv().await, Some(Submission::Aborted)));
        client.send("NOOP\r\n").await;
        client.replies(1).await;
    });
}

#[test]
fn faults_of_ours_defer() {
    run(async {
        let open = open(listener(), |_| ());
        let mut client = Client::hello(&open).await;
        client.send("MAIL FROM:<death@client.test>\r\nRCPT TO:<death@mx.test>\r\n").await;
        assert!(client.replies(2).await[1].starts_with("451 4.3.0"));
        client.send("RCPT TO:<nobody@mx.test>\r\nRCPT TO:<b@mx.test>\r\nDATA\r\n").await;
        let replies = client.replies(3).await;
        assert_eq!(replies[0], "550 5.1.1 User unknown");
        client.send("x\r\n.\r\n").await;
        assert!(client.replies(1).await[0].starts_with("451 4.3.0"));
        client.send(ENVELOPE.replace("a@", "full@")).await;
        client.replies(3).await;
        client.send("x\r\n.\r\n").await;
        assert_eq!(client.replies(1).await, ["452 4.3.1 Disk full"]);
        client.send(ENVELOPE).await;
        client.replies(3).await;
        client.send("x\r\n.\r\n").await;
        assert!(client.replies(1).await[0].starts_with("250 2.0.0"));
    });
}

#[test]
fn who_speaks_before_the_banner_is_sent_away() {
    let listener = listener();
    let address = listener.local_addr().unwrap();
    let mut early = std::net::TcpStream::connect(address).unwrap();
    early.write_all(HELLO.as_bytes()).unwrap();
    run(async {
        let open = open(listener, |_| ());
        early.set_nonblocking(true).unwrap();
        let mut client = Client(BufReader::new(TcpStream::from_std(early).unwrap()));
        assert!(client.replies(1).await[0].starts_with("554 5.5.1"));
        client.ended().await;
        drop(client);
        open.guests.gone().await;
    });
}

#[test]
fn the_last_reply_reaches_a_client_that_is_still_sending() {
    run(async {
        let open = open(listener(), |_| ());
        let mut client = Client::hello(&open).await;
        client.send(ENVELOPE).await;
        client.replies(3).await;
        // Far more than all socket buffers hold.
        client.send(format!("bare\n{}", "x\r\n".repeat(3_000_000))).await;
        assert!(client.replies(1).await[0].starts_with("554 5.5.2"));
        client.ended().await;
    });
}

#[test]
fn sessions_are_limited() {
    run(async {
        let open = open(listener(), |config| config.limits.sessions = 2);
        let first = Client::hello(&open).await;
        let _second = Client::hello(&open).await;
        let mut third = Client::connect(&open).await;
        assert!(third.replies(1).await[0].starts_with("421 4.3.2"));
        third.ended().await;
        drop(first);
        // The seat is free once the session has seen the end.
        loop {
            let mut fourth = Client::connect(&open).await;
            if fourth.replies(1).await[0].starts_with("220") {
                break;
            }
        }
    });
}

/// What fills the buffer to the brim looks as if more were to come.
#[test]
fn a_client_that_just_filled_the_buffer_is_waited_for_like_any_other() {
    run(async {
        let open = open(listener(), |_| ());
        let mut client = Client::hello(&open).await;
        let line = format!("NOOP {}\r\n", "x".repeat(1024 - 7));
        client.send(line.repeat(4)).await;
        client.replies(4).await;
        open.house.drain.send_replace(true);
        assert_eq!(client.replies(1).await, ["421 4.3.2 Going down, try again soon"]);
    });
}

#[test]
fn draining_ends_idle_sessions_and_lets_others_finish() {
    run(async {
        let open = open(listener(), |_| ());
        let mut idle = Client::hello(&open).await;
        let mut busy = Client::hello(&open).await;
        busy.send(ENVELOPE).await;
        busy.replies(3).await;
        open.house.drain.send_replace(true);
        assert!(idle.replies(1).await[0].starts_with("421 4.3.2"));
        idle.ended().await;
        drop(idle);
        busy.send("x\r\n.\r\n").await;
        let replies = busy.replies(2).await;
        assert!(replies[0].starts_with("250 ") && replies[1].starts_with("421 "), "{replies:?}");
        drop(busy);
        open.guests.gone().await;
    });
}

#[test]
fn who_comes_while_others_finish_is_told_to_come_back() {
    run(async {
        let open = open(listener(), |_| ());
        let mut busy = Client::hello(&open).await;
        busy.send(ENVELOPE).await;
        busy.replies(3).await;
        open.house.drain.send_replace(true);
        let mut late = Client::connect(&open).await;
        late.send(HELLO).await;
        assert_eq!(late.replies(1).await, ["421 4.3.2 Going down, try again soon"]);
        late.ended().await;
        busy.send("x\r\n.\r\n").await;
        busy.replies(2).await;
        drop(busy);
        open.guests.gone().await;
    });
}

#[test]
fn users_of_this_machine_come_by_the_socket() {
    run(async {
        let root = tempfile::tempdir().unwrap();
        let mut house = House::new(Role::Submission, root.path(), |_| ());
        let guests = Guests::new(house.room.role, &house.room.config, LoadGauge::open());
        let path = root.path().join("submit");
        let listener = UnixListener::bind(&path).unwrap();
        let drain = daemon::Drain::from(house.drain.subscribe());
        tokio::spawn(listen::serve_unix(listener, Arc::clone(&house.room), guests, drain));
        let mut client = Client(BufReader::new(UnixStream::connect(&path).await.unwrap()));
        // As `sendmail -bs <script` does: all at once.
        let envelope = "MAIL FROM:<alice>\r\nRCPT TO:<bob>\r\nDATA\r\n";
        let content = "Subject: x\r\nTo: bob,\r\n C <c@localhost>\r\n\r\nTo: x\r\n";
        client.send(format!("{HELLO}{envelope}{content}.\r\nQUIT\r\n")).await;
        let replies = client.replies(7).await;
        assert!(replies[5].starts_with("250 2.0.0 Queued"), "{replies:?}");
        let uid = nix::unistd::getuid().as_raw();
        assert_eq!(house.checks.recv().await.unwrap().client, Asker::User { uid });
        let Some(Submission::Whole { envelope, content, .. }) = house.submissions.recv().await
        else {
            panic!("no message");
        };
        assert!(matches!(envelope.origin, Origin::User { uid: origin, .. } if origin == uid));
        assert_eq!(envelope.reverse_path.to_string(), "alice@mx.test");
        // Nobody of this name is known to be who runs this test.
        for name in ["Date", "Message-ID", "From", "X-Authentication-Warning"] {
            assert!(message::has(&content, name), "{name}");
        }
        let content = String::from_utf8(content).unwrap();
        let qualified = "\r\nTo: bob@mx.test,\r\n C <c@mx.test>\r\n\r\nTo: x\r\n";
        assert!(content.ends_with(qualified), "{content}");
    });
}

#[test]
fn who_speaks_in_the_pause_before_the_greeting_has_to_go() {
    run(async {
        let pause = Terms { pause: Some(300_000), ..Terms::default() };
        let open = open_on(pause, listener(), |_| ());
        let mut client = Client::connect(&open).await;
        client.send(HELLO).await;
        let reply = client.replies(1).await.remove(0);
        assert!(reply.starts_with("554 5.5.1 "), "{reply}");
        client.ended().await;
    });
}

#[test]
fn who_waits_in_the_pause_is_greeted() {
    run(async {
        let pause = Terms { pause: Some(200), ..Terms::default() };
        let open = open_on(pause, listener(), |_| ());
        let start = std::time::Instant::now();
        let mut client = Client::hello(&open).await;
        assert!(start.elapsed() >= Duration::from_millis(200));
        client.send("QUIT\r\n").await;
        client.replies(1).await;
        client.ended().await;
    });
}

#[test]
fn a_pause_ends_when_the_house_drains() {
    run(async {
        let terms = Terms { pause: Some(300_000), sessions: Some(1), ..Terms::default() };
        let open = open_on(terms, listener(), |_| ());
        let mut one = Client::connect(&open).await;
        let mut other = Client::connect(&open).await;
        // There is one seat: one of them has it, and waits.
        let (sent_away, mut waiting) = tokio::select! {
            replies = one.replies(1) => (replies, other),
            replies = other.replies(1) => (replies, one),
        };
        assert_eq!(sent_away, ["421 4.3.2 Too many open connections."]);
        open.house.drain.send(true).unwrap();
        assert_eq!(waiting.replies(1).await, ["220 mx.test ESMTP Pennypost"]);
    });
}

#[test]
fn a_client_has_as_many_sessions_as_the_table_says() {
    run(async {
        let terms = Terms { sessions: Some(1), ..Terms::default() };
        let open = open_on(terms, listener(), |_| ());
        let _first = Client::hello(&open).await;
        let mut second = Client::connect(&open).await;
        assert_eq!(second.replies(1).await, ["421 4.3.2 Too many open connections."]);
        second.ended().await;
    });
}

#[test]
fn a_client_is_offered_what_the_table_lets_it() {
    run(async {
        let withheld = Extensions::NONE.with(Extension::Pipelining).with(Extension::Dsn);
        let open = open_on(Terms { withheld, ..Terms::default() }, listener(), |_| ());
        let mut client = Client::connect(&open).await;
        client.replies(1).await;
        client.send("EHLO client.test\r\n").await;
        client.replies(1).await;
        client.send("MAIL FROM:<a@far.test> RET=HDRS\r\n").await;
        assert_eq!(client.replies(1).await, ["555 5.5.4 Unknown parameter RET"]);
        client.send("MAIL FROM:<a@far.test> SMTPUTF8\r\n").await;
        assert_eq!(client.replies(1).await, ["250 2.1.0 Sender ok"]);
        client.send("QUIT\r\n").await;
        client.replies(1).await;
        client.ended().await;
    });
}
