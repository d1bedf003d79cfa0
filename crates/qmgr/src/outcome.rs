//! What follows from the end of an attempt: the one place that decides on retry and bounce.
//!
//! **Invariant:** pure. Any doubt is a retry; a fault of ours never ends a recipient, and does not
//! count as an attempt.

use std::time::Duration;

use config::Queue;
use envelope::{Detail, Enhanced, Notify, Status};
use ipc::delivery::Outcome;
use message::Action;

use crate::hops::Alone;
use crate::record::Millis;
use crate::schedule;

/// How the attempt at one recipient ended.
#[derive(Debug, Clone)]
pub enum Ending {
    /// The agent answered, or routing did in its stead.
    Answered(Outcome),
    /// Other attempts had just found the next hop dead. It counts as an attempt: the host had its
    /// chance.
    Alone(Alone),
    /// To several addresses, by an alias; they take its place.
    Expanded(Status),
    /// A fault of ours: the agent is gone, or the content cannot be read. And why.
    Fault(String),
}

/// What is known of the recipient and its message when the attempt ends.
#[derive(Debug, Clone, Copy)]
pub struct Circumstances<'a> {
    pub queue: &'a Queue,
    pub now: Millis,
    pub arrival: Millis,
    /// The reverse-path is null.
    pub bounce: bool,
    pub notify: Notify,
    /// Finished attempts before this one.
    pub attempts: u32,
    /// The reverse-path has been told of the delay.
    pub warned: bool,
    pub random: u8,
}

/// What follows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// The recipient is served or given up; `tell`: the reverse-path wants to know.
    Over { status: Status, tell: Option<Action> },
    /// It is tried again.
    Again {
        status: Status,
        due: Millis,
        /// Finished attempts, this one included if it was one.
        attempts: u32,
        /// The reverse-path is now to be told of the delay.
        warn: bool,
    },
}

impl Circumstances<'_> {
    /// Decides.
    #[must_use]
    pub fn fate(&self, ending: Ending) -> Fate {
        match ending {
            Ending::Answered(Outcome::Status(status)) => self.answered(status, Tell::Us),
            Ending::Answered(Outcome::Relayed(status)) => self.answered(status, Tell::NextHop),
            // Whoever is named takes its place before anything is decided.
            Ending::Answered(Outcome::Expanded(_)) => {
                self.faulted("an agent named others, who did not take its place".to_owned())
            }
            // All wait for the one host, whose own time is spread: theirs need not be.
            Ending::Alone(Alone { until, detail }) => {
                Circumstances { random: 0, ..*self }.deferred(detail, until)
            }
            Ending::Expanded(status) => self.served(status, Some(Action::Expanded)),
            Ending::Fault(why) => self.faulted(why),
        }
    }

    fn answered(&self, status: Status, tell: Tell) -> Fate {
        match status {
            Status::Deferred(detail) if is_fault(&detail) => self.faulted(detail.text),
            Status::Deferred(detail) => self.deferred(detail, 0),
            Status::Failed(detail) => self.failed(detail),
            Status::Delivered(ref detail) => {
                let ours =
                    if detail.remote.is_some() { Action::Relayed } else { Action::Delivered };
                self.served(status, (tell == Tell::Us).then_some(ours))
            }
        }
    }

    fn served(&self, status: Status, action: Option<Action>) -> Fate {
        Fate::Over { status, tell: action.filter(|_| self.notify.success && !self.bounce) }
    }

    fn failed(&self, detail: Detail) -> Fate {
        let tell = self.notify.failure.then_some(Action::Failed);
        Fate::Over { status: Status::Failed(detail), tell }
    }

    fn deferred(&self, detail: Detail, not_before: Millis) -> Fate {
        let attempts = self.attempts.saturating_add(1);
        if schedule::is_expired(self.queue, self.bounce, self.age(), attempts) {
            // RFC 3463 §3.5: X.4.7, with the last reply as it came.
            return self.failed(Detail { enhanced: Enhanced::EXPIRED, ..detail });
        }
        let wait = schedule::retry_after(self.queue, attempts, self.age(), self.random);
        let due = self.after(wait).max(not_before);
        self.again(Status::Deferred(detail), due, attempts)
    }

    fn faulted(&self, why: String) -> Fate {
        let wait = schedule::fault_after(self.queue, self.age(), self.random);
        self.again(Status::fault(why), self.after(wait), self.attempts)
    }

    fn again(&self, status: Status, due: u64, attempts: u32) -> Fate {
        let wanted = self.notify.delay && !self.bounce && !self.warned;
        let warn = wanted && schedule::is_delayed(self.queue, self.age());
        Fate::Again { status, due, attempts, warn }
    }

    fn age(&self) -> Duration {
        Duration::from_millis(self.now.saturating_sub(self.arrival))
    }

    /// Later than now, so that an attempt always lies before the next due time.
    fn after(&self, wait: Duration) -> Millis {
        let millis = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        self.now.saturating_add(millis.max(1))
    }
}

/// Who tells the reverse-path of success.
#[derive(PartialEq, Eq)]
enum Tell {
    Us,
    /// RFC 3461 §5.2.2: it was given NOTIFY.
    NextHop,
}

