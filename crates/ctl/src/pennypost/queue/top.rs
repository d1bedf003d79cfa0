//! `pennypost queue top`: what the queue consists of, counted.

use std::collections::HashMap;
use std::io::{self, Write};

use clap::{Args, ValueEnum};
use envelope::printable;
use ipc::admin::{Message, Recipient};
use serde_json::json;

use super::Which;
use crate::Failure;
use crate::control::Control;
use crate::listing::{Table, json_line, reason};

/// Count what is queued by domain, address, reason, route or age
///
/// Recipients are counted, and messages beside them: to-domain, to, reason and route belong to a
/// recipient, the others to a message.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  pennypost queue top                          by the domain of the recipients
  pennypost queue top --by from-domain --asc   the largest at the end, near the prompt
  pennypost queue top --by reason --limit 5
  pennypost queue top --by age --domain example.org")]
pub(super) struct Top {
    #[command(flatten)]
    which: Which,
    /// What to count by
    #[arg(long, value_enum, default_value_t = By::ToDomain)]
    by: By,
    /// The smallest count first
    #[arg(long)]
    asc: bool,
    /// Only the N largest counts
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum By {
    FromDomain,
    From,
    ToDomain,
    To,
    Reason,
    Route,
    /// Time since arrival, in buckets that double
    Age,
}

/// So many of something.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Count {
    messages: u64,
    recipients: u64,
}

/// Counts by what they are of; those that count by age come in its order.
#[derive(Debug, Default)]
struct Counts(HashMap<(u32, String), Count>);

impl Top {
    pub(super) async fn run(
        &self,
        queue: &mut Control,
        out: &mut impl Write,
    ) -> Result<(), Failure> {
        let mut counts = Counts::default();
        let now = crate::now();
        queue
            .each_message(&self.which.filter(), |message| {
                if self.which.has_reason(&message) {
                    counts.add(self.by, &message, now);
                }
                Ok(())
            })
            .await?;
        Ok(self.write(counts, out)?)
    }

    fn write(&self, counts: Counts, out: &mut impl Write) -> io::Result<()> {
        let rows = counts.sorted(self.by, self.asc, self.limit);
        if self.json {
            return rows.iter().try_for_each(|(name, count)| {
                let Count { messages, recipients } = count;
                let object =
                    json!({ "name": name, "recipients": recipients, "messages": messages });
                json_line(&object, out)
            });
        }
        let mut table = Table::new(["RECIPIENTS", "MESSAGES", self.by.heading()]);
        for (name, Count { messages, recipients }) in rows {
            table.row([recipients.to_string(), messages.to_string(), name]);
        }
        table.write(out)
    }
}

impl Counts {
    fn add(&mut self, by: By, message: &Message, now: i64) {
        let mut named: HashMap<(u32, String), u64> = HashMap::new();
        for recipient in &message.recipients {
            *named.entry(by.name(message, recipient, now)).or_default() += 1;
        }
        for (name, recipients) in named {
            let count = self.0.entry(name).or_default();
            count.messages += 1;
            count.recipients += recipients;
        }
    }

    fn sorted(self, by: By, asc: bool, limit: Option<usize>) -> Vec<(String, Count)> {
        let mut rows: Vec<_> = self.0.into_iter().collect();
        rows.sort_by(|((place, name), count), ((other_place, other_name), other)| {
            let larger = other.recipients.cmp(&count.recipients);
            let first = if by == By::Age { place.cmp(other_place) } else { larger };
            first.then_with(|| name.cmp(other_name))
        });
        rows.truncate(limit.unwrap_or(usize::MAX));
        if asc {
            rows.reverse();
        }
        rows.into_iter().map(|((_, name), count)| (name, count)).collect()
    }
}

