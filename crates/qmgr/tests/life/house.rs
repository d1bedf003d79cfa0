//! The real `qmgr` process in a house of which the test plays every other part: supervisor,
//! submitter, agents, administrator.

use std::fs::File;
use std::io::{Seek as _, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use config::{
    Config, Families, Limits, Local, Log, LogFormat, LogTarget, Mailbox, Paths, Policy, Queue,
    Relay, Remote, Resolver,
};
use envelope::{
    Aliasing, Body, Detail, Dialogue, Enhanced, Envelope, Member, Origin, QueueId, Recipient,
    ReversePath, Status,
};
use ipc::admin::{Action, Filter, Message, QueueReply, QueueRequest, Visitor, Welcome};
use ipc::control::{End, Push, Report};
use ipc::delivery::{Attempt, Outcome, Outcomes};
use ipc::submission::{Reply, Submit};
use ipc::{Arrow, Client, Connection, Door, Incoming, Renewal};
use tokio::sync::{mpsc, oneshot};

/// Nothing here takes that long unless it hangs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let outcome = runtime.block_on(async { tokio::time::timeout(4 * PATIENCE, test).await });
    outcome.expect("the test hangs");
}

/// A running `qmgr`.
pub(crate) struct House {
    child: Child,
    control: Connection,
    pub(crate) mx: Client,
    pub(crate) submission: Client,
    admin: Client,
    pub(crate) remote: Agent,
    pub(crate) local: Agent,
    /// While these stay, the clients know that the other side may come back.
    _renewals: [Renewal; 3],
    /// The queue is there as long as a house is.
    _directory: Arc<tempfile::TempDir>,
}

/// A place where houses stand one after the other, with the same queue.
pub(crate) struct Ground {
    pub(crate) config: Config,
    pub(crate) aliases: Option<&'static str>,
    directory: Arc<tempfile::TempDir>,
}

impl Ground {
    pub(crate) fn new() -> Self {
        let directory = Arc::new(tempfile::tempdir().unwrap());
        let queue = directory.path().join("queue");
        std::fs::create_dir(&queue).unwrap();
        Self { config: config(directory.path(), queue), aliases: None, directory }
    }

    /// Starts `qmgr` and moves it in.
    pub(crate) async fn build(&self) -> House {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_qmgr"))
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .spawn()
            .unwrap();
        let mut control = Connection::from_fd(ours.into()).unwrap();
        self.send(&mut control, 1).await;
        let (mx, one) = client(&mut control, Arrow::MxToQmgr).await;
        let (submission, two) = client(&mut control, Arrow::SubmissionToQmgr).await;
        let (admin, three) = client(&mut control, Arrow::SupervisorToQmgr).await;
        let _renewals = [one, two, three];
        let _directory = Arc::clone(&self.directory);
        let remote = agent(&mut control, Arrow::QmgrToRemote).await;
        let local = agent(&mut control, Arrow::QmgrToLocal).await;
        control.send(&Push::Start, b"", None).await.unwrap();
        control.receive_within::<Report>(PATIENCE).await.expect("qmgr is ready");
        House { child, control, mx, submission, admin, remote, local, _renewals, _directory }
    }

    /// The configuration and the tables.
    async fn send(&self, control: &mut Connection, generation: u64) {
        for (piece, last) in pieces(&postcard::to_allocvec(&self.config).unwrap()) {
            control.send(&Push::Configuration { generation, last }, piece, None).await.unwrap();
        }
        self.send_table(control, "aliases", self.aliases).await;
        self.send_table(control, "local-host-names", Some("here.test\n")).await;
        self.send_table(control, "users", Some("ann\nbob\n")).await;
    }

    async fn send_table(&self, control: &mut Connection, name: &str, text: Option<&str>) {
        if let Some(text) = text {
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(text.as_bytes()).unwrap();
            file.rewind().unwrap();
            let push = Push::Table { name: name.to_owned() };
            control.send(&push, b"", Some(file.as_fd())).await.unwrap();
        }
    }
}

fn pieces(text: &[u8]) -> impl Iterator<Item = (&[u8], bool)> {
    let count = text.len().div_ceil(ipc::MAX_BODY);
    text.chunks(ipc::MAX_BODY).enumerate().map(move |(i, piece)| (piece, i + 1 == count))
}

async fn client(control: &mut Connection, arrow: Arrow) -> (Client, Renewal) {
    let (client, renewal) = Client::new(arrow);
    let (edge, theirs) = Connection::pair().unwrap();
    renewal.renew(edge);
    control.send(&Push::Edge(End::Answers(arrow)), b"", Some(theirs.as_fd())).await.unwrap();
    (client, renewal)
}

async fn agent(control: &mut Connection, arrow: Arrow) -> Agent {
    let (incoming, door) = Incoming::new();
    let (asked, requests) = mpsc::unbounded_channel();
    tokio::spawn(answer(incoming, asked));
    let mut agent = Agent { arrow, door, requests };
    agent.connect(control).await;
    agent
}

/// An agent of which each attempt is answered by the test.
pub(crate) struct Agent {
    arrow: Arrow,
    door: Door,
    requests: mpsc::UnboundedReceiver<Asked>,
}

