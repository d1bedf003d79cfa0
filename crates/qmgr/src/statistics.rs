//! What went through, counted for `mailstats`, by the numbers that sendmail gives its mailers.
//!
//! It costs no commit of its own: what was counted is saved with the clock, every few minutes and at
//! the end. After a crash the last minutes are missing.

use std::sync::{Mutex, MutexGuard, PoisonError};

use envelope::{Origin, Special, Status};
use ipc::Arrow;
use ipc::admin::{MAILERS, Statistics, Traffic};
use ipc::delivery::Destination;
use ipc::submission::Tally;

use crate::store::{Meta, Store, StoreError};

/// Who brings or takes mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mailer {
    Prog = 0,
    File = 1,
    Include = 2,
    /// People and programs of this machine.
    Local = 3,
    /// Other machines.
    Esmtp = 5,
}

/// What is counted.
#[derive(Debug)]
pub struct Counters(Mutex<Statistics>);

impl Mailer {
    /// Who takes mail for this destination.
    #[must_use]
    pub const fn of(destination: &Destination) -> Self {
        match destination {
            Destination::Remote(_) => Self::Esmtp,
            Destination::Special { what: Special::Program(_), .. } => Self::Prog,
            Destination::Special { what: Special::File(_), .. } => Self::File,
            Destination::Special { what: Special::Include(_), .. } => Self::Include,
            Destination::Special { what: Special::CatchAll, .. } | Destination::Local { .. } => {
                Self::Local
            }
        }
    }

    /// Who brings mail that came from there.
    #[must_use]
    pub const fn of_origin(origin: &Origin) -> Self {
        match origin {
            Origin::Client { .. } => Self::Esmtp,
            Origin::User { .. } | Origin::Ourselves => Self::Local,
        }
    }
}

