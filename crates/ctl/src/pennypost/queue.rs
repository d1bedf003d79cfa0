//! `pennypost queue`: lists, shows and changes what is queued.

mod top;

use std::io::{self, BufWriter, Write};

use clap::{Args, Subcommand};
use envelope::{Address, QueueId, printable};
use ipc::admin::{Action, Filter, Hello, Message, QueueReply, QueueRequest};
use jiff::tz::TimeZone;
use regex::Regex;
use serde_json::json;

use super::duration;
use crate::control::{self, Control, misunderstood, wait};
use crate::listing::{age, due, json_line, json_message, reason, show};
use crate::site::Site;
use crate::{Exit, Failure};

/// Ids in one request.
const IDS: usize = 10_000;

/// List, show and change queued messages
///
/// Administrators (control.admins in pennypost.toml) see all mail, others their own. While the mail system
/// does not run, root can list, show and count what lies on the disk.
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    after_help = "\
Examples:
  pennypost queue                              everything, with the reason and the next attempt
  pennypost queue --domain example.org --older 4h
  pennypost queue show 0BCDFGHJKLM
  pennypost queue delete --from '<>' --dry-run
  pennypost queue retry --reason '(?i)greylist'
  pennypost queue hold 0BCDFGHJKLM 0BCDFGHJKLN"
)]
pub(super) struct Queue {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    list: List,
}

#[derive(Debug, Subcommand)]
enum Command {
    List(List),
    Show(Show),
    Count(Count),
    Top(top::Top),
    /// Try messages now, whenever their next attempt is due
    #[command(
        after_help = "Examples:\n  pennypost queue retry --all\n  pennypost queue retry --domain example.org"
    )]
    Retry(Change),
    /// Keep messages from being tried until they are released
    #[command(
        after_help = "Examples:\n  pennypost queue hold --from spammer@example.org\n  pennypost queue hold 0BCDFGHJKLM"
    )]
    Hold(Change),
    /// Let held messages go again
    #[command(
        after_help = "Examples:\n  pennypost queue release --held\n  pennypost queue release 0BCDFGHJKLM"
    )]
    Release(Change),
    /// Forget messages; nobody is told
    #[command(
        after_help = "Examples:\n  pennypost queue delete --older 3d --from '<>' --dry-run\n  pennypost queue delete 0BCDFGHJKLM"
    )]
    Delete(Change),
    /// Give messages up, and tell their senders so; what is being delivered just now stays
    #[command(
        after_help = "Examples:\n  pennypost queue bounce --domain example.org --older 1d\n  pennypost queue bounce 0BCDFGHJKLM"
    )]
    Bounce(Change),
    Redirect(Redirect),
}

/// Deliver messages to another address
///
/// With --to or --domain only the recipients that fit are replaced. What is being delivered just now
/// stays.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  pennypost queue redirect --to bob@ --into carol@example.org\n  pennypost queue redirect 0BCDFGHJKLM --into postmaster@example.org --dry-run"
)]
struct Redirect {
    #[command(flatten)]
    change: Change,
    /// Where they go now
    #[arg(long, value_name = "ADDRESS")]
    into: Address,
}

/// Which messages: all that is given must fit.
#[derive(Debug, Args)]
struct Which {
    /// Queue ids
    #[arg(value_name = "ID")]
    ids: Vec<QueueId>,
    /// Part of the reverse-path; '<>' for bounces
    #[arg(long, value_name = "TEXT")]
    from: Option<String>,
    /// Part of a recipient's address
    #[arg(long, value_name = "TEXT")]
    to: Option<String>,
    /// The domain of a recipient
    #[arg(long, value_name = "NAME")]
    domain: Option<String>,
    /// Arrived at least so long ago: 90s, 30m, 4h, 5d
    #[arg(long, value_name = "TIME", value_parser = duration::seconds)]
    older: Option<u64>,
    /// Held ones only
    #[arg(long)]
    held: bool,
    /// What a recipient's last attempt met, with its status code: a regular expression
    #[arg(long, value_name = "REGEX")]
    reason: Option<Regex>,
    /// All messages
    #[arg(long)]
    all: bool,
}

/// List queued messages: what, why, since when, next attempt
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  pennypost queue list\n  pennypost queue list --to bob@ --json"
)]
struct List {
    #[command(flatten)]
    which: Which,
    /// One JSON object a line; times are seconds since 1970
    #[arg(long)]
    json: bool,
}

/// Show everything that is known of one message
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  pennypost queue show 0BCDFGHJKLM")]
struct Show {
    id: QueueId,
    /// As a JSON object
    #[arg(long)]
    json: bool,
}

