//! Hosts that are asked whether they know a recipient: each one seldom, and none for long.
//!
//! **Invariant:** what no host says is unclear.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use config::{Config, Families, Role};
use envelope::{Address, Detail, Enhanced, Heard, NextHop, Ourselves};
use net::{Inquiry, Resolver};
use policy::{Asked, InDoubt};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};

/// How long a yes is believed.
const TAKEN: Duration = Duration::from_mins(10);
/// How long a no is believed: a mailbox that was just made gets its mail soon.
const REFUSED: Duration = Duration::from_mins(1);
/// How long a host that said neither is left alone.
const UNCLEAR: Duration = Duration::from_secs(15);
/// Answers remembered; beyond it all are forgotten.
const MAX_REMEMBERED: usize = 10_000;
/// How long a host may take for one recipient.
const PATIENCE: Duration = Duration::from_secs(10);
/// The same for all recipients of one question; `smtpd` waits longer.
const PATIENCE_FOR_ALL: Duration = Duration::from_secs(20);
/// Askers at a time, of mailboxes and of next hops each.
const MAX_ASKERS: usize = 32;

/// What was heard, whatever the generation.
#[derive(Debug)]
pub(crate) struct Memory {
    recipients: Mutex<HashMap<(NextHop, Address), (Instant, Heard)>>,
    /// Hosts that did not answer.
    silent: Mutex<HashMap<NextHop, (Instant, Detail)>>,
    mailboxes: Semaphore,
    next_hops: Semaphore,
}

impl Memory {
    pub(crate) fn new() -> Self {
        let places = || Semaphore::new(MAX_ASKERS);
        let (recipients, silent) = (Mutex::default(), Mutex::default());
        Self { recipients, silent, mailboxes: places(), next_hops: places() }
    }

    fn recall(&self, asked: &Asked, now: Instant) -> Option<Heard> {
        let key = (asked.hop.clone(), asked.address.clone());
        let heard = fresh(&self.recipients, &key, now);
        heard.or_else(|| fresh(&self.silent, &asked.hop, now).map(Heard::Unclear))
    }

    fn remember(&self, asked: &Asked, heard: &Heard, now: Instant) {
        let until = now
            + match heard {
                Heard::Taken => TAKEN,
                Heard::Refused(_) => REFUSED,
                Heard::Unclear(_) => UNCLEAR,
            };
        match heard {
            Heard::Unclear(detail) if detail.remote.is_none() => {
                tracing::warn!("{} does not answer about recipients: {detail}", asked.hop);
                keep(&self.silent, asked.hop.clone(), (until, detail.clone()));
            }
            Heard::Taken | Heard::Refused(_) | Heard::Unclear(_) => {
                let key = (asked.hop.clone(), asked.address.clone());
                keep(&self.recipients, key, (until, heard.clone()));
            }
        }
    }
}

type Remembered<K, V> = Mutex<HashMap<K, (Instant, V)>>;

fn fresh<K: Hash + Eq, V: Clone>(
    remembered: &Remembered<K, V>,
    key: &K,
    now: Instant,
) -> Option<V> {
    let remembered = remembered.lock().unwrap_or_else(PoisonError::into_inner);
    let (until, value) = remembered.get(key)?;
    (now < *until).then(|| value.clone())
}

fn keep<K: Hash + Eq, V>(remembered: &Remembered<K, V>, key: K, value: (Instant, V)) {
    let mut remembered = remembered.lock().unwrap_or_else(PoisonError::into_inner);
    if remembered.len() >= MAX_REMEMBERED {
        remembered.clear();
    }
    remembered.insert(key, value);
}

/// Asks, by one configuration.
#[derive(Debug)]
pub(crate) struct Inquiries {
    memory: Arc<Memory>,
    resolver: Resolver,
    ourselves: Ourselves,
}

impl Inquiries {
    pub(crate) fn new(config: &Config, resolver: &Resolver, memory: &Arc<Memory>) -> Self {
        let families = match config.remote.families {
            Families::Ipv4 => net::Families::Ipv4,
            Families::Ipv6 => net::Families::Ipv6,
            Families::Auto => net::Families::Both,
        };
        Self {
            memory: Arc::clone(memory),
            resolver: resolver.reaching(families),
            // Whoever asked himself would ask for ever.
            ourselves: config.ourselves(&[Role::Mx, Role::Submission]),
        }
    }

