//! Commands and their replies (RFC 5321 §4.1, §4.3).

use envelope::{
    Address, AddressError, Disposition, Enhanced, Extension, Recipient, ReversePath, Submission,
};

use super::intake::too_large;
use super::transaction::Transaction;
use super::{
    Ending, Fate, Hello, Peer, Question, Refusal, Session, Settings, Stage, State, Step,
    Unqualified, Verdict,
};
use crate::command::{Command, CommandError, Mail, Path, Rcpt};
use crate::line::{self, Line, Skip};
use crate::{Reply, submission};

/// Commands since the last message that led to none; a client that only looks around has to go.
const IDLE_COMMANDS: usize = 200;
/// Bytes of a chunk that leads to a message; who sends large messages in smaller ones looks around.
const USEFUL_CHUNK: u64 = 512;
/// Recipients in one question.
const BATCH: usize = 500;
/// Bytes of addresses in one transaction, ORCPT included: 1,000 of the longest, and far more than
/// the 100 of RFC 5321 §4.5.3.1.8 with the longest parameters.
const ADDRESSES: usize = 256 * 1024;

/// What the input begins with.
enum Next {
    Incomplete,
    TooLong,
    Bare,
    /// To be asked about.
    Recipient(Recipient),
    Command(Command),
    Refused(Refusal),
    /// Words of another protocol, or a chunk without end: what follows is no command.
    Lost(Reply),
}

impl Session {
    /// The next command in `input`. Recipients gather until something else comes or the input
    /// ends, so that a group of them is one question.
    pub(super) fn command(&mut self, input: &mut &[u8]) -> Option<Step> {
        if self.draining && self.transaction.is_none() {
            let reply = Reply::new(421, Enhanced(3, 2), "Going down, try again soon");
            return self.hang_up(Stage::Command, reply);
        }
        let mut rest = *input;
        let next = self.read(&mut rest);
        if let (Next::Recipient(recipient), Some(transaction)) = (&next, &mut self.transaction) {
            transaction.ask(recipient.clone());
            *input = rest;
            return None;
        }
        if let Some(question) = self.question() {
            return Some(Step::Check(question));
        }
        *input = rest;
        match next {
            Next::Incomplete => return Some(Step::Read),
            Next::TooLong => self.state = State::LongLine(Skip::default()),
            Next::Bare => return self.bare(Stage::Command),
            Next::Lost(reply) => return self.hang_up(Stage::Command, reply),
            Next::Refused(refusal) => self.refuse(refusal),
            Next::Command(command) => self.obey(command, rest.is_empty()),
            Next::Recipient(_) => {}
        }
        None
    }

    fn read(&self, input: &mut &[u8]) -> Next {
        let line = match line::take(input) {
            Line::Whole(line) => line,
            Line::Partial => return Next::Incomplete,
            Line::TooLong => return Next::TooLong,
            Line::Bare => return Next::Bare,
        };
        match Command::parse_without(line, self.withheld) {
            Ok(Command::Rcpt(rcpt)) => match self.admit(rcpt) {
                Ok(recipient) => Next::Recipient(recipient),
                Err((to, reply)) => {
                    Next::Refused(Refusal { to, ..self.refusal(Stage::Rcpt, reply) })
                }
            },
            Ok(command) => Next::Command(command),
            Err(error @ (CommandError::ForeignProtocol | CommandError::Chunk)) => {
                Next::Lost(error.reply())
            }
            Err(error) => Next::Refused(self.refusal(Stage::Command, error.reply())),
        }
    }

    /// The recipients whose RCPT is to be answered before anything else.
    fn question(&self) -> Option<Question> {
        let transaction = self.transaction.as_deref()?;
        (!transaction.asked.is_empty()).then(|| transaction.question())
    }

    /// The answer to [`Step::Check`]: for each recipient, in order, whether it is accepted, or the
    /// reply that refuses it. Those without an answer are deferred.
    pub fn verdicts(&mut self, verdicts: impl IntoIterator<Item = Verdict>) {
        self.patience.renew();
        let Some(transaction) = &mut self.transaction else { return };
        let asked = std::mem::take(&mut transaction.asked);
        let mut verdicts = verdicts.into_iter();
        for recipient in asked {
            match verdicts.next().unwrap_or_else(|| Err(fault())) {
                Ok(disposition) => self.accept(recipient, disposition),
                Err(reply) => {
                    let refusal = self.refusal(Stage::Rcpt, reply);
                    self.refuse(Refusal { to: Some(recipient.address), ..refusal });
                }
            }
        }
    }

