//! What became of each recipient.
//!
//! **Invariant:** a recipient whom the daemon neither accepted nor refused waits in the drop
//! directory, or the caller hears 75.

use std::io::{self, Write};

use envelope::{Address, Detail, QueueId, Recipient, ReversePath, Status, Submission, printable};
use message::{Action, Date, Kind, Original, RecipientReport, Report};

use super::drop;
use super::letter::Letter;
use super::options::Options;
use super::submission::{self, Posted};
use super::traffic::Traffic;
use crate::site::{Rules, Site};
use crate::{Exit, Failure};

/// One fate for each recipient, in order.
#[derive(Debug)]
pub(super) struct Outcome(Vec<(Address, Fate)>);

/// Where mail goes in.
#[derive(Debug)]
pub(super) struct Door<'a> {
    pub(super) site: &'a Site,
    pub(super) rules: &'a Rules,
    pub(super) traffic: &'a Traffic,
}

#[derive(Debug)]
enum Fate {
    /// Durable in the queue, and the daemon's words.
    Queued(Detail),
    /// Durable in the drop directory, and why.
    Left(Detail),
    /// Never to be delivered.
    Refused(Status),
    /// Nobody has it.
    Lost(String),
}

impl Outcome {
    /// Submits the letter, in as many transactions as its recipients need.
    pub(super) fn of(letter: &Letter, options: &Options, door: &Door<'_>) -> Self {
        let rules = door.rules;
        if let Some(status) = rules.loops(&letter.content, options.hops) {
            let refused = |r: &Recipient| (r.address.clone(), Fate::Refused(status.clone()));
            return Self(letter.recipients.iter().map(refused).collect());
        }
        let groups = letter.recipients.chunks(rules.recipients.max(1));
        Self(groups.flat_map(|group| dispatch(letter, group, door)).collect())
    }

    /// A line for each refused recipient.
    pub(super) fn refusals(&self) -> impl Iterator<Item = String> {
        self.refused().map(|(address, status)| {
            let address = address.to_string();
            format!("{}: {}", printable(&address), status.detail())
        })
    }

    fn refused(&self) -> impl Iterator<Item = (&Address, &Status)> {
        self.0.iter().filter_map(|(address, fate)| match fate {
            Fate::Refused(status) => Some((address, status)),
            Fate::Queued(_) | Fate::Left(_) | Fate::Lost(_) => None,
        })
    }

    /// Why a recipient is lost, if one is.
    pub(super) fn lost(&self) -> Option<&str> {
        self.0.iter().find_map(|(_, fate)| match fate {
            Fate::Lost(why) => Some(why.as_str()),
            Fate::Queued(_) | Fate::Left(_) | Fate::Refused(_) => None,
        })
    }

    /// The messages in the queue: the daemon says "Queued as ID".
    pub(super) fn queued(&self) -> impl Iterator<Item = QueueId> {
        self.0.iter().filter_map(|(_, fate)| match fate {
            Fate::Queued(detail) => detail.text.rsplit(' ').next()?.trim().parse().ok(),
            Fate::Left(_) | Fate::Refused(_) | Fate::Lost(_) => None,
        })
    }

    /// The code of the first refusal.
    pub(super) fn exit(&self) -> Exit {
        self.refused().next().map_or(Exit::Ok, |(_, status)| Exit::of(status))
    }

    /// `-v`: what happened to each recipient.
    pub(super) fn show(&self, out: &mut impl Write) -> io::Result<()> {
        for (address, fate) in &self.0 {
            let address = address.to_string();
            let what = match fate {
                Fate::Queued(detail) => format!("Accepted ({})", detail),
                Fate::Left(why) => format!("Left in the drop directory ({})", why),
                Fate::Refused(status) => format!("Refused ({})", status.detail()),
                Fate::Lost(why) => format!("Not accepted ({})", printable(why)),
            };
            writeln!(out, "{}... {what}", printable(&address))?;
        }
        Ok(())
    }

