//! One attempt: its recipients, one after the other, through `deliver` processes of whom they belong
//! to.

use std::sync::Arc;
use std::time::Duration;

use config::{Config, Mailbox};
use envelope::{DeliveryLine, Detail, Dialogue, Enhanced, Member, Special, Status};
use ipc::delivery::{Attempt, Destination, Outcome, Outcomes, Recipient};
use ipc::mailbox::{Said, Store};
use ipc::run_as::Who;
use ipc::{Client, Frame};
use tokio::time::{Instant, timeout_at};

use crate::border::Border;
use crate::catch_all;
use crate::conversation::Content;
use crate::place::{self, Names};
use crate::processes::{Process, Processes, Stranger};

/// After so long an attempt begins nothing more: `qmgr` waits an hour for what came of it, and what
/// is delivered later is delivered twice. A command takes ten minutes at most.
const BEGIN_WITHIN: Duration = Duration::from_secs(45 * 60);
/// Processes that are started for one message because the one before may not read a `.forward` that
/// has changed: it changes faster than mail comes.
const MAX_STARTS: usize = 3;

/// Lines of the log for what is wrong with one list, and bytes of each: `deliver` keeps to both, but
/// its user may have taken it over.
const MAX_REMARKS: usize = 10;
const MAX_REMARK: usize = 1024;

/// What carries attempts out.
#[derive(Debug)]
pub(crate) struct Agent {
    config: Arc<Config>,
    border: Border,
    pub(crate) processes: Processes,
}

/// A recipient of an attempt, on its way to a process.
struct Errand<'a> {
    attempt: &'a Attempt,
    to: &'a Recipient,
    content: &'a Content,
    deadline: Instant,
}

impl Agent {
    pub(crate) fn new(config: &Arc<Config>, border: Border, supervisor: Client) -> Self {
        let processes = Processes::new(supervisor, &config.local.mailbox);
        Self { config: Arc::clone(config), border, processes }
    }

    /// Delivers to every recipient and says what came of each.
    pub(crate) async fn deliver(&self, frame: Frame<Attempt>) -> Outcomes {
        let Frame { head: mut attempt, body, descriptor } = frame;
        let content = Content { body, descriptor: descriptor.map(Arc::new), replaced: 0 };
        let content = match self.border.cross(&mut attempt, content) {
            Ok(content) => content,
            Err(error) => {
                let fault = Outcome::Status(Status::fault(format!("content: {error}")));
                let recipients = vec![fault; attempt.recipients.len()];
                return Outcomes { recipients, unreachable: false, dialogue: Dialogue::default() };
            }
        };
        let deadline = Instant::now() + BEGIN_WITHIN;
        let mut outcomes = Vec::with_capacity(attempt.recipients.len());
        for (number, to) in attempt.recipients.iter().enumerate() {
            let errand = Errand { attempt: &attempt, to, content: &content, deadline };
            let begun = Instant::now();
            let outcome = self.run(&errand).await;
            log(&attempt, number, begun.elapsed(), &outcome);
            outcomes.push(outcome);
        }
        Outcomes { recipients: outcomes, unreachable: false, dialogue: Dialogue::default() }
    }

    async fn run(&self, errand: &Errand<'_>) -> Outcome {
        let ended = match &errand.attempt.destination {
            Destination::Local { user, detail, verbatim } => {
                let names = (user.as_str(), detail.as_deref());
                self.to_user(errand, names, *verbatim).await
            }
            Destination::Special { what, user } => {
                self.to_special(errand, what, user.as_deref()).await
            }
            Destination::Remote(_) => Err(Status::fault("not a destination of this machine")),
        };
        ended.unwrap_or_else(Outcome::Status)
    }

