//! The `remote` daemon between a `qmgr` and a supervisor that this test plays.

#![cfg(test)]

#[path = "../src/agent/tests/host.rs"]
mod host;

use std::io::{BufRead, BufReader};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use config::Config;
use envelope::{Body, NextHop, QueueId, Recipient, ReversePath};
use host::{GOOD, HELLO, Host};
use ipc::control::{End, Push, Report};
use ipc::delivery::{Attempt, Destination, Outcome, Outcomes};
use ipc::{Arrow, Client, Connection};

const TIME: Duration = Duration::from_secs(60);
const CONTENT: &[u8] = b"Subject: x\r\n\r\n.\r\n";

/// A running `remote`, and what a `qmgr` sees of it.
struct Daemon {
    child: Child,
    control: Connection,
    qmgr: Client,
}

impl Daemon {
    async fn start() -> Self {
        let (mut control, theirs) = Connection::pair().unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_remote"));
        let child = command.stdin(Stdio::from(theirs)).stderr(Stdio::piped()).spawn().unwrap();
        let configuration = postcard::to_allocvec(&config()).unwrap();
        let push = Push::Configuration { generation: 1, last: true };
        control.send(&push, &configuration, None).await.unwrap();
        let (edge, theirs) = UnixStream::pair().unwrap();
        let answers = Push::Edge(End::Answers(Arrow::QmgrToRemote));
        control.send(&answers, b"", Some(theirs.as_fd())).await.unwrap();
        control.send(&Push::Start, b"", None).await.unwrap();
        let ready = control.receive_within::<Report>(TIME).await.unwrap().head;
        assert!(matches!(ready, Report::Ready { generation: 1, .. }), "{ready:?}");
        let (qmgr, renewal) = Client::new(Arrow::QmgrToRemote);
        renewal.renew(Connection::from_fd(edge.into()).unwrap());
        Self { child, control, qmgr }
    }

    async fn drain(&mut self) {
        self.control.send(&Push::Drain, b"", None).await.unwrap();
    }

    /// Waits for the end of the process; what it logged.
    fn log(mut self) -> Vec<String> {
        let lines = BufReader::new(self.child.stderr.take().unwrap()).lines();
        let lines = lines.map(Result::unwrap).collect();
        assert!(self.child.wait().unwrap().success());
        lines
    }
}

/// Has one message delivered to one recipient: the code of the outcome.
async fn deliver(qmgr: Client, port: u16) -> String {
    let attempt = Attempt {
        id: QueueId::new(1).unwrap(),
        reverse_path: ReversePath::NULL,
        recipients: vec![Recipient::plain("a@one.test".parse().unwrap())],
        destination: Destination::Remote(NextHop::parse(&format!("[127.0.0.1]:{port}")).unwrap()),
        body: Body::SevenBit,
        smtputf8: false,
        ret: None,
        envid: None,
        size: CONTENT.len() as u64,
        arrival: 0,
        watched: false,
        priority: 30_000,
        histories: Vec::new(),
    };
    let frame = qmgr.call::<_, Outcomes>(&attempt, CONTENT, None, TIME).await.unwrap();
    match frame.head.recipients.as_slice() {
        [Outcome::Status(status) | Outcome::Relayed(status)] => status.code(),
        other => panic!("{other:?}"),
    }
}

fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(TIME, test).await.unwrap() });
}

#[test]
fn attempts_are_answered_and_logged_and_connections_closed_in_the_end() {
    run(async {
        let mut daemon = Daemon::start().await;
        let host = Host::play("127.0.0.1:0", &[&[HELLO, GOOD, GOOD, "c: QUIT"].join("\n")]);
        let port = host.port();
        for _ in 0..2 {
            assert_eq!(deliver(daemon.qmgr.clone(), port).await, "2.0.0");
        }
        daemon.drain().await;
        assert_eq!(host.content(), CONTENT.repeat(2));
        let id = QueueId::new(1).unwrap();
        let begins = format!(": {id}: to=<a@one.test>, delay=");
        let stat = "dsn=2.0.0, ntries=1, stat=Sent (250 2.0.0 ok)";
        let ends = format!(", mailer=esmtp, pri=30000, relay=[127.0.0.1]:{port}, {stat}");
        let log = daemon.log();
        let fits = |line: &String| line.contains(&begins) && line.ends_with(&ends);
        assert!(log.iter().all(fits), "{ends}\n{log:?}");
        assert_eq!(log.len(), 2);
    });
}

#[test]
fn draining_lets_an_attempt_finish() {
    run(async {
        let mut daemon = Daemon::start().await;
        let (head, tail) = GOOD.split_once("\n.\n").unwrap();
        let script = [HELLO, head, ".\ngate:\ngate:", tail, "c: QUIT"].join("\n");
        let host = Host::play("127.0.0.1:0", &[&script]);
        let call = tokio::spawn(deliver(daemon.qmgr.clone(), host.port()));
        let gate = host.gate();
        tokio::task::spawn_blocking(move || gate.wait()).await.unwrap();
        daemon.drain().await;
        host.gate().wait();
        assert_eq!(call.await.unwrap(), "2.0.0");
        assert_eq!(host.content(), CONTENT);
        assert_eq!(daemon.log().len(), 1);
    });
}

fn config() -> Config {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("etc/mail");
    std::fs::create_dir_all(&folder).unwrap();
    let text = "hostname = \"here.test\"\n[remote]\nconnections = 2\nfamilies = \"ipv4\"\n\
                idle = \"60s\"\nresolver = [\"127.0.0.1:1\"]\n";
    std::fs::write(folder.join("pennypost.toml"), text).unwrap();
    config::load(Some(root.path()), None).unwrap()
}
