//! What was acknowledged against what arrived.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, SystemTime};

use support::{Sink, System};

use super::hunter::Kill;
use super::load::body;

/// What ended so long before a kill, its outcome on the way to the disk, or begins so long after it,
/// handed over before, is counted as in flight.
const IN_FLIGHT: Duration = Duration::from_millis(100);
/// The same at most, when many processes wait for two cores and one disk.
const LATEST: Duration = Duration::from_secs(3);

/// What came of one system.
#[derive(Debug, Default)]
pub struct Account {
    pub acknowledged: usize,
    pub lost: Vec<String>,
    pub broken: Vec<String>,
    /// Arrived again without having been in flight at any kill of a process that has a part in it.
    pub unexplained: Vec<String>,
    /// Deliveries in flight at each kill, and how many of them were made again.
    pub kills: Vec<(usize, usize)>,
    /// Between such a delivery and its kill.
    pub farthest: Duration,
    /// In the queue twice: `sendmail` did not hear the 250, and left the message once more.
    pub submitted_again: usize,
}

/// A message at the next hop or in a mailbox.
struct Arrival {
    name: String,
    queue_id: String,
    whole: bool,
    way: Way,
    begun: SystemTime,
    ended: SystemTime,
}

impl Account {
    pub fn make(
        system: &System,
        sink: &Sink,
        acknowledged: &HashSet<String>,
        kills: &[Kill],
    ) -> Self {
        let arrivals = arrivals(system, sink);
        let names: HashSet<_> = arrivals.iter().map(|arrival| arrival.name.as_str()).collect();
        let lost = acknowledged.iter().filter(|name| !names.contains(name.as_str())).cloned();
        let broken = arrivals.iter().filter(|arrival| !arrival.whole);
        let near = |it: &Arrival, kill| it.distance(kill).is_some_and(|near| near <= IN_FLIGHT);
        let in_flight = |kill| arrivals.iter().filter(|it| near(it, kill)).count();
        let mut account = Self {
            acknowledged: acknowledged.len(),
            lost: lost.collect(),
            broken: broken.map(|arrival| arrival.name.clone()).collect(),
            kills: kills.iter().map(|kill| (in_flight(kill), 0)).collect(),
            ..Self::default()
        };
        let mut copies: HashMap<_, Vec<&Arrival>> = HashMap::new();
        for arrival in &arrivals {
            copies.entry(arrival.queue_id.as_str()).or_default().push(arrival);
        }
        account.submitted_again = copies.len() - names.len();
        for mut copies in copies.into_values() {
            copies.sort_by_key(|arrival| arrival.begun);
            copies.pop();
            copies.into_iter().for_each(|arrival| account.twice(arrival, kills));
        }
        account
    }

    /// A delivery that was made again.
    fn twice(&mut self, arrival: &Arrival, kills: &[Kill]) {
        let near = kills.iter().enumerate();
        let near = near.filter_map(|(place, kill)| Some((arrival.distance(kill)?, place)));
        match near.min().filter(|(distance, _)| *distance <= LATEST) {
            Some((distance, place)) => {
                self.kills[place].1 += 1;
                self.farthest = self.farthest.max(distance);
            }
            None => self.unexplained.push(arrival.name.clone()),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Relayed,
    Stored,
}

impl Arrival {
    fn new(text: &str, way: Way, begun: SystemTime, ended: SystemTime) -> Self {
        let text = text.replace("\r\n", "\n");
        let (header, content) = text.split_once("\n\n").unwrap_or((&text, ""));
        let after = |start: &str| {
            let line = header.lines().find_map(|line| line.strip_prefix(start));
            line.unwrap_or_default().trim_end_matches(';').to_owned()
        };
        let name = after("Subject: ");
        let whole = !name.is_empty() && content == body(&name);
        Self { whole, way, queue_id: after("\tid "), name, begun, ended }
    }

    /// Time between the delivery and the kill; nothing if it was under way. `None`: the victim had
    /// no part in it.
    fn distance(&self, kill: &Kill) -> Option<Duration> {
        let has_part = match kill.victim {
            "supervisor" | "qmgr" => true,
            "remote" => self.way == Way::Relayed,
            "local" | "deliver" => self.way == Way::Stored,
            _ => false,
        };
        let after = self.begun.duration_since(kill.over).unwrap_or_default();
        let before = kill.at.duration_since(self.ended).unwrap_or_default();
        has_part.then(|| after.max(before))
    }
}

fn arrivals(system: &System, sink: &Sink) -> Vec<Arrival> {
    let relayed = sink.received().into_iter();
    let relayed = relayed.map(|it| Arrival::new(&it.content, Way::Relayed, it.begun, it.ended));
    let mailbox = std::fs::read_dir(system.path("home/alice/Maildir/new")).unwrap();
    let stored = mailbox.map(|entry| {
        let entry = entry.unwrap();
        let written = entry.metadata().unwrap().modified().unwrap();
        let text = std::fs::read(entry.path()).unwrap();
        Arrival::new(&String::from_utf8_lossy(&text), Way::Stored, written, written)
    });
    relayed.chain(stored).collect()
}