/// Say how many messages are queued
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  pennypost queue count\n  pennypost queue count --json | jq .held"
)]
struct Count {
    /// As a JSON object, with the number of held ones
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct Change {
    #[command(flatten)]
    which: Which,
    /// Change nothing, and show the ids
    #[arg(long)]
    dry_run: bool,
    /// One JSON object for each message
    #[arg(long)]
    json: bool,
}

impl Queue {
    pub(super) fn run(self, site: &Site) -> Result<Exit, Failure> {
        let mut out = BufWriter::new(io::stdout().lock());
        let command = self.command.unwrap_or(Command::List(self.list));
        command.refuse_everything()?;
        wait(async {
            let mut queue = command.open(site).await?;
            match command {
                Command::List(list) => list.run(&mut queue, &mut out).await,
                Command::Show(show) => show.run(&mut queue, &mut out).await,
                Command::Count(count) => count.run(&mut queue, &mut out).await,
                Command::Top(top) => top.run(&mut queue, &mut out).await,
                Command::Retry(change) => change.run(&mut queue, Action::Retry, &mut out).await,
                Command::Hold(change) => {
                    change.run(&mut queue, Action::Hold { reason: None }, &mut out).await
                }
                Command::Release(change) => change.run(&mut queue, Action::Release, &mut out).await,
                Command::Delete(change) => change.run(&mut queue, Action::Delete, &mut out).await,
                Command::Bounce(change) => change.run(&mut queue, Action::Bounce, &mut out).await,
                Command::Redirect(Redirect { change, into }) => {
                    change.run(&mut queue, Action::Redirect(into), &mut out).await
                }
            }
        })?;
        out.flush()?;
        Ok(Exit::Ok)
    }
}

impl Command {
    /// What only lists does so also while the mail system does not run.
    async fn open(&self, site: &Site) -> Result<Control, Failure> {
        match self {
            Self::List(_) | Self::Show(_) | Self::Count(_) | Self::Top(_) => {
                Control::look(site).await
            }
            Self::Retry(_)
            | Self::Hold(_)
            | Self::Release(_)
            | Self::Delete(_)
            | Self::Bounce(_)
            | Self::Redirect(_) => Control::open(site, Hello::Queue).await,
        }
    }

    /// Before anybody is asked: a change that does not say of what.
    fn refuse_everything(&self) -> Result<(), Failure> {
        match self {
            Self::Retry(change)
            | Self::Hold(change)
            | Self::Release(change)
            | Self::Delete(change)
            | Self::Bounce(change)
            | Self::Redirect(Redirect { change, .. }) => {
                change.which.filter_of_change().map(|_| ())
            }
            Self::List(_) | Self::Show(_) | Self::Count(_) | Self::Top(_) => Ok(()),
        }
    }
}

impl Which {
    fn filter(&self) -> Filter {
        let Self { ids, from, to, domain, older, held, reason: _, all: _ } = self;
        Filter {
            ids: ids.clone(),
            from: from.clone(),
            to: to.clone(),
            domain: domain.clone(),
            older: *older,
            held: *held,
            ..Filter::default()
        }
    }

    /// Does the reason fit, if one is asked for?
    fn has_reason(&self, message: &Message) -> bool {
        let Some(regex) = &self.reason else { return true };
        let mut met = message.recipients.iter().filter_map(|recipient| recipient.last.as_ref());
        met.any(|status| regex.is_match(&format!("{} {}", status.code(), reason(status))))
    }

    /// What the queue is to change. Reasons are looked at here: what has one is named by its id.
    async fn filters_of_change(&self, queue: &mut Control) -> Result<Vec<Filter>, Failure> {
        let filter = self.filter_of_change()?;
        if self.reason.is_none() {
            return Ok(vec![filter]);
        }
        let mut ids = Vec::new();
        queue
            .each_message(&filter, |message| {
                ids.extend(self.has_reason(&message).then_some(message.id));
                Ok(())
            })
            .await?;
        let some = |ids: &[QueueId]| Filter { ids: ids.to_vec(), ..filter.clone() };
        Ok(ids.chunks(IDS).map(some).collect())
    }

