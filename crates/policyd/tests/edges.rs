//! `policyd` between both roles of `smtpd` and a supervisor, which this test plays.

#![cfg(test)]

#[path = "../../net/tests/support/dns.rs"]
mod dns;

use std::fs::File;
use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use envelope::{Aliasing, Extension, Extensions, ReversePath};
use ipc::control::{End, Push, Report};
use ipc::policy::{Check, Client as Who, Name, Question, Terms, Verdict, Verdicts};
use ipc::{Arrow, Client, Connection, Error};
use tempfile::TempDir;

const TIME: Duration = Duration::from_secs(60);
const TABLES: [(&str, &str); 5] = [
    (
        "access",
        "From:spam.test REJECT\nConnect:good.test RELAY\nFrom:x.test nonsense\n\
         From:accepted.test OK\nClientRate:203.0.113 7\nClientConn: 3\nGreetPause:good.test 50\n\
         Srv_Features:203.0.113.2 D\n",
    ),
    ("aliases", "staff: alice, bob@far.test\nthis line is bad\n"),
    ("local-host-names", "example.org\n"),
    ("relay-domains", "backup.test\n198.51.100\n"),
    ("users", "alice\n"),
];

const ZONE: &str = "
    1.113.0.203.in-addr.arpa PTR mail.good.test
    mail.good.test A 203.0.113.1
    2.113.0.203.in-addr.arpa PTR mail.good.test
    3.113.0.203.in-addr.arpa SERVFAIL
    answers.test MX 10 mx.answers.test
    alone.test A 203.0.113.7
    doubtful.test SERVFAIL
";

/// A running `policyd`, and what `smtpd` sees of it.
struct Daemon {
    _dns: dns::Dns,
    child: Child,
    control: Connection,
    mx: Client,
    submission: Client,
    _root: TempDir,
}

impl Daemon {
    async fn start() -> Self {
        let root = tempfile::tempdir().unwrap();
        let tables = root.path().join("etc/mail");
        std::fs::create_dir_all(&tables).unwrap();
        let dns = dns::Dns::start(ZONE);
        let file = format!(
            "hostname = \"mx.example.org\"\n[relay]\nnetworks = [\"10.0.0.0/8\"]\n\
             [limits]\nsessions = 4\n[remote]\nresolver = [\"{}\"]\n",
            dns.address
        );
        std::fs::write(tables.join("pennypost.toml"), file).unwrap();
        let config = config::load(Some(root.path()), None).unwrap();

        let (mut control, theirs) = Connection::pair().unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_policyd"));
        let child = command.stdin(Stdio::from(theirs)).stderr(Stdio::piped()).spawn().unwrap();
        let configuration = postcard::to_allocvec(&config).unwrap();
        let push = Push::Configuration { generation: 1, last: true };
        control.send(&push, &configuration, None).await.unwrap();
        for (name, text) in TABLES {
            std::fs::write(tables.join(name), text).unwrap();
            let file = File::open(tables.join(name)).unwrap();
            push_with(&mut control, Push::Table { name: name.to_owned() }, file.as_fd()).await;
        }
        let mx = edge(&mut control, Arrow::MxToPolicyd).await;
        let submission = edge(&mut control, Arrow::SubmissionToPolicyd).await;
        control.send(&Push::Start, b"", None).await.unwrap();
        let ready = control.receive_within::<Report>(TIME).await.unwrap().head;
        assert!(matches!(ready, Report::Ready { generation: 1, .. }), "{ready:?}");
        Self { _dns: dns, child, control, mx, submission, _root: root }
    }

    /// Has it drain, and waits for its end: what it logged.
    async fn log(mut self) -> String {
        self.control.send(&Push::Drain, b"", None).await.unwrap();
        let output = self.child.wait_with_output().unwrap();
        assert!(output.status.success());
        String::from_utf8(output.stderr).unwrap()
    }
}

async fn push_with(control: &mut Connection, push: Push, fd: BorrowedFd<'_>) {
    control.send(&push, b"", Some(fd)).await.unwrap();
}

async fn edge(control: &mut Connection, arrow: Arrow) -> Client {
    let (ours, theirs) = UnixStream::pair().unwrap();
    push_with(control, Push::Edge(End::Answers(arrow)), theirs.as_fd()).await;
    let (client, renewal) = Client::new(arrow);
    renewal.renew(Connection::from_fd(ours.into()).unwrap());
    client
}

