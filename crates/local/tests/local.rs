//! The `local` daemon between a `qmgr` and a supervisor that this test plays.

#![expect(clippy::unwrap_used, reason = "a test's helpers fail like the test")]

use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use config::Config;
use envelope::{Body, Notify, QueueId, ReversePath, Status};
use ipc::control::{End, Push, Report};
use ipc::delivery::{Attempt, Destination, Outcome, Outcomes, Recipient};
use ipc::run_as::{RunAs, Started};
use ipc::{Arrow, Client, Connection, Incoming};

const TIME: Duration = Duration::from_secs(60);

/// A running `local`, and what a `qmgr` sees of it.
struct Agent {
    child: Child,
    control: Connection,
    qmgr: Client,
    /// How often it had a process started.
    started: Arc<AtomicUsize>,
}

impl Agent {
    async fn start(home: &Path) -> Self {
        let (mut control, theirs) = Connection::pair().unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_local"));
        let child = command.stdin(Stdio::from(theirs)).stderr(Stdio::null()).spawn().unwrap();
        let configuration = postcard::to_allocvec(&config()).unwrap();
        let push = Push::Configuration { generation: 1, last: true };
        control.send(&push, &configuration, None).await.unwrap();
        let (supervisor, theirs) = UnixStream::pair().unwrap();
        let (asks, answers) = (Arrow::LocalToSupervisor, Arrow::QmgrToLocal);
        control.send(&Push::Edge(End::Asks(asks)), b"", Some(theirs.as_fd())).await.unwrap();
        let (edge, theirs) = UnixStream::pair().unwrap();
        control.send(&Push::Edge(End::Answers(answers)), b"", Some(theirs.as_fd())).await.unwrap();
        control.send(&Push::Start, b"", None).await.unwrap();
        let ready = control.receive_within::<Report>(TIME).await.unwrap().head;
        assert!(matches!(ready, Report::Ready { generation: 1, .. }), "{ready:?}");
        let (qmgr, renewal) = Client::new(answers);
        renewal.renew(Connection::from_fd(edge.into()).unwrap());
        let started = Arc::new(AtomicUsize::new(0));
        tokio::spawn(supervise(supervisor.into(), home.to_owned(), Arc::clone(&started)));
        Self { child, control, qmgr, started }
    }

    async fn deliver(&self, user: &str, recipients: usize) -> Vec<Status> {
        let attempt = attempt(user, recipients);
        let frame = self.qmgr.call(&attempt, b"Subject: x\r\n\r\ny\r\n", None, TIME).await.unwrap();
        let Outcomes { recipients, .. } = frame.head;
        let status = |outcome| match outcome {
            Outcome::Status(status) | Outcome::Relayed(status) => Some(status),
            Outcome::Expanded(_) => None,
        };
        recipients.into_iter().map(|outcome| status(outcome).unwrap()).collect()
    }

    async fn drain(mut self) {
        self.control.send(&Push::Drain, b"", None).await.unwrap();
        assert!(matches!(
            self.control.receive_within::<Report>(TIME).await,
            Err(ipc::Error::PeerGone)
        ));
        assert!(self.child.wait().unwrap().success());
    }
}

/// Plays the supervisor: `anna`, `anna1`, `anna2` … exist, `ghost` does not, `broken` has a process that dies at once.
async fn supervise(edge: OwnedFd, home: PathBuf, started: Arc<AtomicUsize>) {
    let (mut incoming, door) = Incoming::new();
    tokio::spawn(door.serve(Connection::from_fd(edge).unwrap()));
    loop {
        let connection = incoming.next().await;
        tokio::spawn(run_as(connection, home.clone(), Arc::clone(&started)));
    }
}

async fn run_as(mut connection: Connection, home: PathBuf, started: Arc<AtomicUsize>) {
    while let Ok(frame) = connection.receive::<RunAs>().await {
        started.fetch_add(1, Ordering::Relaxed);
        let (ours, theirs) = UnixStream::pair().unwrap();
        let yes = Started::Yes { home: home.clone(), shell: None };
        let answer = match frame.head.who.to_string().trim_end_matches(|c: char| c.is_ascii_digit())
        {
            "anna" => {
                let mut deliver = tokio::process::Command::new(env!("CARGO_BIN_EXE_deliver"));
                deliver.stdin(Stdio::from(OwnedFd::from(theirs))).spawn().unwrap();
                yes
            }
            "ghost" => Started::UnknownUser,
            "broken" => yes,
            _ => Started::NotNow("full".into()),
        };
        let fd = matches!(answer, Started::Yes { .. }).then(|| ours.as_fd());
        connection.send(&answer, b"", fd).await.unwrap();
    }
}