    /// Everything is changed only when that is said.
    fn filter_of_change(&self) -> Result<Filter, Failure> {
        let filter = self.filter();
        match (filter == Filter::default() && self.reason.is_none(), self.all) {
            (true, false) => {
                let text = "say which messages (ids, --from, --to, ...), or --all for all of them";
                Err(Failure::new(Exit::Usage, text))
            }
            (false, true) => {
                Err(Failure::new(Exit::Usage, "--all does not go with ids and other filters"))
            }
            (true, true) | (false, false) => Ok(filter),
        }
    }
}

impl List {
    async fn run(&self, queue: &mut Control, out: &mut impl Write) -> Result<(), Failure> {
        let filter = self.which.filter();
        let now = crate::now();
        let mut count = 0_u64;
        let shown = queue.each_message(&filter, |message| {
            if !self.which.has_reason(&message) {
                return Ok(());
            }
            count += 1;
            if self.json {
                return Ok(json_line(&json_message(&message), out)?);
            }
            Ok(entry(&message, now, out)?)
        });
        shown.await?;
        if !self.json {
            writeln!(out, "{}", messages(count))?;
        }
        Ok(())
    }
}

/// A line for the message, and two for each recipient.
fn entry(message: &Message, now: i64, out: &mut impl Write) -> io::Result<()> {
    let from = format!("<{}>", message.reverse_path);
    let (age, due) = (age(now - message.arrival), due(message, now));
    writeln!(out, "{}  {age} old, {} bytes, from {}", message.id, message.size, printable(&from))?;
    for recipient in &message.recipients {
        let to = format!("<{}>", recipient.address);
        writeln!(out, "    to {}  {}  next: {due}", printable(&to), printable(&recipient.route))?;
        if let Some(status) = &recipient.last {
            writeln!(out, "       {} {}", status.code(), reason(status))?;
        }
    }
    Ok(())
}

impl Show {
    async fn run(&self, queue: &mut Control, out: &mut impl Write) -> Result<(), Failure> {
        let message = match queue.queue(&QueueRequest::Show(self.id)).await? {
            QueueReply::Message(message) => message,
            QueueReply::Damaged => return Err(damaged(self.id)),
            QueueReply::Messages { .. }
            | QueueReply::Count { .. }
            | QueueReply::Changed { .. }
            | QueueReply::Hosts { .. }
            | QueueReply::Forgotten(_)
            | QueueReply::Statistics(_)
            | QueueReply::Watching
            | QueueReply::News { .. }
            | QueueReply::NotAllowed
            | QueueReply::Fault(_) => return Err(misunderstood()),
        };
        let message = message.ok_or_else(|| {
            let text =
                format!("{} is not in the queue: delivered, returned or never there", self.id);
            Failure::new(Exit::NoInput, text)
        })?;
        if self.json {
            return Ok(json_line(&json_message(&message), out)?);
        }
        Ok(show(&message, &TimeZone::system(), crate::now(), out)?)
    }
}

fn damaged(id: QueueId) -> Failure {
    let text = format!(
        "{id} is damaged and set aside: a release that can read it takes it up again, \
         \"pennypost queue delete {id}\" forgets it"
    );
    Failure::new(Exit::DataErr, text)
}

impl Count {
    async fn run(&self, queue: &mut Control, out: &mut impl Write) -> Result<(), Failure> {
        Ok(self.write(queue.count().await?, out)?)
    }

    fn write(&self, count: control::Count, out: &mut impl Write) -> io::Result<()> {
        let control::Count { messages, held, damaged } = count;
        if self.json {
            let object = json!({ "messages": messages, "held": held, "damaged": damaged });
            return json_line(&object, out);
        }
        writeln!(out, "{messages}")
    }
}

impl Change {
    async fn run(
        &self,
        queue: &mut Control,
        action: Action,
        out: &mut impl Write,
    ) -> Result<(), Failure> {
        let mut count = 0;
        for filter in self.which.filters_of_change(queue).await? {
            count += self.change(queue, &action, &filter, out).await?;
        }
        if self.json {
            return Ok(());
        }
        let would = if self.dry_run { "nothing is changed; to " } else { "" };
        Ok(writeln!(out, "{would}{}: {}", name(&action), messages(count))?)
    }

    /// Says how many.
    async fn change(
        &self,
        queue: &mut Control,
        action: &Action,
        filter: &Filter,
        out: &mut impl Write,
    ) -> Result<u64, Failure> {
        let mut count = 0;
        let changed = queue.change(action, filter, self.dry_run, |id| {
            count += 1;
            if self.json {
                let object = json!({ "id": id.to_string(), "action": name(action), "dry_run": self.dry_run });
                json_line(&object, out)?;
            } else if self.dry_run {
                writeln!(out, "{id}")?;
            }
            Ok(())
        });
        changed.await?;
        Ok(count)
    }
}

const fn name(action: &Action) -> &'static str {
    match action {
        Action::Retry => "retry",
        Action::Hold { .. } => "hold",
        Action::Release => "release",
        Action::Delete => "delete",
        Action::Bounce => "bounce",
        Action::Redirect(_) => "redirect",
    }
}

fn messages(count: u64) -> String {
    if count == 1 { "1 message".to_owned() } else { format!("{count} messages") }
}

#[cfg(test)]
mod tests;