fn check(client: Who, recipients: &[&str]) -> Question {
    check_from(client, ReversePath::NULL, recipients)
}

fn check_from(client: Who, reverse_path: ReversePath, recipients: &[&str]) -> Question {
    let recipients = recipients.iter().map(|recipient| recipient.parse().unwrap()).collect();
    let helo = "x".to_owned();
    let aliasing = Aliasing::Followed;
    Question::Check(Check { client, helo, reverse_path, unqualified: false, aliasing, recipients })
}

fn network(address: &str) -> Who {
    Who::Network(address.parse::<IpAddr>().unwrap())
}

/// The reply codes, 250 for accepted.
async fn ask(edge: &Client, who: Who, recipients: &[&str]) -> Result<Vec<u16>, Error> {
    answer(edge, &check(who, recipients)).await
}

async fn answer(edge: &Client, question: &Question) -> Result<Vec<u16>, Error> {
    let frame = edge.call::<_, Verdicts>(question, b"", None, TIME).await?;
    let code = |verdict: &Verdict| match verdict {
        Verdict::Accept(_) => 250,
        Verdict::Refuse { code, .. } => *code,
    };
    Ok(frame.head.0.iter().map(code).collect())
}

fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(TIME, test).await.unwrap() });
}

#[test]
fn each_recipient_has_its_verdict_in_order() {
    run(async {
        let daemon = Daemon::start().await;
        let recipients = [
            "alice@example.org",
            "bob@example.org",
            "bob@far.test",
            "Staff+x@mx.example.org",
            "postmaster@localhost",
            "a%far.test@example.org",
        ];
        let strangers = ask(&daemon.mx, network("203.0.113.9"), &recipients).await.unwrap();
        assert_eq!(strangers, [250, 550, 550, 250, 250, 550]);
        let ours = ask(&daemon.mx, network("10.1.1.1"), &recipients).await.unwrap();
        assert_eq!(ours, [250, 550, 250, 250, 250, 550]);
        let user = ask(&daemon.submission, Who::User { uid: 0 }, &recipients).await.unwrap();
        assert_eq!(user, ours);
        // Bad lines are the supervisor's to tell.
        let log = daemon.log().await;
        assert!(!log.contains("aliases:2: ") && !log.contains("access:3: "), "{log}");
    });
}

#[test]
fn the_tables_and_the_name_of_the_client_decide() {
    run(async {
        let daemon = Daemon::start().await;
        let far = ["bob@far.test", "bob@mx.backup.test", "alice@example.org"];
        for (client, codes) in [
            // Its name is confirmed; claimed by another; not to be had now; not there.
            ("203.0.113.1", [250, 250, 250]),
            ("203.0.113.2", [550, 250, 250]),
            ("203.0.113.3", [450, 250, 250]),
            ("203.0.113.4", [550, 250, 250]),
            ("198.51.100.4", [250, 250, 250]),
        ] {
            assert_eq!(ask(&daemon.mx, network(client), &far).await.unwrap(), codes, "{client}");
        }
        let spam = ReversePath(Some("x@a.spam.test".parse().unwrap()));
        for who in [network("203.0.113.1"), network("10.1.1.1"), Who::User { uid: 0 }] {
            let question = check_from(who, spam.clone(), &far);
            assert_eq!(answer(&daemon.submission, &question).await.unwrap(), [550; 3]);
        }
        daemon.log().await;
    });
}

#[test]
fn nobody_sends_from_a_domain_that_is_not_there() {
    run(async {
        let daemon = Daemon::start().await;
        for (from, code) in [
            ("x@answers.test", 250),
            ("x@alone.test", 250),
            ("x@nowhere.test", 553),
            ("x@doubtful.test", 451),
            ("x@accepted.test", 250),
            ("x@example.org", 250),
            ("x@[203.0.113.1]", 250),
            ("x@[203.0.113.4]", 553),
        ] {
            let path = ReversePath(Some(from.parse().unwrap()));
            for (who, code) in [(network("203.0.113.9"), code), (network("10.1.1.1"), 250)] {
                let question = check_from(who, path.clone(), &["alice@example.org"]);
                assert_eq!(answer(&daemon.mx, &question).await.unwrap(), [code], "{from}");
            }
        }
        daemon.log().await;
    });
}