    fn accept(&mut self, recipient: Recipient, disposition: Disposition) {
        if let Some(transaction) = &mut self.transaction {
            transaction.accept(recipient, disposition);
            self.say(&Reply::new(250, Enhanced(1, 5), "Recipient ok"));
        }
    }

    /// May this recipient be asked about?
    fn admit(&self, rcpt: Rcpt) -> Result<Recipient, (Option<Address>, Reply)> {
        let refuse = |code, enhanced, text| Err((None, Reply::new(code, enhanced, text)));
        let Some(transaction) = self.transaction.as_deref() else {
            return refuse(503, Enhanced(5, 1), "MAIL first");
        };
        if transaction.intake.is_some() {
            return refuse(503, Enhanced(5, 1), "The content has begun");
        }
        let asked = transaction.asked.len();
        let all = transaction.accepted() + asked;
        if asked >= BATCH || all >= self.settings.recipients || transaction.bytes >= ADDRESSES {
            // RFC 5321 §4.5.3.1.10
            return refuse(452, Enhanced(5, 3), "Too many recipients, send the rest separately");
        }
        let bad = |error| (None, CommandError::ForwardPath(error).reply());
        let address = self.resolve(rcpt.path).map_err(bad)?;
        let address = address.ok_or_else(|| bad(AddressError::Incomplete))?;
        if address.needs_utf8() && !transaction.smtputf8 {
            return Err((Some(address), needs_smtputf8()));
        }
        Ok(Recipient { address, notify: rcpt.notify, orcpt: rcpt.orcpt })
    }

    fn resolve(&self, path: Path) -> Result<Option<Address>, AddressError> {
        let ours = match (&path, self.settings.unqualified) {
            (Path::Unqualified(_), Unqualified::Ours) => true,
            // RFC 5321 §4.5.1: always accepted, in any case.
            (Path::Unqualified(local), Unqualified::Refused) => {
                local.eq_ignore_ascii_case("postmaster")
            }
            (Path::Null | Path::Mailbox(_), _) => true,
        };
        if ours { path.qualified(&self.settings.hostname) } else { Err(AddressError::Incomplete) }
    }

    /// `last`: nothing came after the command.
    fn obey(&mut self, command: Command, last: bool) {
        let useful = matches!(command, Command::Bdat { size: USEFUL_CHUNK.., .. });
        self.idle_commands += usize::from(!useful);
        if self.idle_commands > IDLE_COMMANDS {
            let reply = Reply::new(421, Enhanced(7, 0), "Too many commands without a message");
            self.hang_up(Stage::Command, reply);
            return;
        }
        match command {
            Command::Ehlo(name) => self.hello(Hello { name, extended: true }, last),
            Command::Helo(name) => self.hello(Hello { name, extended: false }, last),
            Command::Mail(mail) => self.mail(mail),
            Command::Data => self.data_command(last),
            Command::Bdat { size, last } => self.begin_chunk(size, last),
            Command::Rset => {
                self.transaction = None;
                self.ok(250, "Reset");
            }
            Command::Quit => {
                self.transaction = None;
                self.ok(221, "Bye");
                self.state = State::Closed(Ending::Agreed);
            }
            Command::Noop => self.ok(250, "Ok"),
            Command::Help => self.ok(214, "See RFC 5321"),
            // RFC 5321 §7.3
            Command::Vrfy => self.ok(252, "Not verified; mail will tell"),
            // Answered when it was read.
            Command::Rcpt(_) => {}
        }
        self.patience.renew();
    }

    fn hello(&mut self, hello: Hello, last: bool) {
        if self.came_too_early(last) {
            return;
        }
        // RFC 5321 §4.1.4: as RSET.
        self.transaction = None;
        let text = if hello.extended { self.extensions() } else { self.settings.hostname.clone() };
        self.hello = Some(hello);
        self.say(&Reply::bare(250, text));
    }