/// 4.3.0 in our own words. (5.3.0 is what the exit code of a command says.)
fn is_fault(detail: &Detail) -> bool {
    detail.enhanced == Enhanced::SYSTEM && detail.remote.is_none()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use config::Queue;
    use envelope::{Detail, Enhanced, Notify, Status};
    use ipc::delivery::Outcome;
    use message::Action;
    use proptest::prelude::*;

    use super::{Circumstances, Ending, Fate};
    use crate::hops::Alone;

    const NOW: u64 = 1_790_000_000_000;
    const DAY: u64 = 86_400_000;

    fn queue() -> Queue {
        let hours = |hours: u64| Duration::from_secs(3600 * hours);
        Queue {
            lifetime: hours(120),
            bounce_lifetime: hours(24),
            delay_warning: Some(hours(4)),
            first_retry: Duration::from_secs(300),
            max_retry: hours(4),
            min_free_space: 0,
            host_status: Duration::from_secs(1800),
            queue_only_load: 1000.0,
            refuse_load: 1000.0,
        }
    }

    fn fresh(queue: &Queue) -> Circumstances<'_> {
        Circumstances {
            queue,
            now: NOW,
            arrival: NOW,
            bounce: false,
            notify: Notify::DEFAULT,
            attempts: 0,
            warned: false,
            random: 0,
        }
    }

    fn detail() -> Detail {
        Detail::reply("mx.test", 451, Enhanced::UNDEFINED, "later")
    }

    fn deferred() -> Ending {
        Ending::Answered(Outcome::Status(Status::Deferred(detail())))
    }

    fn failed() -> Ending {
        Ending::Answered(Outcome::Status(Status::Failed(detail())))
    }

    fn delivered() -> Ending {
        Ending::Answered(Outcome::Status(Status::Delivered(detail())))
    }

    fn told(fate: Fate) -> Option<Action> {
        match fate {
            Fate::Over { tell, .. } => tell,
            Fate::Again { .. } => panic!("not over: {fate:?}"),
        }
    }

    #[test]
    fn notify_decides_who_hears() {
        let queue = queue();
        let wishes = |notify| Circumstances { notify, ..fresh(&queue) };
        let success = Notify { success: true, ..Notify::NEVER };
        assert_eq!(told(wishes(Notify::DEFAULT).fate(failed())), Some(Action::Failed));
        assert_eq!(told(wishes(Notify::NEVER).fate(failed())), None);
        assert_eq!(told(wishes(success).fate(failed())), None);
        assert_eq!(told(wishes(Notify::DEFAULT).fate(delivered())), None);
        assert_eq!(told(wishes(success).fate(delivered())), Some(Action::Relayed));
        let relayed = Ending::Answered(Outcome::Relayed(Status::Delivered(detail())));
        assert_eq!(told(wishes(success).fate(relayed)), None);
        let local = Status::Delivered(Detail::ours(Enhanced::UNDEFINED, "Sent"));
        let local = Ending::Answered(Outcome::Status(local));
        assert_eq!(told(wishes(success).fate(local)), Some(Action::Delivered));
    }

    #[test]
    fn a_bounce_never_reports_success_or_delay() {
        let queue = queue();
        let notify = Notify { success: true, ..Notify::DEFAULT };
        let old = NOW - DAY / 2;
        let bounce = Circumstances { bounce: true, notify, arrival: old, ..fresh(&queue) };
        assert_eq!(told(bounce.fate(delivered())), None);
        assert!(matches!(bounce.fate(deferred()), Fate::Again { warn: false, .. }));
    }

    #[test]
    fn the_delay_is_told_once() {
        let queue = queue();
        let old = Circumstances { arrival: NOW - DAY, ..fresh(&queue) };
        assert!(matches!(old.fate(deferred()), Fate::Again { warn: true, .. }));
        let warned = Circumstances { warned: true, ..old };
        assert!(matches!(warned.fate(deferred()), Fate::Again { warn: false, .. }));
        let unwanted = Circumstances { notify: Notify::NEVER, ..old };
        assert!(matches!(unwanted.fate(deferred()), Fate::Again { warn: false, .. }));
    }

    #[test]
    fn expiry_keeps_the_last_reply() {
        let queue = queue();
        let old = Circumstances { arrival: NOW - 6 * DAY, attempts: 2, ..fresh(&queue) };
        let status = Status::Failed(Detail { enhanced: Enhanced::EXPIRED, ..detail() });
        let tell = Some(Action::Failed);
        assert_eq!(old.fate(deferred()), Fate::Over { status, tell });
        let young = Circumstances { attempts: 1, ..old };
        assert!(matches!(young.fate(deferred()), Fate::Again { attempts: 2, .. }));
    }

    #[test]
    fn what_a_command_calls_hopeless_is_over() {
        let queue = queue();
        let status = Status::Failed(Detail::ours(Enhanced::SYSTEM, "unknown mailer error"));
        let ending = Ending::Answered(Outcome::Status(status));
        assert_eq!(told(fresh(&queue).fate(ending)), Some(Action::Failed));
    }

    #[test]
    fn a_dead_host_is_waited_for() {
        let queue = queue();
        let alone = Alone { until: NOW + DAY, detail: detail() };
        let fate = fresh(&queue).fate(Ending::Alone(alone));
        assert!(matches!(fate, Fate::Again { due, attempts: 1, .. } if due == NOW + DAY));
    }

    proptest! {
        #[test]
        fn a_fault_never_ends_a_recipient(age in 0..1000 * DAY, attempts: u32, random: u8) {
            let queue = queue();
            let arrival = NOW - age.min(NOW);
            let circumstances = Circumstances { arrival, attempts, random, ..fresh(&queue) };
            let ending = if random % 2 == 0 {
                Ending::Fault("gone".into())
            } else {
                Ending::Answered(Outcome::Status(Status::fault("gone")))
            };
            let fate = circumstances.fate(ending);
            let Fate::Again { due, attempts: after, status, .. } = fate else {
                return Err(TestCaseError::fail("a fault ended a recipient"));
            };
            prop_assert!(due > NOW && after == attempts);
            prop_assert_eq!(status.code(), "4.3.0");
        }
    }
}
