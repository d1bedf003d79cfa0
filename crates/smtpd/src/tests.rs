//! Whole sessions over real sockets, with a `policyd` and a `qmgr` of the test's own.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use config::{Config, Role};
use envelope::{Disposition, Envelope, QueueId};
use ipc::policy::{Check, Client as Asker, Name, Question, Terms, Verdict, Verdicts};
use ipc::submission::{Reply as Answer, Submit};
use ipc::{Arrow, Client, Connection, Incoming};
use tokio::sync::{mpsc, watch};

use crate::claims::Claims;
use crate::room::Room;

mod clients;
mod drops;

/// The other processes, and what they were told.
pub(crate) struct House {
    pub(crate) room: Arc<Room>,
    pub(crate) checks: mpsc::UnboundedReceiver<Check>,
    pub(crate) submissions: mpsc::UnboundedReceiver<Submission>,
    pub(crate) drain: watch::Sender<bool>,
}

/// What came over one exchange with `qmgr`.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "a few in a test")]
pub(crate) enum Submission {
    /// The frames' requests in order, and all content.
    Whole {
        envelope: Envelope,
        quarantine: Option<String>,
        id_at: usize,
        content: Vec<u8>,
        frames: usize,
    },
    /// The disk is said to be full.
    Refused,
    /// The connection closed before the end.
    Aborted,
}

pub(crate) fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        tokio::time::timeout(Duration::from_secs(60), test).await.expect("in time");
    });
}

impl House {
    pub(crate) fn new(role: Role, root: &Path, change: impl FnOnce(&mut Config)) -> Self {
        Self::on(Terms::default(), role, root, change)
    }

    /// One whose `policyd` has these terms for everybody.
    pub(crate) fn on(
        terms: Terms,
        role: Role,
        root: &Path,
        change: impl FnOnce(&mut Config),
    ) -> Self {
        let mut config = config(root);
        change(&mut config);
        let (told, checks) = mpsc::unbounded_channel();
        let policyd = edge(Arrow::MxToPolicyd, move |connection| {
            tokio::spawn(policyd(connection, terms, told.clone()));
        });
        let (given, submissions) = mpsc::unbounded_channel();
        let qmgr = edge(Arrow::MxToQmgr, move |connection| {
            tokio::spawn(qmgr(connection, given.clone()));
        });
        let room = Arc::new(Room::new(role, Arc::new(config), Claims::default(), policyd, qmgr));
        let (drain, _) = watch::channel(false);
        Self { room, checks, submissions, drain }
    }
}

/// An edge whose other side takes connections as `serve` says.
fn edge(arrow: Arrow, serve: impl Fn(Connection) + Send + Sync + 'static) -> Client {
    let (client, renewal) = Client::new(arrow);
    let (mut incoming, door) = Incoming::new();
    let (ours, theirs) = Connection::pair().unwrap();
    renewal.renew(ours);
    tokio::spawn(door.serve(Connection::from_fd(theirs).unwrap()));
    tokio::spawn(async move {
        // Keeps the edge.
        let _renewal = renewal;
        loop {
            serve(incoming.next().await);
        }
    });
    client
}

/// Accepts everyone but `nobody`, discards what is for `void`, holds what is for `held`, dies when asked
/// about `death`, and knows every user as `userUID`.
async fn policyd(mut connection: Connection, terms: Terms, told: mpsc::UnboundedSender<Check>) {
    while let Ok(frame) = connection.receive::<Question>().await {
        let check = match frame.head {
            Question::Check(check) => check,
            Question::Terms(_) => {
                connection.send(&terms, b"", None).await.unwrap();
                continue;
            }
            Question::Name { uid } => {
                let name = Name(Some(format!("user{uid}")));
                connection.send(&name, b"", None).await.unwrap();
                continue;
            }
        };
        if check.recipients.iter().any(|recipient| recipient.local() == "death") {
            return;
        }
        let verdict = |local: &str| match local {
            "nobody" => Verdict::Refuse { code: 550, text: "5.1.1 User unknown".to_owned() },
            "void" => Verdict::Accept(Disposition::Discard),
            "held" => Verdict::Accept(Disposition::Quarantine("suspicious".to_owned())),
            _ => Verdict::Accept(Disposition::Deliver),
        };
        let verdicts = check.recipients.iter().map(|recipient| verdict(recipient.local()));
        let verdicts = Verdicts(verdicts.collect());
        told.send(check).unwrap();
        connection.send(&verdicts, b"", None).await.unwrap();
    }
}

/// Envelope, reason to hold, place of the id, content, frames.
type Open = (Envelope, Option<String>, usize, Vec<u8>, usize);

/// Queues everything but what comes from `full`, and dies when given something from `death`.
async fn qmgr(mut connection: Connection, given: mpsc::UnboundedSender<Submission>) {
    let id = QueueId::new(52).unwrap();
    let mut open: Option<Open> = None;
    while let Ok(frame) = connection.receive::<Submit>().await {
        let body = frame.body.to_vec();
        let (whole, answer) = match (frame.head, open.take()) {
            (Submit::Whole { envelope, quarantine, id_at }, None) => {
                (Some((envelope, quarantine, id_at.unwrap() as usize, body, 1)), Answer::Queued(id))
            }
            (Submit::Begin { envelope, quarantine, id_at, .. }, None) => {
                open = Some((envelope, quarantine, id_at.unwrap() as usize, body, 1));
                (None, Answer::Continue)
            }
            (Submit::More, Some((envelope, quarantine, id_at, content, frames))) => {
                let content = [content, body].concat();
                open = Some((envelope, quarantine, id_at, content, frames + 1));
                (None, Answer::Continue)
            }
            (Submit::End, Some((envelope, quarantine, id_at, content, frames))) => {
                (Some((envelope, quarantine, id_at, content, frames + 1)), Answer::Queued(id))
            }
            (request, _) => panic!("{request:?} out of order"),
        };
        let from = whole.as_ref().and_then(|(envelope, ..)| envelope.reverse_path.0.as_ref());
        let answer = match from.map(|from| from.local()) {
            Some("death") => return,
            Some("full") => Answer::Refused { code: 452, text: "4.3.1 Disk full".to_owned() },
            _ => answer,
        };
        if let Answer::Refused { .. } = answer {
            given.send(Submission::Refused).unwrap();
        } else if let Some((envelope, quarantine, id_at, content, frames)) = whole {
            let whole = Submission::Whole { envelope, quarantine, id_at, content, frames };
            given.send(whole).unwrap();
        }
        // A submitter that gives up does not wait for the answer.
        if connection.send(&answer, b"", None).await.is_err() {
            break;
        }
    }
    if open.is_some() {
        given.send(Submission::Aborted).unwrap();
    }
}

fn config(root: &Path) -> Config {
    let file = root.join("pennypost.toml");
    let text = "hostname = \"mx.test\"\n\
                [limits]\nmessage_size = \"1MB\"\nsessions = 10\nsessions_per_client = 2\n\
                [queue]\nrefuse_load = 100000.0\n";
    std::fs::write(&file, text).unwrap();
    config::load(Some(root), Some(&file)).unwrap()
}