    /// `-oem`: tells the reverse-path of the refused recipients. Nobody is told of a message that
    /// has none.
    pub(super) fn mail_back(
        &self,
        letter: &Letter,
        door: &Door<'_>,
        date: Date,
    ) -> Result<Exit, Failure> {
        let Some(to) = letter.reverse_path.0.as_ref() else { return Ok(self.exit()) };
        let refused: Vec<_> = self.refused().collect();
        if refused.is_empty() {
            return Ok(Exit::Ok);
        }
        let reports: Vec<_> =
            refused.iter().map(|(address, status)| report(address, status)).collect();
        let notification = notification(to, letter, door.rules, date, &reports);
        match dispatch(&notification, &notification.recipients, door).pop() {
            Some((_, Fate::Queued(_) | Fate::Left(_))) => Ok(Exit::Ok),
            Some((_, Fate::Refused(_) | Fate::Lost(_))) | None => {
                let text: Vec<_> = self.refusals().collect();
                Err(Failure::new(self.exit(), text.join("\n")))
            }
        }
    }
}

/// One transaction, and the drop directory for those of whom nothing final was said.
fn dispatch(letter: &Letter, group: &[Recipient], door: &Door<'_>) -> Vec<(Address, Fate)> {
    let Door { site, rules, traffic } = door;
    let mail = letter.mail(group);
    let (socket, name) = (site.submit_socket(), &rules.hostname);
    let posted = submission::post(&socket, name, &mail, &letter.content, traffic);
    let statuses = match posted {
        Posted::Answered(statuses) => statuses,
        Posted::NoAnswer(why) => vec![Status::Deferred(why); group.len()],
    };
    let undecided = |(recipient, status): (&Recipient, &Status)| match status {
        Status::Deferred(_) => Some(recipient.clone()),
        Status::Delivered(_) | Status::Failed(_) => None,
    };
    let waiting: Vec<_> = group.iter().zip(&statuses).filter_map(undecided).collect();
    let left = if waiting.is_empty() {
        Ok(())
    } else {
        drop::leave(&site.drop_directory(), &letter.mail(&waiting), &letter.content)
    };
    let fate = |(recipient, status): (&Recipient, Status)| {
        let fate = match (status, &left) {
            (Status::Delivered(detail), _) => Fate::Queued(detail),
            (status @ Status::Failed(_), _) => Fate::Refused(status),
            (Status::Deferred(why), Ok(())) => Fate::Left(why),
            (Status::Deferred(why), Err(error)) => {
                let directory = site.drop_directory();
                Fate::Lost(format!("{}; {}: {error}", why, directory.display()))
            }
        };
        (recipient.address.clone(), fate)
    };
    group.iter().zip(statuses).map(fate).collect()
}

fn report<'a>(address: &'a Address, status: &'a Status) -> RecipientReport<'a> {
    RecipientReport {
        address,
        original: None,
        action: Action::Failed,
        status,
        last_attempt: None,
        retry_until: None,
    }
}

fn notification(
    to: &Address,
    letter: &Letter,
    rules: &Rules,
    date: Date,
    recipients: &[RecipientReport<'_>],
) -> Letter {
    let built = Report {
        kind: Kind::Failure,
        hostname: &rules.hostname,
        id: None,
        to,
        envid: letter.envid.as_deref(),
        arrival: date,
        date,
        random: fastrand::u64(..),
        recipients,
        original: Original {
            content: &letter.content,
            whole: true,
            ret: letter.ret,
            smtputf8: letter.utf8_headers,
        },
    }
    .build();
    Letter {
        reverse_path: ReversePath::NULL,
        recipients: vec![Recipient::plain(to.clone())],
        content: built.content,
        body: built.body,
        utf8_headers: built.smtputf8,
        ret: None,
        envid: None,
        submission: Submission { tag: letter.submission.tag.clone(), ..Submission::default() },
        misspelt: Vec::new(),
    }
}
