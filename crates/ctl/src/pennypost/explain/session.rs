//! `sendmail -bh ADDRESS`: the session that a client at this address would have, with stdin in its
//! place. As Exim has it: replies on stdout, and on stderr what decided about them.
//!
//! **Invariant:** nothing is stored and nothing is sent.

use std::io::{self, BufRead, Write};
use std::net::IpAddr;
use std::time::Instant;

use envelope::{Address, Enhanced, QueueId, printable};
use jiff::Timestamp;
use policy::Verdict;
use smtp::Reply;
use smtp::server::{Message, Question, Session, Step};

use super::desk::{Decision, Desk};
use super::rehearsal::{Heard, Rehearsal, answer};
use super::story::Opening;
use super::{Told, fate, in_force};
use crate::routes::Routes;
use crate::sendmail::{Lines, Verdict as Go};
use crate::site::Site;
use crate::{Exit, Failure};

/// Before each line that is no reply.
const NOTE: &str = ">>> ";

/// Holds the session until QUIT or the end of stdin.
pub(crate) fn converse(site: &Site, client: IpAddr) -> Result<Exit, Failure> {
    let (mut replies, mut notes) = (io::stdout().lock(), io::stderr().lock());
    hold(site, client, &mut io::stdin().lock(), (&mut replies, &mut notes))?;
    Ok(Exit::Ok)
}

fn hold(
    site: &Site,
    client: IpAddr,
    input: &mut impl BufRead,
    (replies, notes): (&mut dyn Write, &mut dyn Write),
) -> Result<(), Failure> {
    let routes = Routes::read(site)?;
    let desk = Desk::open(&routes.config, Some(client))?;
    let told = Told::new(&routes)?;
    let session = Rehearsal::session(&routes.config, Some(client), &desk);
    let lines = Lines::default();
    let mut stand_in = StandIn { session, desk: &desk, told, lines, replies, notes };
    stand_in.open(site, client)?;
    stand_in.converse(input)
}

/// In the place of `smtpd`, `policyd` and `qmgr`.
struct StandIn<'a> {
    session: Session,
    desk: &'a Desk<'a>,
    told: Told<'a>,
    /// What is typed, with the line ends of SMTP.
    lines: Lines,
    replies: &'a mut dyn Write,
    notes: &'a mut dyn Write,
}