    fn extensions(&self) -> String {
        let Settings { hostname, message_size, recipients, .. } = &*self.settings;
        let mut text = hostname.clone();
        for extension in Extension::ALL.into_iter().filter(|it| !self.withheld.has(*it)) {
            text.push('\n');
            text.push_str(extension.keyword());
            match extension {
                Extension::Size => text.push_str(&format!(" {message_size}")),
                Extension::Limits => text.push_str(&format!(" RCPTMAX={recipients}")),
                Extension::Pipelining
                | Extension::EightBitMime
                | Extension::SmtpUtf8
                | Extension::EnhancedStatusCodes
                | Extension::Chunking
                | Extension::Dsn => {}
            }
        }
        if matches!(self.peer, Peer::User { .. }) {
            text.push('\n');
            text.push_str(submission::KEYWORD);
        }
        text + "\nHELP"
    }

    fn mail(&mut self, mail: Mail) {
        match self.begin(mail) {
            Ok(transaction) => {
                self.transaction = Some(Box::new(transaction));
                self.say(&Reply::new(250, Enhanced(1, 0), "Sender ok"));
            }
            Err((from, reply)) => {
                let refusal = Refusal { from, ..self.refusal(Stage::Mail, reply) };
                self.refuse(refusal);
            }
        }
    }

    fn begin(&self, mail: Mail) -> Result<Transaction, (Option<ReversePath>, Reply)> {
        let order = |text| Err((None, Reply::new(503, Enhanced(5, 1), text)));
        if self.hello.is_none() {
            return order("EHLO first");
        }
        if self.transaction.is_some() {
            return order("MAIL was given");
        }
        if matches!(self.peer, Peer::Network(_)) && mail.submission != Submission::default() {
            let unknown = CommandError::UnknownParameter(submission::KEYWORD.to_owned());
            return Err((None, unknown.reply()));
        }
        let unqualified = matches!(mail.path, Path::Unqualified(_))
            && self.settings.unqualified == Unqualified::Refused;
        let bad = |error| (None, CommandError::ReversePath(error).reply());
        let reverse_path = mail.path.qualified(&self.settings.hostname).map_err(bad)?;
        let reverse_path = ReversePath(reverse_path);
        if mail.size.is_some_and(|size| size > self.settings.message_size) {
            return Err((Some(reverse_path), too_large(&self.settings)));
        }
        if !mail.smtputf8 && reverse_path.0.as_ref().is_some_and(Address::needs_utf8) {
            return Err((Some(reverse_path), needs_smtputf8()));
        }
        Ok(Transaction {
            reverse_path,
            unqualified,
            declared_size: mail.size,
            body: mail.body,
            smtputf8: mail.smtputf8,
            ret: mail.ret,
            envid: mail.envid,
            submission: mail.submission,
            recipients: Vec::new(),
            omitted: Vec::new(),
            fate: Fate::Deliver,
            asked: Vec::new(),
            bytes: 0,
            intake: None,
        })
    }

    fn data_command(&mut self, last: bool) {
        let order = match self.transaction.as_deref() {
            None => Some("MAIL first"),
            Some(transaction) if transaction.intake.is_some() => Some("BDAT was given"),
            Some(transaction) if transaction.accepted() == 0 => Some("No valid recipients"),
            Some(_) => None,
        };
        match order {
            Some(text) => {
                let refusal = self.refusal(Stage::Command, Reply::new(503, Enhanced(5, 1), text));
                self.refuse(refusal);
            }
            None if self.came_too_early(last) => {}
            None => self.begin_data(),
        }
    }

    /// Input after a command whose reply it had to wait for (RFC 2920 §3.1) may be another's
    /// words, put into the mouth of a client that does not speak SMTP: the session ends.
    fn came_too_early(&mut self, last: bool) -> bool {
        let early = match self.peer {
            Peer::Network(_) => !last,
            Peer::User { .. } => false,
        };
        if early {
            let text = "Input came before the reply it had to wait for";
            self.hang_up(Stage::Command, Reply::new(554, Enhanced(5, 0), text));
        }
        early
    }
}

/// RFC 6531 §3.5
fn needs_smtputf8() -> Reply {
    Reply::new(553, Enhanced(6, 7), "The address needs SMTPUTF8")
}

fn fault() -> Reply {
    Reply::new(451, Enhanced::SYSTEM, "Our fault, try again later")
}
