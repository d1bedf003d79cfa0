//! The session that a client would have: the machine of `smtpd`, with nobody at the other end.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use config::Config;
use envelope::{Extensions, printable};
use nix::unistd::Uid;
use policy::Verdict;
use smtp::Reply;
use smtp::server::{Fate, Peer, Question, Session, Settings, Step, Unqualified};

use super::desk::{Decision, Desk};
use crate::{Exit, Failure};

/// A session after its greeting.
pub(super) struct Rehearsal<'a> {
    session: Session,
    desk: &'a Desk<'a>,
    /// What the client is said to call itself; empty: not known.
    helo: &'a str,
    now: Instant,
}

/// What came of one command.
pub(super) struct Heard {
    /// All lines, as they are sent.
    pub(super) reply: String,
    /// RCPT only, unless it was refused for what it is: the address, and what decided about it.
    pub(super) decision: Option<(Question, Decision)>,
}

/// What came of the content.
pub(super) enum Content {
    Refused(String),
    /// It would be handed to the queue.
    Taken(Fate),
}

impl<'a> Rehearsal<'a> {
    pub(super) fn begin(
        config: &Config,
        client: Option<IpAddr>,
        helo: &'a str,
        desk: &'a Desk<'a>,
    ) -> Self {
        let mut session = Self::session(config, client, desk);
        session.output().clear();
        Self { session, desk, helo, now: Instant::now() }
    }

    /// The session as `smtpd` would begin it, after its greeting.
    pub(super) fn session(config: &Config, client: Option<IpAddr>, desk: &Desk<'_>) -> Session {
        let user = || Peer::User { uid: Uid::current().as_raw(), name: String::new() };
        let settings = Settings {
            hostname: config.hostname.clone(),
            message_size: config.limits.message_size,
            recipients: config.limits.recipients,
            commands_in_error: config.limits.commands_in_error,
            hops: config.limits.hops,
            unqualified: match client {
                Some(_) => Unqualified::Refused,
                None => Unqualified::Ours,
            },
        };
        let (peer, now) = (client.map_or_else(user, Peer::Network), Instant::now());
        let withheld = desk.terms(&mut Vec::new()).map_or(Extensions::NONE, |it| it.withheld);
        let mut session = Session::new(Arc::new(settings), peer, now).without(withheld);
        session.greet(false);
        session
    }

    /// Says a command.
    pub(super) fn say(&mut self, line: &str) -> Result<Heard, Failure> {
        if line.contains(char::is_control) {
            let text = format!("there is a control character in {}", printable(line));
            return Err(Failure::new(Exit::Usage, text));
        }
        let line = format!("{line}\r\n");
        let mut input = line.as_bytes();
        let mut decision = None;
        while let Step::Check(question) = self.session.step(&mut input, self.now) {
            let decisions = self.desk.decide(self.helo, &question)?;
            self.session.verdicts(decisions.iter().map(|it| answer(&it.verdict)));
            decision = decisions.into_iter().next().map(|it| (question, it));
        }
        Ok(Heard { reply: self.reply(), decision })
    }

    /// Says DATA, and sends the content.
    pub(super) fn send(&mut self, content: &[u8]) -> Result<Content, Failure> {
        let Heard { reply, .. } = self.say("DATA")?;
        if !reply.starts_with('3') {
            return Ok(Content::Refused(reply));
        }
        let lines = stuffed(content);
        let mut input = lines.as_slice();
        loop {
            match self.session.step(&mut input, self.now) {
                // Whoever takes pieces keeps them.
                Step::Piece(_) => {}
                Step::Submit(message) => return Ok(Content::Taken(message.opening.fate)),
                Step::Read | Step::Close(_) | Step::Check(_) => {
                    return Ok(Content::Refused(self.reply()));
                }
            }
        }
    }

    fn reply(&mut self) -> String {
        let output = std::mem::take(self.session.output());
        String::from_utf8_lossy(&output).trim_end().replace("\r\n", "\n")
    }
}

/// As `smtpd` says it.
pub(super) fn answer(verdict: &Verdict) -> smtp::server::Verdict {
    match verdict {
        Verdict::Accept(disposition) => Ok(disposition.clone()),
        Verdict::Refuse { code, text } => Err(Reply::from_text((*code).clamp(400, 599), text)),
    }
}

/// Content with CRLF line ends, its dots and its end (RFC 5321 §4.5.2).
fn stuffed(content: &[u8]) -> Vec<u8> {
    let mut lines = Vec::with_capacity(content.len() + 64);
    for line in content.split_inclusive(|byte| *byte == b'\n') {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.starts_with(b".") {
            lines.push(b'.');
        }
        lines.extend_from_slice(line);
        lines.extend_from_slice(b"\r\n");
    }
    lines.extend_from_slice(b".\r\n");
    lines
}