impl Counters {
    /// What the store remembers. `now`: seconds since 1970.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn read(store: &Store, now: i64) -> Result<Self, StoreError> {
        let mut statistics = Statistics { since: now, ..Statistics::default() };
        for (key, field) in (0..).zip(fields(&mut statistics)) {
            if let Some(value) = store.meta(Meta::Counter(key)).await? {
                *field = value;
            }
        }
        let since = store.meta(Meta::CountedSince).await?.map(u64::cast_signed);
        statistics.since = since.unwrap_or(now);
        Ok(Self(Mutex::new(statistics)))
    }

    /// All of it, to be saved.
    #[must_use]
    pub fn saved(&self) -> Vec<(Meta, u64)> {
        let mut statistics = self.now();
        let since = (Meta::CountedSince, statistics.since.cast_unsigned());
        let counters =
            (0..).zip(fields(&mut statistics)).map(|(key, value)| (Meta::Counter(key), *value));
        std::iter::once(since).chain(counters).collect()
    }

    /// What was counted so far.
    #[must_use]
    pub fn now(&self) -> Statistics {
        self.lock().clone()
    }

    /// Begins anew, and returns what was counted.
    #[must_use]
    pub fn reset(&self, now: i64) -> Statistics {
        let fresh = Statistics { since: now, ..Statistics::default() };
        std::mem::replace(&mut self.lock(), fresh)
    }

    /// A message of so many bytes was queued.
    pub fn arrived(&self, from: Mailer, size: u64, held: bool) {
        self.count(from, |traffic| {
            traffic.messages_from += 1;
            traffic.kilobytes_from += kilobytes(size);
            traffic.quarantined += u64::from(held);
        });
    }

    /// What `smtpd` counted. Its two roles stand for other machines and for people of this one; who
    /// sends through submission with a password counts as one of these.
    pub fn told(&self, arrow: Arrow, Tally { connections, refused, discarded }: Tally) {
        let mailer = if arrow == Arrow::SubmissionToQmgr { Mailer::Local } else { Mailer::Esmtp };
        self.count(mailer, |traffic| {
            traffic.rejected = traffic.rejected.saturating_add(refused);
            traffic.discarded = traffic.discarded.saturating_add(discarded);
        });
        let mut statistics = self.lock();
        statistics.connections_from = statistics.connections_from.saturating_add(connections);
        statistics.refused = statistics.refused.saturating_add(refused);
    }

    /// Recipients of a message of so many bytes were answered.
    pub fn attempted<'a>(
        &self,
        destination: &Destination,
        size: u64,
        statuses: impl Iterator<Item = &'a Status>,
    ) {
        let delivered = statuses.filter(|status| matches!(status, Status::Delivered(_))).count();
        let delivered = delivered as u64;
        self.count(Mailer::of(destination), |traffic| {
            traffic.messages_to += delivered;
            traffic.kilobytes_to += delivered * kilobytes(size);
        });
        self.lock().connections_to += u64::from(matches!(destination, Destination::Remote(_)));
    }

    fn count(&self, mailer: Mailer, count: impl FnOnce(&mut Traffic)) {
        if let Some(traffic) = self.lock().mailers.get_mut(mailer as usize) {
            count(traffic);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Statistics> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Every counter, always in this order: it is how they are stored.
fn fields(statistics: &mut Statistics) -> impl Iterator<Item = &mut u64> {
    let Statistics { since: _, mailers, connections_from, connections_to, refused } = statistics;
    [connections_from, connections_to, refused].into_iter().chain(mailers.iter_mut().flat_map(
        |Traffic {
             messages_from,
             kilobytes_from,
             messages_to,
             kilobytes_to,
             rejected,
             discarded,
             quarantined,
         }| {
            [
                messages_from,
                kilobytes_from,
                messages_to,
                kilobytes_to,
                rejected,
                discarded,
                quarantined,
            ]
        },
    ))
}

/// Counters that are stored.
const COUNTERS: usize = 3 + 7 * MAILERS;
const _: () = assert!(COUNTERS <= Meta::COUNTERS as usize);

/// As sendmail rounds (stats.c).
const fn kilobytes(bytes: u64) -> u64 {
    bytes.div_ceil(1000)
}

#[cfg(test)]
mod tests {
    use envelope::{Detail, Enhanced, NextHop};

    use super::*;

    #[test]
    fn by_mailer_with_kilobytes_rounded_up() {
        let counters = Counters(Mutex::default());
        counters.arrived(Mailer::Esmtp, 1001, false);
        counters.arrived(Mailer::Local, 1, true);
        let detail = || Detail::ours(Enhanced::UNDEFINED, "");
        let statuses = [
            Status::Delivered(detail()),
            Status::Delivered(detail()),
            Status::Deferred(detail()),
            Status::Failed(detail()),
        ];
        let away = Destination::Remote(NextHop::parse("example.net").unwrap());
        counters.attempted(&away, 1000, statuses.iter());
        let here = Destination::Local { user: "bob".to_owned(), detail: None, verbatim: false };
        counters.attempted(&here, 1000, statuses[..1].iter());
        counters.told(Arrow::MxToQmgr, Tally { connections: 4, refused: 2, discarded: 0 });
        counters.told(Arrow::SubmissionToQmgr, Tally { connections: 1, refused: 1, discarded: 0 });
        let now = counters.now();
        let expected = [
            (
                3,
                Traffic {
                    messages_from: 1,
                    kilobytes_from: 1,
                    messages_to: 1,
                    kilobytes_to: 1,
                    rejected: 1,
                    quarantined: 1,
                    ..Traffic::default()
                },
            ),
            (
                5,
                Traffic {
                    messages_from: 1,
                    kilobytes_from: 2,
                    messages_to: 2,
                    kilobytes_to: 2,
                    rejected: 2,
                    ..Traffic::default()
                },
            ),
        ];
        for (number, traffic) in expected {
            assert_eq!(now.mailers[number], traffic, "{number}");
        }
        assert_eq!((now.connections_from, now.connections_to, now.refused), (5, 1, 3));
        assert_eq!(counters.saved().len(), 1 + COUNTERS);
        assert_eq!(counters.reset(7), now);
        assert_eq!(counters.now(), Statistics { since: 7, ..Statistics::default() });
    }

    #[test]
    fn every_counter_has_its_own_place() {
        let mut statistics = Statistics::default();
        let mut count = 0;
        for field in fields(&mut statistics) {
            assert_eq!(*field, 0);
            count += 1;
            *field = count;
        }
        assert_eq!(usize::try_from(count), Ok(COUNTERS));
    }
}