/// An attempt that waits for its answer; dropping it closes the connection, as a death would.
pub(crate) struct Asked {
    pub(crate) attempt: Attempt,
    pub(crate) content: Bytes,
    pub(crate) file: Option<File>,
    answer: oneshot::Sender<Outcomes>,
}

impl Agent {
    async fn connect(&mut self, control: &mut Connection) {
        let (edge, theirs) = Connection::pair().unwrap();
        tokio::spawn(self.door.clone().serve(edge));
        control.send(&Push::Edge(End::Asks(self.arrow)), b"", Some(theirs.as_fd())).await.unwrap();
    }

    /// The next attempt.
    pub(crate) async fn asked(&mut self) -> Asked {
        let asked = tokio::time::timeout(PATIENCE, self.requests.recv()).await;
        asked.expect("an attempt").unwrap()
    }

    /// An attempt that waits already.
    pub(crate) fn asked_now(&mut self) -> Option<Asked> {
        self.requests.try_recv().ok()
    }

    /// Is no attempt waiting?
    pub(crate) fn is_idle(&mut self) -> bool {
        self.asked_now().is_none()
    }
}

impl Asked {
    /// The same for every recipient.
    pub(crate) fn say(self, status: &Status) {
        self.answer(status, false);
    }

    pub(crate) fn unreachable(self) {
        let detail = Detail::ours(Enhanced::NO_ANSWER, "connection timed out");
        self.answer(&Status::Deferred(detail), true);
    }

    pub(crate) fn delivered(self) {
        self.say(&Status::Delivered(Detail::reply("mx", 250, Enhanced::UNDEFINED, "ok")));
    }

    pub(crate) fn deferred(self) {
        self.say(&Status::Deferred(Detail::reply("mx", 451, Enhanced::UNDEFINED, "try later")));
    }

    pub(crate) fn failed(self) {
        self.say(&Status::Failed(Detail::reply("mx", 550, Enhanced::BAD_MAILBOX, "nobody here")));
    }

    fn answer(self, status: &Status, unreachable: bool) {
        let recipients = vec![Outcome::Status(status.clone()); self.attempt.recipients.len()];
        self.come_to(recipients, unreachable);
    }

    /// `local` says who takes the place of its only recipient.
    pub(crate) fn named(self, members: &[Member]) {
        let recipients = vec![Outcome::Expanded(members.to_vec()); self.attempt.recipients.len()];
        self.come_to(recipients, false);
    }

    fn come_to(self, recipients: Vec<Outcome>, unreachable: bool) {
        let said = if self.attempt.watched { "250 ok\n" } else { "" };
        let dialogue = Dialogue::from(said.to_owned());
        let _ = self.answer.send(Outcomes { recipients, unreachable, dialogue });
    }

    pub(crate) fn to(&self) -> Vec<String> {
        let mut to: Vec<_> =
            self.attempt.recipients.iter().map(|recipient| recipient.address.to_string()).collect();
        to.sort();
        to
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.content.to_vec()).unwrap()
    }
}

async fn answer(mut incoming: Incoming, asked: mpsc::UnboundedSender<Asked>) {
    loop {
        tokio::spawn(converse(incoming.next().await, asked.clone()));
    }
}

async fn converse(mut connection: Connection, asked: mpsc::UnboundedSender<Asked>) {
    while let Ok(frame) = connection.receive::<Attempt>().await {
        let (answer, answered) = oneshot::channel();
        let (attempt, content) = (frame.head, frame.body);
        let file = frame.descriptor.map(File::from);
        if asked.send(Asked { attempt, content, file, answer }).is_err() {
            return;
        }
        let Ok(outcomes) = answered.await else {
            return;
        };
        if connection.send(&outcomes, b"", None).await.is_err() {
            return;
        }
    }
}

impl House {
    /// Submits a small message from the network, which is to be queued.
    pub(crate) async fn submit(&self, envelope: Envelope, content: &'static [u8]) -> QueueId {
        queued(&self.mx, envelope, content).await
    }

    /// The same from a user of this machine.
    pub(crate) async fn submit_own(&self, envelope: Envelope, content: &'static [u8]) -> QueueId {
        queued(&self.submission, envelope, content).await
    }

    /// An administrator's connection.
    pub(crate) async fn visit(&self) -> Connection {
        self.visit_as(true).await
    }

    /// The connection of an administrator, or of the user of this process.
    pub(crate) async fn visit_as(&self, admin: bool) -> Connection {
        let (mut connection, theirs) = Connection::pair().unwrap();
        let visitor = Visitor { name: "the test".to_owned(), admin };
        let handed = self.admin.call::<_, ()>(&visitor, b"", Some(&theirs), PATIENCE);
        handed.await.expect("qmgr takes the socket");
        let welcome = connection.receive_within::<Welcome>(PATIENCE).await.unwrap().head;
        assert_eq!(welcome, Welcome::Yes { admin });
        connection
    }

    pub(crate) async fn ask(&self, request: &QueueRequest) -> QueueReply {
        let mut connection = self.visit().await;
        connection.call(request, b"", None, PATIENCE).await.unwrap().head
    }