    /// Into the mailbox of a user, or where the user's `.forward` says.
    async fn to_user(
        &self,
        errand: &Errand<'_>,
        (user, detail): (&str, Option<&str>),
        verbatim: bool,
    ) -> Result<Outcome, Status> {
        if !place::is_name(user) {
            return self.stranger(errand);
        }
        let local = &self.config.local;
        let who = match local.mailbox {
            Mailbox::Mbox(_) | Mailbox::Maildir(_) | Mailbox::Lmtp(_) => {
                Who::Mailbox(user.to_owned())
            }
            Mailbox::Command(_) => Who::User(user.to_owned()),
        };
        let say = |process: &Process| {
            let names = Names { user, home: &process.home, detail };
            let place = place::substitute(&local.mailbox, &names)?;
            let tree = place::tree(&local.mailbox, &names)?;
            // Root's mail is written without root's rights, and root's files are not read with less.
            let forward = if verbatim || user == "root" {
                Vec::new()
            } else {
                place::forward(&local.forward, &names)
            };
            let store = self.store(errand, process, place);
            let detail = detail.map(str::to_owned);
            Ok(Store { user: user.to_owned(), detail, tree, forward, ..store })
        };
        match self.ask(errand, &who, say).await {
            Ok(said) => Ok(outcome(errand, said)),
            Err(Stranger::Unknown) => self.stranger(errand),
            Err(Stranger::Status(status)) => Err(status),
        }
    }

    /// There is no such user.
    fn stranger(&self, errand: &Errand<'_>) -> Result<Outcome, Status> {
        let Config { hostname, local, .. } = &*self.config;
        let catch_all = local.catch_all.as_ref().ok_or_else(unknown)?;
        catch_all::outcome(catch_all, &errand.to.address, hostname)
    }

    /// To a program or a file, or to whom a list names.
    async fn to_special(
        &self,
        errand: &Errand<'_>,
        what: &Special,
        user: Option<&str>,
    ) -> Result<Outcome, Status> {
        let Some(place) = place::special(what, &self.config)? else {
            let words = "delivered to /dev/null";
            return Ok(Outcome::Status(Status::Delivered(Detail::ours(
                Enhanced::UNDEFINED,
                words,
            ))));
        };
        let who = user.map_or(Who::Default, |user| Who::User(user.to_owned()));
        let name = user.unwrap_or(&self.config.local.default_user);
        let say = |process: &Process| {
            let store = self.store(errand, process, place.clone());
            Ok(Store { user: name.to_owned(), make_home: false, ..store })
        };
        match self.ask(errand, &who, say).await {
            Ok(said) => Ok(outcome(errand, said)),
            Err(Stranger::Unknown) => Err(unknown()),
            Err(Stranger::Status(status)) => Err(status),
        }
    }

    /// Has a process of `who` do what `say` says.
    async fn ask(
        &self,
        errand: &Errand<'_>,
        who: &Who,
        say: impl Fn(&Process) -> Result<Store, Status>,
    ) -> Result<Said, Stranger> {
        let busy =
            || Stranger::Status(Status::fault("too much is under way for this user, or for all"));
        let turn = timeout_at(errand.deadline, self.processes.turn_of(who)).await;
        let turn = turn.map_err(|_| busy())?;
        for _ in 0..MAX_STARTS {
            let process = self.processes.process(&turn, who, errand.attempt.id);
            let process = timeout_at(errand.deadline, process).await.map_err(|_| busy())??;
            if Instant::now() >= errand.deadline {
                return Err(busy());
            }
            let store = say(&process).map_err(Stranger::Status)?;
            match process.conversation.store(store, errand.content.clone()).await {
                Said::Stale => turn.part_with(&process).await,
                said @ (Said::Status(_) | Said::Expanded { .. }) => return Ok(said),
            }
        }
        Err(Stranger::Status(Status::fault("the .forward changes all the time")))
    }

    /// What is the same for everybody.
    fn store(&self, errand: &Errand<'_>, process: &Process, place: ipc::mailbox::Place) -> Store {
        let attempt = errand.attempt;
        Store {
            // Given when it is sent.
            number: 0,
            id: attempt.id,
            reverse_path: attempt.reverse_path.clone(),
            recipient: errand.to.address.clone(),
            place,
            forward: Vec::new(),
            shell: process.shell.clone(),
            tree: std::path::PathBuf::new(),
            user: String::new(),
            home: process.home.clone(),
            detail: None,
            hostname: self.config.hostname.clone(),
            size: attempt.size,
            replaced: errand.content.replaced,
            arrival: attempt.arrival,
            make_home: self.config.rooted,
        }
    }
}

