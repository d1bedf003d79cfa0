//! What was acknowledged against what arrived.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, SystemTime};

use support::{Sink, System};

use super::hunter::Kill;
use super::load::body;

/// How long after its end a delivery may still be in flight: its outcome is to be told and made
/// durable, on a machine that is busy and with executables that are slow.
const COMMIT: Duration = Duration::from_millis(500);
/// How long after a kill a delivery may begin that was under way before: it was on its way to the
/// agent.
const HANDED_OVER: Duration = Duration::from_secs(1);

/// What came of one system.
#[derive(Debug, Default)]
pub struct Account {
    pub acknowledged: usize,
    pub lost: Vec<String>,
    pub broken: Vec<String>,
    /// Arrived again without having been in flight at a kill.
    pub unexplained: Vec<String>,
    /// Deliveries in flight at each kill, and how many of them were made again.
    pub kills: Vec<(usize, usize)>,
    /// In the queue twice: `sendmail` did not hear the 250, and left the message once more.
    pub submitted_again: usize,
}

/// A message at the next hop or in a mailbox.
struct Arrival {
    name: String,
    queue_id: String,
    whole: bool,
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
        let in_flight = |kill| arrivals.iter().filter(|it| it.is_in_flight_at(kill)).count();
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
        match kills.iter().rposition(|kill| arrival.is_in_flight_at(kill)) {
            Some(place) => self.kills[place].1 += 1,
            None => self.unexplained.push(arrival.name.clone()),
        }
    }
}

impl Arrival {
    fn new(text: &str, begun: SystemTime, ended: SystemTime) -> Self {
        let text = text.replace("\r\n", "\n");
        let (header, content) = text.split_once("\n\n").unwrap_or((&text, ""));
        let after = |start: &str| {
            let line = header.lines().find_map(|line| line.strip_prefix(start));
            line.unwrap_or_default().trim_end_matches(';').to_owned()
        };
        let name = after("Subject: ");
        let whole = !name.is_empty() && content == body(&name);
        Self { whole, queue_id: after("\tid "), name, begun, ended }
    }

    fn is_in_flight_at(&self, kill: &Kill) -> bool {
        self.begun <= kill.over + HANDED_OVER && kill.at <= self.ended + COMMIT
    }
}

fn arrivals(system: &System, sink: &Sink) -> Vec<Arrival> {
    let relayed = sink.received().into_iter();
    let relayed = relayed.map(|it| Arrival::new(&it.content, it.begun, it.ended));
    let mailbox = std::fs::read_dir(system.path("home/alice/Maildir/new")).unwrap();
    let stored = mailbox.map(|entry| {
        let entry = entry.unwrap();
        let written = entry.metadata().unwrap().modified().unwrap();
        let text = std::fs::read(entry.path()).unwrap();
        Arrival::new(&String::from_utf8_lossy(&text), written, written)
    });
    relayed.chain(stored).collect()
}
