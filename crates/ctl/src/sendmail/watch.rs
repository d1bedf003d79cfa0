//! `-odi`, `-v -q`, `-qf`: the first attempts at messages are waited for, and shown.
//!
//! What is waited for is in the queue already: whoever does not wait loses only the news.

use std::collections::{HashMap, HashSet};
use std::fmt::Display;
use std::io::{self, Write};
use std::time::{Duration, Instant};

use envelope::{Address, Dialogue, QueueId, Status, printable};
use ipc::admin::{Hello, News};
use tokio::runtime::Runtime;

use crate::control::Control;
use crate::listing::reason;
use crate::site::Site;
use crate::{Exit, Failure};

/// Somebody to whom the queue tells what comes of attempts.
#[derive(Debug)]
pub(super) struct Watch {
    runtime: Runtime,
    control: Control,
}

/// What is written as it comes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Show {
    /// What was said in attempts, and what came of them.
    pub(super) results: bool,
    /// What was asked of the DNS in them.
    pub(super) lookups: bool,
    /// Each line with the id of its message.
    pub(super) ids: bool,
}

/// What was seen.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// The last result of each recipient.
    results: HashMap<(QueueId, Address), Status>,
    /// Messages for which something is still under way, or of which the end was missed.
    pub(super) open: HashSet<QueueId>,
}

impl Watch {
    /// From now on everything is seen; of others' mail by administrators only.
    pub(super) fn begin(site: &Site) -> Result<Self, Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| Failure::new(Exit::Software, error.to_string()))?;
        let control = runtime.block_on(async {
            let mut control = Control::open(site, Hello::Queue).await?;
            control.watch().await?;
            Ok::<_, Failure>(control)
        })?;
        Ok(Self { runtime, control })
    }

    /// Until nothing is under way for these messages, or for as long as `patience` without news of
    /// them.
    pub(super) fn follow(
        &mut self,
        ids: impl IntoIterator<Item = QueueId>,
        patience: Duration,
        show: Show,
        out: &mut impl Write,
    ) -> Result<Seen, Failure> {
        let Self { runtime, control } = self;
        let mut seen = Seen { open: ids.into_iter().collect(), ..Seen::default() };
        let of_interest = seen.open.clone();
        let mut until = Instant::now() + patience;
        while !seen.open.is_empty() && Instant::now() < until {
            let (news, missed) = runtime.block_on(control.news())?;
            if missed {
                break;
            }
            for one in news.into_iter().filter(|one| of_interest.contains(&id(one))) {
                until = Instant::now() + patience;
                show.write(&one, out)?;
                seen.note(one);
            }
            out.flush()?;
        }
        Ok(seen)
    }
}

impl Seen {
    fn note(&mut self, news: News) {
        match news {
            News::Recipient { id, address, status, .. } => {
                self.results.insert((id, address), status);
            }
            News::Overload(id) | News::Rest(id) => drop(self.open.remove(&id)),
            // It is for whoever looks.
            News::Dialogue { .. } => {}
        }
    }

    /// Those that will never be served.
    pub(super) fn failures(&self) -> impl Iterator<Item = (&Address, &Status)> {
        let failed = |status: &Status| matches!(status, Status::Failed(_));
        let results = self.results.iter().filter(move |(_, status)| failed(status));
        results.map(|((_, address), status)| (address, status))
    }
}

impl Show {
    fn write(self, news: &News, out: &mut impl Write) -> io::Result<()> {
        match news {
            News::Dialogue { id, dialogue } => {
                let wanted = |line: &&str| match line.starts_with(Dialogue::LOOKUP) {
                    true => self.lookups,
                    false => self.results,
                };
                let mut lines = dialogue.lines().filter(wanted);
                lines.try_for_each(|line| self.line(*id, &printable(line), out))
            }
            News::Recipient { id, address, status, .. } if self.results => {
                self.line(*id, &line(address, status), out)
            }
            News::Overload(id) if self.results => {
                self.line(*id, &"queued: load average too high", out)
            }
            News::Recipient { .. } | News::Overload(_) | News::Rest(_) => Ok(()),
        }
    }

