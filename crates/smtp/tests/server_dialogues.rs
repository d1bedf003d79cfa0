//! Runs `tests/dialogues/server/*.smtp` against the state machine, once with input as it is sent
//! and once byte by byte.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use envelope::{Address, Disposition, Enhanced};
use smtp::Reply;
use smtp::server::{Peer, Question, Session, Settings, Step, Unqualified, Verdict};

#[expect(clippy::panic, unreachable_pub, reason = "shared by tests, which fail by panicking")]
#[path = "../../../tests/dialogues/script.rs"]
mod script;

use script::Script;

#[test]
fn every_dialogue_goes_as_written() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/dialogues/server");
    let scripts = script::all(&directory);
    assert!(scripts.len() >= 30, "only {} dialogues", scripts.len());
    for script in &scripts {
        Run::new(script, usize::MAX).play();
        if script.setting("split") != Some("no") {
            Run::new(script, 1).play();
        }
    }
}

/// A dialogue under way.
struct Run<'a> {
    script: &'a Script,
    session: Session,
    now: Instant,
    /// Bytes of input in one step.
    piece: usize,
    /// Input that is not consumed.
    input: Vec<u8>,
    replies: VecDeque<String>,
    content: Vec<u8>,
    queued: usize,
    /// The server has closed.
    closed: bool,
}

impl<'a> Run<'a> {
    fn new(script: &'a Script, piece: usize) -> Self {
        let limit = |key, default| script.setting(key).map_or(default, |v| v.parse().unwrap());
        let settings = Settings {
            hostname: "mx.mail.test".to_owned(),
            message_size: limit("message_size", 100_000) as u64,
            recipients: limit("recipients", 1000),
            commands_in_error: limit("commands_in_error", 20),
            hops: limit("hops", 100),
            unqualified: match script.setting("role") {
                Some("submission") => Unqualified::Ours,
                _ => Unqualified::Refused,
            },
        };
        let now = Instant::now();
        let peer = Peer::Network("192.0.2.1".parse().unwrap());
        let mut session = Session::new(Arc::new(settings), peer, now);
        session.greet(matches!(script.steps.first(), Some(script::Step::Send(_))));
        let (input, replies, content) = (Vec::new(), VecDeque::new(), Vec::new());
        Self { script, session, now, piece, input, replies, content, queued: 0, closed: false }
    }

    fn play(mut self) {
        self.go_on();
        for (number, step) in self.script.steps.iter().enumerate() {
            let place = format!(
                "{} ({}), step {}: {step:?}",
                self.script.path.display(),
                self.script.title,
                number + 1
            );
            self.step(step, &place);
        }
        let path = self.script.path.display();
        assert!(self.replies.is_empty(), "{path}: unexpected {:?}", self.replies);
        let closes = self.script.steps.contains(&script::Step::Close);
        assert_eq!(self.closed, closes, "{path}: the server's closing");
    }

    fn step(&mut self, step: &script::Step, place: &str) {
        match step {
            script::Step::Send(bytes) => {
                for piece in bytes.chunks(self.piece.min(bytes.len())) {
                    self.input.extend_from_slice(piece);
                    self.go_on();
                }
            }
            script::Step::Expect(expected) => {
                let line = self.replies.pop_front();
                let fits = line.as_ref().is_some_and(|line| script::fits(expected, line));
                assert!(fits, "{place}, got {line:?}");
            }
            script::Step::Close => {
                assert!(self.closed && self.replies.is_empty(), "{place}: {:?}", self.replies);
            }
            // The driver drops the session.
            script::Step::Gone => assert!(!self.closed, "{place}"),
            script::Step::Wait(seconds) => {
                self.now += Duration::from_secs(*seconds);
                if self.session.deadline() <= self.now {
                    self.session.time_out();
                }
                self.go_on();
            }
            script::Step::Drain => {
                self.session.drain();
                self.go_on();
            }
            script::Step::Queued(number) => assert_eq!(self.queued, *number, "{place}"),
            script::Step::Content(content) => assert_eq!(&self.content, content, "{place}"),
        }
    }

    /// Steps until the session wants to read or ends.
    fn go_on(&mut self) {
        let mut pieces = Vec::new();
        while !self.closed {
            let mut rest = self.input.as_slice();
            let step = self.session.step(&mut rest, self.now);
            let consumed = self.input.len() - rest.len();
            self.input.drain(..consumed);
            match step {
                Step::Read => break,
                Step::Check(question) => self.session.verdicts(verdicts(self.script, &question)),
                Step::Piece(piece) => pieces.extend(piece),
                Step::Submit(message) => {
                    self.content = [std::mem::take(&mut pieces), message.content].concat();
                    let reply = queue(self.script);
                    self.queued += usize::from(reply.class() == 2);
                    self.session.submitted(reply);
                }
                Step::Close(_) => self.closed = true,
            }
        }
        let output = String::from_utf8(std::mem::take(self.session.output())).unwrap();
        for line in output.split_inclusive('\n') {
            self.replies.push_back(line.strip_suffix("\r\n").unwrap().to_owned());
        }
    }
}

/// What `policyd` would say of the dialogues' little world.
fn verdicts(script: &Script, question: &Question) -> Vec<Verdict> {
    if script.setting("policyd") == Some("gone") {
        return Vec::new();
    }
    let unqualified = || Reply::new(553, Enhanced(5, 4), "Domain name required for sender address");
    match question.unqualified {
        true => question.recipients.iter().map(|_| Err(unqualified())).collect(),
        false => question.recipients.iter().map(verdict).collect(),
    }
}

fn verdict(recipient: &Address) -> Verdict {
    let known = ["alice", "bob", "postmaster"];
    if !["mail.test", "mx.mail.test"].contains(&recipient.domain_key().as_str()) {
        return Err(Reply::new(550, Enhanced::REFUSED, "Relaying denied"));
    }
    if !known.contains(&recipient.local().to_lowercase().as_str()) {
        return Err(Reply::new(550, Enhanced::BAD_MAILBOX, "User unknown"));
    }
    Ok(Disposition::Deliver)
}

fn queue(script: &Script) -> Reply {
    match script.setting("qmgr") {
        Some("gone") => Reply::new(451, Enhanced::SYSTEM, "Our fault, try again later"),
        Some("full") => Reply::new(452, Enhanced::SYSTEM_FULL, "The disk is full"),
        _ => Reply::new(250, Enhanced::UNDEFINED, "Queued as 0DFJKNPRT01"),
    }
}