impl By {
    const fn heading(self) -> &'static str {
        match self {
            Self::FromDomain => "FROM DOMAIN",
            Self::From => "FROM",
            Self::ToDomain => "TO DOMAIN",
            Self::To => "TO",
            Self::Reason => "REASON",
            Self::Route => "ROUTE",
            Self::Age => "AGE",
        }
    }

    /// Its place where the order is not by count, and its name.
    fn name(self, message: &Message, recipient: &Recipient, now: i64) -> (u32, String) {
        let from = message.reverse_path.0.as_ref();
        let name = match self {
            Self::FromDomain => from.map_or("<>".to_owned(), |from| from.domain().to_lowercase()),
            Self::From => format!("<{}>", message.reverse_path),
            Self::ToDomain => recipient.address.domain().to_lowercase(),
            Self::To => format!("<{}>", recipient.address),
            Self::Reason => {
                let last = recipient.last.as_ref();
                last.map_or("not tried yet".to_owned(), |last| {
                    format!("{} {}", last.code(), reason(last))
                })
            }
            Self::Route => recipient.route.clone(),
            Self::Age => return age(now - message.arrival),
        };
        (0, printable(&name).to_string())
    }
}

/// In which of qshape(1)'s buckets: up to 5 minutes, 10, 20, … 1280, and beyond.
fn age(seconds: i64) -> (u32, String) {
    const BUCKETS: u32 = 9;
    let bucket = (0..BUCKETS).find(|bucket| seconds <= 300 << bucket);
    match bucket {
        Some(bucket) => (bucket, format!("up to {} min", 5 << bucket)),
        None => (BUCKETS, format!("over {} min", 5 << (BUCKETS - 1))),
    }
}

#[cfg(test)]
mod tests {
    use envelope::{Detail, Enhanced, QueueId, ReversePath, Status};
    use ipc::admin::State;

    use super::*;

    const NOW: i64 = 1_795_235_900;

    fn message(number: u64, from: &str, to: &[&str], age: i64) -> Message {
        let busy = Detail::reply("mx.example.net", 421, Enhanced(3, 2), "busy \u{1b}");
        let recipient = |to: &&str| Recipient {
            address: to.parse().unwrap(),
            attempts: 1,
            last: to.ends_with("net").then(|| Status::Deferred(busy.clone())),
            last_time: None,
            route: "remote".to_owned(),
        };
        Message {
            id: QueueId::new(number).unwrap(),
            reverse_path: ReversePath((!from.is_empty()).then(|| from.parse().unwrap())),
            arrival: NOW - age,
            size: 1,
            eight_bit: false,
            next_attempt: None,
            state: State::Waiting,
            priority: 30_001,
            quarantine: None,
            origin: String::new(),
            recipients: to.iter().map(recipient).collect(),
        }
    }

    /// Of the first so many messages.
    fn shown_of(most: usize, line: &str) -> String {
        #[derive(clap::Parser)]
        struct Line {
            #[command(flatten)]
            top: Top,
        }
        let words = std::iter::once("top").chain(line.split(' ').filter(|word| !word.is_empty()));
        let Line { top } = clap::Parser::try_parse_from(words).unwrap();
        let messages = [
            message(1, "a@one.example", &["x@B.net", "y@b.net", "z@c.org"], 300),
            message(2, "b@one.example", &["x@b.net"], 301),
            message(3, "", &["z@c.org"], 900_000),
            message(4, "d\u{f6}rte@b\u{fc}cher.example", &["b\u{fc}ro@b\u{fc}cher.example"], 0),
        ];
        let mut counts = Counts::default();
        messages.iter().take(most).for_each(|message| counts.add(top.by, message, NOW));
        let mut out = Vec::new();
        top.write(counts, &mut out).unwrap();
        format!("{line}\n{}", String::from_utf8(out).unwrap())
    }

    #[test]
    fn counts_by_everything() {
        let lines = [
            "",
            "--by to --asc",
            "--by from-domain",
            "--by from --limit 1",
            "--by reason",
            "--by route",
            "--by age",
            "--json",
        ];
        insta::assert_snapshot!(lines.map(|line| shown_of(4, line)).join("\n"));
        insta::assert_snapshot!("none_and_one", [shown_of(0, ""), shown_of(1, "")].join("\n"));
    }
}