    fn line(self, id: QueueId, line: &dyn Display, out: &mut impl Write) -> io::Result<()> {
        match self.ids {
            true => writeln!(out, "{id}: {line}"),
            false => writeln!(out, "{line}"),
        }
    }
}

/// `bob@example.net... Sent (mx.example.net: 250 2.0.0 Ok)`, in the words of sendmail's `-v`.
pub(super) fn line(address: &Address, status: &Status) -> String {
    let (address, reason) = (address.to_string(), reason(status));
    let address = printable(&address);
    match status {
        Status::Delivered(_) => format!("{address}... Sent ({reason})"),
        Status::Deferred(_) => format!("{address}... Deferred: {reason}"),
        Status::Failed(_) => format!("{address}... {reason}"),
    }
}

const fn id(news: &News) -> QueueId {
    match news {
        News::Dialogue { id, .. }
        | News::Recipient { id, .. }
        | News::Overload(id)
        | News::Rest(id) => *id,
    }
}

#[cfg(test)]
mod tests {
    use envelope::{Detail, Enhanced};

    use super::*;

    #[test]
    fn results_are_told_in_the_words_of_sendmail() {
        let (id, other) = (QueueId::new(1).unwrap(), QueueId::new(2).unwrap());
        let address: Address = "bob@x.test".parse().unwrap();
        let reply = |code, text: &str| Detail::reply("mx.x.test", code, Enhanced(1, 1), text);
        let statuses = [
            Status::Deferred(Detail::ours(Enhanced::NO_ANSWER, "Connection refused")),
            Status::Delivered(reply(250, "2.0.0 Ok")),
            Status::Failed(reply(550, "5.1.1 who?\u{7}")),
        ];
        let mut seen = Seen { open: HashSet::from([id, other]), ..Seen::default() };
        let mut out = Vec::new();
        let said = "dns: x.test MX? no such record\u{7}\n>>> RCPT TO:<bob@x.test>\n\
                    550 5.1.1 who?\u{1b}[2J\n";
        let said = News::Dialogue { id, dialogue: Dialogue::from(said.to_owned()) };
        let nothing = Show { results: false, lookups: false, ids: true };
        let results = Show { results: true, ..nothing };
        results.write(&said, &mut out).unwrap();
        nothing.write(&said, &mut out).unwrap();
        let mut asked = Vec::new();
        let lookups = Show { lookups: true, ids: false, ..nothing };
        lookups.write(&said, &mut asked).unwrap();
        assert_eq!(String::from_utf8(asked).unwrap(), "dns: x.test MX? no such record\\u{7}\n");
        let mut all = Vec::new();
        Show { lookups: true, ..results }.write(&said, &mut all).unwrap();
        assert_eq!(String::from_utf8(all).unwrap().lines().count(), 3);
        seen.note(said);
        for status in statuses {
            let address = address.clone();
            let news = News::Recipient { id, address, status, again: None };
            results.write(&news, &mut out).unwrap();
            nothing.write(&news, &mut out).unwrap();
            seen.note(news);
        }
        seen.note(News::Rest(id));
        let expected = format!(
            "{id}: >>> RCPT TO:<bob@x.test>\n\
             {id}: 550 5.1.1 who?\\u{{1b}}[2J\n\
             {id}: bob@x.test... Deferred: Connection refused\n\
             {id}: bob@x.test... Sent (mx.x.test: 250 2.0.0 Ok)\n\
             {id}: bob@x.test... mx.x.test: 550 5.1.1 who?\\u{{7}}\n"
        );
        assert_eq!(String::from_utf8(out).unwrap(), expected);
        assert_eq!(seen.failures().count(), 1, "the last result counts");
        assert_eq!(seen.open, HashSet::from([other]));
    }
}