/// No such user.
pub(crate) fn unknown() -> Status {
    Status::Failed(Detail::ours(Enhanced::BAD_MAILBOX, "User unknown"))
}

fn outcome(errand: &Errand<'_>, said: Said) -> Outcome {
    match said {
        Said::Status(status) => Outcome::Status(status),
        Said::Expanded { members, .. } if !members.iter().all(can_be) => {
            Outcome::Status(Status::fault("deliver: named what can never be"))
        }
        Said::Expanded { members, remarks } => {
            for remark in loggable(&remarks) {
                let (id, address) = (errand.attempt.id, &errand.to.address);
                tracing::warn!("{id}: to=<{address}>, {remark}");
            }
            Outcome::Expanded(members)
        }
        Said::Stale => Outcome::Status(Status::fault("deliver: asked for another process")),
    }
}

/// Such a member is in no list that `deliver` has read: it refuses others.
fn can_be(member: &Member) -> bool {
    match member {
        Member::Address(_) | Member::Mailbox(_) => true,
        Member::Special(Special::CatchAll) => false,
        Member::Special(what) => what.check().is_ok(),
    }
}

fn loggable(remarks: &[String]) -> impl Iterator<Item = envelope::Printable<'_>> {
    let cut = |text: &str| text.floor_char_boundary(MAX_REMARK);
    let bounded = remarks.iter().map(move |it| it.get(..cut(it)).unwrap_or_default());
    bounded.take(MAX_REMARKS).map(envelope::printable)
}

/// `took`: how long it took.
fn log(attempt: &Attempt, number: usize, took: Duration, outcome: &Outcome) {
    let mailer = match &attempt.destination {
        Destination::Special { what: Special::Program(_), .. } => "prog",
        Destination::Special { what: Special::File(_), .. } => "*file*",
        Destination::Special { what: Special::Include(_), .. } => "*include*",
        Destination::Special { what: Special::CatchAll, .. }
        | Destination::Local { .. }
        | Destination::Remote(_) => "local",
    };
    match outcome {
        Outcome::Status(status) | Outcome::Relayed(status) => {
            if let Some(line) = attempt.line(number, status) {
                let took = Some(took.as_secs());
                let line = DeliveryLine { attempt: took, mailer: Some(mailer), ..line };
                tracing::info!("{line}");
            }
        }
        Outcome::Expanded(members) => {
            let (id, count) = (attempt.id, members.len());
            let address = attempt.recipients.get(number).map(|recipient| &recipient.address);
            let to = address.map(ToString::to_string).unwrap_or_default();
            let what = match &attempt.destination {
                Destination::Special { what, .. } => format!(" ({what})"),
                Destination::Local { .. } | Destination::Remote(_) => String::new(),
            };
            tracing::info!("{id}: to=<{to}>{what}, mailer={mailer}, goes to {count} others");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_writes_no_more_into_the_log_than_a_list_has_faults() {
        let remarks = vec!["ä\n".repeat(MAX_REMARK); 1000];
        let logged: Vec<_> = loggable(&remarks).map(|remark| remark.to_string()).collect();
        assert_eq!(logged.len(), MAX_REMARKS);
        assert!(logged.iter().all(|line| line.len() <= 2 * MAX_REMARK && !line.contains('\n')));
    }

    #[test]
    fn a_user_names_nothing_that_no_list_could() {
        let program = |text: String| Member::Special(Special::Program(text));
        assert!(can_be(&program("vacation ann".to_owned())));
        assert!(can_be(&Member::Special(Special::File("/tmp/x".to_owned()))));
        for wrong in [
            program("x".repeat(100_000)),
            program("sh | sh".to_owned()),
            Member::Special(Special::Include("../x".to_owned())),
            Member::Special(Special::CatchAll),
        ] {
            assert!(!can_be(&wrong));
        }
    }
}