fn attempt(user: &str, recipients: usize) -> Attempt {
    let recipient = |number| Recipient {
        address: format!("{user}+{number}@example.org").parse().unwrap(),
        notify: Notify::DEFAULT,
        orcpt: None,
    };
    Attempt {
        id: QueueId::new(1).unwrap(),
        reverse_path: ReversePath::NULL,
        recipients: (0..recipients).map(recipient).collect(),
        destination: Destination::Local { user: user.into(), detail: None, verbatim: false },
        body: Body::SevenBit,
        smtputf8: false,
        ret: None,
        envid: None,
        size: 0,
        arrival: 0,
        watched: false,
        priority: 30_000,
        histories: Vec::new(),
    }
}

fn config() -> Config {
    let root = tempfile::tempdir().unwrap();
    let file = root.path().join("pennypost.toml");
    let text = "hostname = \"mx.example.org\"\n[local]\nmailbox = \"maildir:{home}/Maildir\"\n";
    std::fs::write(&file, text).unwrap();
    config::load(Some(root.path()), Some(&file)).unwrap()
}

fn run(test: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test);
}

fn messages(home: &Path) -> usize {
    std::fs::read_dir(home.join("Maildir/new")).unwrap().count()
}

#[test]
fn every_recipient_gets_a_message_and_one_process_serves_many() {
    run(async {
        let root = tempfile::tempdir().unwrap();
        let home = root.path().join("anna");
        let agent = Agent::start(&home).await;
        for _ in 0..3 {
            let statuses = agent.deliver("anna", 2).await;
            assert!(statuses.iter().all(|status| status.code() == "2.0.0"), "{statuses:?}");
            assert_eq!(statuses.len(), 2);
        }
        assert_eq!(messages(&home), 6);
        assert_eq!(agent.started.load(Ordering::Relaxed), 1);
        agent.drain().await;
    });
}

#[test]
fn many_attempts_for_one_user_share_a_process() {
    run(async {
        let home = tempfile::tempdir().unwrap();
        let agent = Arc::new(Agent::start(home.path()).await);
        let mut attempts = tokio::task::JoinSet::new();
        for _ in 0..40 {
            let agent = Arc::clone(&agent);
            attempts.spawn(async move { agent.deliver("anna", 1).await });
        }
        for statuses in attempts.join_all().await {
            assert!(statuses.iter().all(|status| status.code() == "2.0.0"), "{statuses:?}");
        }
        assert_eq!(messages(home.path()), 40);
        assert_eq!(agent.started.load(Ordering::Relaxed), 1);
    });
}

#[test]
fn more_users_than_processes_take_turns() {
    const USERS: usize = 80;
    run(async {
        let home = tempfile::tempdir().unwrap();
        let agent = Arc::new(Agent::start(home.path()).await);
        let mut attempts = tokio::task::JoinSet::new();
        for number in 0..2 * USERS {
            let agent = Arc::clone(&agent);
            let user = format!("anna{}", number % USERS);
            attempts.spawn(async move { agent.deliver(&user, 2).await });
        }
        for statuses in attempts.join_all().await {
            assert!(statuses.iter().all(|status| status.code() == "2.0.0"), "{statuses:?}");
        }
        assert_eq!(messages(home.path()), 4 * USERS);
        assert!(agent.started.load(Ordering::Relaxed) >= USERS);
    });
}

#[test]
fn only_an_unknown_user_fails() {
    run(async {
        let home = tempfile::tempdir().unwrap();
        let agent = Agent::start(home.path()).await;
        for (user, code) in [
            ("ghost", "5.1.1"),
            ("..", "5.1.1"),
            ("a/b", "5.1.1"),
            ("broken", "4.3.0"),
            ("x", "4.3.0"),
        ] {
            let mut attempt = attempt("anna", 1);
            attempt.destination =
                Destination::Local { user: user.into(), detail: None, verbatim: false };
            let frame = agent.qmgr.call(&attempt, b"", None, TIME).await.unwrap();
            let Outcomes { recipients, .. } = frame.head;
            let [Outcome::Status(status)] = &recipients[..] else { panic!("{recipients:?}") };
            assert_eq!(status.code(), code, "{user}: {status}");
        }
        agent.drain().await;
    });
}