    /// Does something to all messages, and says to how many.
    pub(crate) async fn change(&self, action: Action) -> usize {
        let filter = Filter::default();
        let request = QueueRequest::Change { action, filter, after: None, dry_run: false };
        let reply = self.ask(&request).await;
        let QueueReply::Changed { ids, next: None } = reply else { panic!("{reply:?}") };
        ids.len()
    }

    pub(crate) async fn list(&self) -> Vec<Message> {
        let request = QueueRequest::List { filter: Filter::default(), after: None };
        let reply = self.ask(&request).await;
        let QueueReply::Messages { messages, next: None } = reply else { panic!("{reply:?}") };
        messages
    }

    /// Asks until the listing is as it is to become.
    pub(crate) async fn until(&self, fits: impl Fn(&[Message]) -> bool) {
        let mut messages = self.list().await;
        while !fits(&messages) {
            tokio::task::yield_now().await;
            messages = self.list().await;
        }
    }

    /// A listing may have more than one page until then.
    pub(crate) async fn until_empty(&self) {
        while !matches!(self.ask(&QueueRequest::Count).await, QueueReply::Count { messages: 0, .. })
        {
            tokio::task::yield_now().await;
        }
    }

    /// `remote` was started anew.
    pub(crate) async fn renew_remote(&mut self) {
        self.remote.connect(&mut self.control).await;
    }

    /// Offers another generation, and says what came of it.
    pub(crate) async fn offer(&mut self, ground: &Ground, generation: u64) -> Report {
        ground.send(&mut self.control, generation).await;
        self.control.send(&Push::Offer, b"", None).await.unwrap();
        self.control.receive_within::<Report>(PATIENCE).await.expect("an answer").head
    }

    /// kill -9
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Drains, and waits for a clean end.
    pub(crate) async fn drain(mut self) {
        self.control.send(&Push::Drain, b"", None).await.unwrap();
        let end = self.control.receive_within::<Report>(PATIENCE).await;
        assert!(matches!(end, Err(ipc::Error::PeerGone)), "{end:?}");
        assert!(self.child.wait().unwrap().success());
    }
}

async fn queued(client: &Client, envelope: Envelope, content: &'static [u8]) -> QueueId {
    let request = Submit::Whole { envelope, quarantine: None, id_at: None };
    let reply = client.call(&request, content, None, PATIENCE).await.unwrap().head;
    let Reply::Queued(id) = reply else { panic!("{reply:?}") };
    id
}

pub(crate) fn envelope(from: &str, to: &[&str]) -> Envelope {
    Envelope {
        reverse_path: ReversePath((!from.is_empty()).then(|| from.parse().unwrap())),
        recipients: to.iter().map(|to| Recipient::plain(to.parse().unwrap())).collect(),
        body: Body::SevenBit,
        smtputf8: false,
        ret: None,
        envid: None,
        origin: Origin::Client { address: [192, 0, 2, 1].into(), helo: "client.test".into() },
        aliasing: Aliasing::Followed,
    }
}

fn config(root: &Path, queue: PathBuf) -> Config {
    Config {
        hostname: "here.test".into(),
        paths: Paths {
            sources: Default::default(),
            root: root.into(),
            file: root.join("pennypost.toml"),
            tables: root.into(),
            queue,
            drop: root.join("drop"),
            run: root.into(),
        },
        addresses: Vec::new(),
        listeners: Vec::new(),
        masquerade: Default::default(),
        relay: Relay {
            networks: Vec::new(),
            smarthost: None,
            fallback: None,
            null_client: None,
            verify_recipients: false,
        },
        local: local(root),
        limits: Limits {
            message_size: 10 << 20,
            recipients: 1000,
            sessions: 100,
            sessions_per_client: 50,
            connections_per_minute: 600,
            commands_in_error: 20,
            hops: 100,
        },
        queue: Queue {
            lifetime: 120 * Duration::from_secs(3600),
            bounce_lifetime: 24 * Duration::from_secs(3600),
            delay_warning: None,
            first_retry: Duration::from_millis(10),
            max_retry: Duration::from_millis(40),
            min_free_space: 0,
            host_status: Duration::from_millis(40),
            queue_only_load: 1000.0,
            refuse_load: 1000.0,
        },
        remote: Remote {
            concurrency: 20,
            connections: 200,
            families: Families::Auto,
            resolver: Resolver::System,
            idle: Duration::from_secs(5),
            try_null_mx: false,
        },
        policy: Policy { rules: Vec::new(), accept_unqualified_senders: false },
        admins: Vec::new(),
        mailq_format: config::MailqFormat::Sendmail,
        log: Log { target: LogTarget::Stderr, format: LogFormat::Text },
        rooted: true,
    }
}

fn local(root: &Path) -> Local {
    Local {
        mailbox: Mailbox::Maildir("{home}/Maildir".into()),
        detail: "+".into(),
        forward: Vec::new(),
        programs: root.join("smrsh"),
        catch_all: None,
        default_user: "nobody".into(),
        hub: None,
        hub_except: Vec::new(),
        minimum_uid: 1000,
    }
}