#[test]
fn the_terms_of_a_client_depend_on_its_address_and_name() {
    run(async {
        let daemon = Daemon::start().await;
        let terms = |rate, sessions, pause| Terms { rate, sessions, pause, ..Terms::default() };
        let withheld = Extensions::NONE.with(Extension::Dsn);
        for (client, expected) in [
            ("203.0.113.1", terms(Some(7), Some(3), Some(50))),
            ("203.0.113.2", Terms { withheld, ..terms(Some(7), Some(3), None) }),
            ("192.0.77.1", terms(None, Some(3), None)),
            ("10.1.1.1", terms(None, None, None)),
        ] {
            let question = Question::Terms(client.parse().unwrap());
            for edge in [&daemon.mx, &daemon.submission] {
                let frame = edge.call::<_, Terms>(&question, b"", None, TIME).await.unwrap();
                assert_eq!(frame.head, expected, "{client}");
            }
        }
        daemon.log().await;
    });
}

#[test]
fn only_the_submission_edge_may_speak_for_users() {
    run(async {
        let daemon = Daemon::start().await;
        let claimed = ask(&daemon.mx, Who::User { uid: 0 }, &["bob@far.test"]).await;
        assert!(matches!(claimed, Err(Error::PeerGone)), "{claimed:?}");
        let honest = ask(&daemon.mx, network("203.0.113.9"), &["bob@far.test"]).await;
        assert_eq!(honest.unwrap(), [550]);
        let log = daemon.log().await;
        assert!(log.contains("the mx role speaks for a local user"), "{log}");
    });
}

#[test]
fn only_the_submission_edge_may_ask_for_names() {
    run(async {
        let daemon = Daemon::start().await;
        let ask = async |edge: &Client, uid| {
            edge.call::<_, Name>(&Question::Name { uid }, b"", None, TIME).await
        };
        let root = ask(&daemon.submission, 0).await.unwrap().head;
        assert_eq!(root, Name(Some("root".to_owned())));
        assert_eq!(ask(&daemon.submission, 4_000_000_000).await.unwrap().head, Name(None));
        let asked = ask(&daemon.mx, 0).await;
        assert!(matches!(asked, Err(Error::PeerGone)), "{asked:?}");
        let log = daemon.log().await;
        assert!(log.contains("the mx role asks for a user's name"), "{log}");
    });
}

#[test]
fn a_malformed_request_ends_its_connection_only() {
    run(async {
        let daemon = Daemon::start().await;
        let mut lent = daemon.mx.open().await.unwrap();
        lent.connection.send(&[0xff_u8; 32], b"", None).await.unwrap();
        let end = lent.connection.receive::<Verdicts>().await;
        assert!(matches!(end, Err(Error::PeerGone)), "{end:?}");
        let next = ask(&daemon.mx, network("203.0.113.1"), &["alice@example.org"]).await;
        assert_eq!(next.unwrap(), [250]);
        daemon.log().await;
    });
}

#[test]
fn one_role_cannot_keep_the_other_from_asking() {
    run(async {
        let daemon = Daemon::start().await;
        let stranger = network("203.0.113.1");
        let mut held = Vec::new();
        for _ in 0..4 {
            let mut lent = daemon.mx.open().await.unwrap();
            let check = check(stranger.clone(), &["alice@example.org"]);
            lent.connection.call::<_, Verdicts>(&check, b"", None, TIME).await.unwrap();
            held.push(lent);
        }
        let mx = daemon.mx.clone();
        let one_more = ask(&mx, stranger.clone(), &["alice@example.org"]);
        tokio::pin!(one_more);
        for _ in 0..10 {
            tokio::select! {
                early = &mut one_more => panic!("{early:?}"),
                user = ask(&daemon.submission, Who::User { uid: 0 }, &["bob@far.test"]) => {
                    assert_eq!(user.unwrap(), [250]);
                }
            }
        }
        held.pop();
        assert_eq!(one_more.await.unwrap(), [250]);
        daemon.log().await;
    });
}