impl StandIn<'_> {
    /// Says who the client is, and how it is received.
    fn open(&mut self, site: &Site, client: IpAddr) -> Result<(), Failure> {
        self.note(format_args!(
            "as if from {client}: nothing is stored or sent, nobody waits, and rates are not counted"
        ))?;
        let mut steps = Vec::new();
        let terms = self.desk.terms(&mut steps);
        let opening = Opening {
            client: Some(client),
            name: &self.desk.name,
            steps,
            terms,
            in_force: in_force(site),
            notes: Vec::new(),
            from: "",
            reply: String::new(),
        };
        self.tell(|out| opening.write_client(out))
    }

    fn converse(&mut self, input: &mut impl BufRead) -> Result<(), Failure> {
        let mut heard = Vec::new();
        let mut over = false;
        while !over {
            let mut rest = heard.as_slice();
            let step = self.session.step(&mut rest, Instant::now());
            let consumed = heard.len() - rest.len();
            heard.drain(..consumed);
            match step {
                Step::Read => {
                    self.reply()?;
                    over = !self.listen(input, &mut heard)?;
                }
                Step::Check(question) => self.check(&question)?,
                // Whoever takes pieces keeps them.
                Step::Piece(_) => {}
                Step::Submit(message) => self.submit(&message)?,
                Step::Close(_) => over = true,
            }
        }
        self.reply()
    }

    /// Takes what there is, up to the end of a line: nobody sends ahead who types. False: it is over.
    fn listen(&mut self, input: &mut impl BufRead, heard: &mut Vec<u8>) -> Result<bool, Failure> {
        let failed = |error| Failure::new(Exit::NoInput, format!("cannot read: {error}"));
        let there = input.fill_buf().map_err(failed)?;
        let end = there.iter().position(|byte| *byte == b'\n').map_or(there.len(), |at| at + 1);
        self.lines.push(there.get(..end).unwrap_or_default(), heard);
        input.consume(end);
        Ok(end > 0)
    }

    fn reply(&mut self) -> Result<(), Failure> {
        // They are for a log, and stdin may have no end.
        drop(self.session.refusals());
        let output = std::mem::take(self.session.output());
        if self.lines.awaits_reply() && !output.is_empty() {
            self.lines.go_on(if output.starts_with(b"354") { Go::GoAhead } else { Go::Other });
        }
        self.replies.write_all(&output)?;
        Ok(self.replies.flush()?)
    }

    fn check(&mut self, question: &Question) -> Result<(), Failure> {
        let decisions = self.desk.decide(self.session.client_name(), question)?;
        self.session.verdicts(decisions.iter().map(|it| answer(&it.verdict)));
        for (to, decision) in question.recipients.iter().zip(decisions) {
            self.explain(question, to, decision)?;
        }
        Ok(())
    }

    fn explain(
        &mut self,
        question: &Question,
        to: &Address,
        decision: Decision,
    ) -> Result<(), Failure> {
        let reply = match &decision.verdict {
            Verdict::Accept(_) => "accepted".to_owned(),
            Verdict::Refuse { code, text } => format!("{code} {text}"),
        };
        let question = Question { recipients: vec![to.clone()], ..question.clone() };
        let heard = Heard { reply, decision: Some((question, decision)) };
        let to = to.to_string();
        let mut text = Vec::new();
        self.told.recipient(&to, heard).write(&self.told.keyring, &mut text)?;
        self.tell(|out| out.write_all(&text))
    }

    /// Content that would be handed to the queue.
    fn submit(&mut self, message: &Message) -> Result<(), Failure> {
        let micros = u64::try_from(Timestamp::now().as_microsecond()).unwrap_or_default();
        let id = QueueId::next(QueueId::FIRST, micros);
        let fate = fate(&message.opening.fate);
        self.note(format_args!("{}; nothing was delivered, {id} is no message", printable(&fate)))?;
        let reply = Reply::new(250, Enhanced::UNDEFINED, format!("Queued as {id}"));
        self.session.submitted(reply);
        Ok(())
    }

    /// What `write` writes, as notes.
    fn tell(&mut self, write: impl FnOnce(&mut Vec<u8>) -> io::Result<()>) -> Result<(), Failure> {
        let mut text = Vec::new();
        write(&mut text)?;
        let text = String::from_utf8_lossy(&text);
        text.lines().try_for_each(|line| self.note(format_args!("{line}")))
    }

    fn note(&mut self, what: std::fmt::Arguments<'_>) -> Result<(), Failure> {
        Ok(writeln!(self.notes, "{NOTE}{what}")?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routes::tests::site;

    /// Replies and notes of a session with `script` typed in pieces of `piece` bytes, and without the ids
    /// of messages.
    fn held(client: &str, script: &str, piece: usize) -> (String, String) {
        let root = tempfile::tempdir().unwrap();
        let access = "From:spammer@a.test\tREJECT\nClientRate:IPv6:2001:db8\t4\n\
                      To:relayed.test\tRELAY\nFrom:odd@a.test\tQUARANTINE:look at it\n";
        let files = [("access", access), ("aliases", "team: bob, carol@far.test\n")];
        let site = site(root.path(), &files);
        let (mut replies, mut notes) = (Vec::new(), Vec::new());
        let mut input = io::BufReader::with_capacity(piece, script.as_bytes());
        hold(&site, client.parse().unwrap(), &mut input, (&mut replies, &mut notes)).unwrap();
        let [replies, notes] = [replies, notes].map(|text| String::from_utf8(text).unwrap());
        let queued = replies.lines().filter_map(|line| line.split_once("Queued as "));
        let ids: Vec<_> = queued.map(|(_, id)| id.to_owned()).collect();
        let anonymous = |text: String| ids.iter().fold(text, |text, id| text.replace(id, "ID"));
        (anonymous(replies), anonymous(notes))
    }

    const SCRIPT: &str = "\
        MAIL FROM:<a@b.test>\nEHLO mx.b.test\nNOISE\nVRFY bob\nHELP\n\
        MAIL FROM:<spammer@a.test>\nRCPT TO:<bob@local.test>\nRSET\n\
        MAIL FROM:<odd@a.test> SIZE=999999999\nMAIL FROM:<odd@a.test>\nDATA\n\
        RCPT TO:<x@far.test>\nRCPT TO:<nobody-here@local.test>\nRCPT TO:<team@local.test>\n\
        DATA\nSubject: x\n\nQUIT\n..\n.\nMAIL FROM:<>\nRCPT TO:<postmaster>\n\
        BDAT 6\r\nA: b\r\nBDAT 3 LAST\r\n\u{1b}\r\nNOOP\nQUIT\nNOOP\n";

    #[test]
    fn replies_and_what_decided_about_them() {
        let (replies, notes) = held("2001:db8::7", SCRIPT, SCRIPT.len());
        insta::assert_snapshot!("session", format!("{replies}--\n{notes}"));
        // However it comes in.
        for piece in [1, 7] {
            assert_eq!(held("2001:db8::7", SCRIPT, piece), (replies.clone(), notes.clone()));
        }
    }

    #[test]
    fn a_bare_line_end_within_content_ends_it() {
        let script =
            "EHLO x.test\r\nMAIL FROM:<>\r\nRCPT TO:<bob@local.test>\r\nBDAT 3\r\na\nb\r\n";
        let (replies, _) = held("192.0.2.7", script, 100);
        let last = replies.lines().last().unwrap();
        assert!(last.starts_with("5"), "{replies}");
        assert!(held("192.0.2.7", "EHLO x.test\n", 100).0.ends_with("\r\n"), "the end of stdin");
    }
}