    /// For the recipients of one question.
    pub(crate) fn round(&self) -> Round<'_> {
        Round {
            memory: &self.memory,
            inquiry: Inquiry::new(&self.resolver, &self.ourselves),
            end: Instant::now() + PATIENCE_FOR_ALL,
        }
    }
}

/// Asks about one recipient after another.
#[derive(Debug)]
pub(crate) struct Round<'a> {
    memory: &'a Memory,
    inquiry: Inquiry<'a>,
    end: Instant,
}

impl Round<'_> {
    /// `None`: it was not asked, as others were.
    pub(crate) async fn ask(&mut self, asked: &Asked) -> Option<Heard> {
        if let Some(heard) = self.memory.recall(asked, Instant::now()) {
            return Some(heard);
        }
        let places = match asked.in_doubt {
            InDoubt::Defer => &self.memory.mailboxes,
            InDoubt::Accept => &self.memory.next_hops,
        };
        let _place = timeout_at(self.end, places.acquire()).await.ok()?.ok()?;
        let its_end = Instant::now() + PATIENCE;
        let asking = self.inquiry.ask(&asked.hop, &asked.address);
        let heard = match timeout_at(self.end.min(its_end), asking).await {
            Ok(heard) => heard,
            // The others took the time that this one had.
            Err(_) if self.end < its_end => return None,
            Err(_) => silence("no answer in time"),
        };
        self.memory.remember(asked, &heard, Instant::now());
        Some(heard)
    }
}

fn silence(why: &str) -> Heard {
    Heard::Unclear(Detail::ours(Enhanced::NO_ANSWER, why))
}

#[cfg(test)]
mod tests {
    use envelope::Disposition;

    use super::*;

    fn asked(address: &str) -> Asked {
        let hop = NextHop::lmtp("unix:/run/x").unwrap();
        let then = Disposition::Deliver;
        Asked { hop, address: address.parse().unwrap(), in_doubt: InDoubt::Defer, then }
    }

    fn reply(code: u16) -> Detail {
        Detail::reply("x", code, Enhanced::UNDEFINED, "words")
    }

    #[test]
    fn each_answer_has_its_time() {
        let (memory, now) = (Memory::new(), Instant::now());
        let all = [
            ("taken@x", Heard::Taken, TAKEN),
            ("refused@x", Heard::Refused(reply(550)), REFUSED),
            ("unclear@x", Heard::Unclear(reply(450)), UNCLEAR),
        ];
        for (address, heard, lifetime) in all {
            let end = now + lifetime;
            memory.remember(&asked(address), &heard, now);
            let before = end - Duration::from_millis(1);
            assert_eq!(memory.recall(&asked(address), before), Some(heard));
            assert_eq!(memory.recall(&asked(address), end), None);
        }
    }

    #[test]
    fn who_does_not_answer_is_left_alone_but_what_it_said_counts() {
        let (memory, now) = (Memory::new(), Instant::now());
        memory.remember(&asked("a@x"), &Heard::Taken, now);
        let gone = silence("gone");
        memory.remember(&asked("b@x"), &gone, now);
        assert_eq!(memory.recall(&asked("c@x"), now), Some(gone));
        assert_eq!(memory.recall(&asked("a@x"), now), Some(Heard::Taken));
        assert_eq!(memory.recall(&asked("c@x"), now + UNCLEAR), None);
    }

    #[test]
    fn the_memory_is_bounded() {
        let (memory, now) = (Memory::new(), Instant::now());
        for number in 0..=MAX_REMEMBERED {
            memory.remember(&asked(&format!("{number}@x")), &Heard::Taken, now);
        }
        let last = asked(&format!("{MAX_REMEMBERED}@x"));
        assert_eq!(memory.recall(&asked("0@x"), now), None);
        assert_eq!(memory.recall(&last, now), Some(Heard::Taken));
    }
}
