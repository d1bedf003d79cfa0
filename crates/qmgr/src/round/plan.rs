//! Who is to be tried in this round, and where they go now.

use std::collections::HashMap;
use std::time::Duration;

use envelope::{Address, ReversePath, Status};
use ipc::delivery::{Attempt, Destination, MAX_RECIPIENTS, Outcome, Recipient};
use routing::{Route, Routed};

use super::lists::List;
use super::{Back, Round};
use crate::outcome::Ending;
use crate::priority;
use crate::record::{LastAttempt, Millis, RecipientRecord};
use crate::schedule;
use crate::store::StoreError;

/// The attempts to be made.
pub(super) struct Plan {
    pub(super) groups: Vec<Group>,
}

/// Recipients that share an attempt, at most [`MAX_RECIPIENTS`].
pub(super) struct Group {
    pub(super) destination: Destination,
    reverse_path: ReversePath,
    pub(super) recipients: Vec<OneCopy>,
}

/// One copy of the message.
pub(super) struct OneCopy {
    /// The address to be given to the agent.
    address: Address,
    /// Whom it serves, by number and by the address that led there: two names of one person bring
    /// one copy.
    serves: Vec<(u32, Address)>,
}

impl Group {
    /// Waits for the attempt.
    pub(super) async fn wait(self, endings: impl Future<Output = Vec<Ending>>) -> Vec<Back> {
        self.back(endings.await)
    }

    /// Joins the endings to the recipients, in order.
    pub(super) fn back(self, endings: Vec<Ending>) -> Vec<Back> {
        let joined = self.recipients.into_iter().zip(endings);
        let back = joined.flat_map(|(copy, ending)| {
            let serves = copy.serves.into_iter();
            serves.map(move |(number, address)| Back { number, address, ending: ending.clone() })
        });
        back.collect()
    }
}

/// Groups in the making.
#[derive(Default)]
struct Groups(HashMap<(Destination, ReversePath), Vec<OneCopy>>);

impl Round {
    /// Routes these recipients. What routing decides by itself is in `back`; lists are replaced by
    /// their members, durably.
    pub(super) async fn plan(&mut self, numbers: Vec<u32>) -> Result<Plan, StoreError> {
        let mut groups = Groups::default();
        let mut to_route = numbers;
        // Routing ends what goes round in circles or too deep, so this ends.
        while !to_route.is_empty() {
            let lists = self.route(to_route, &mut groups);
            to_route = self.expand(lists).await?;
        }
        Ok(groups.plan())
    }

    /// The recipients that were not tried since the message became due. The others had their turn
    /// in a round that was cut short, and wait as long as they would have.
    pub(super) fn open(&mut self) -> Vec<u32> {
        let due = self.message.record.due;
        let mut open = Vec::new();
        for (number, recipient) in &self.message.recipients {
            match &recipient.last {
                Some(last) if last.at >= due => {
                    let at = last.at.saturating_add(self.wait(recipient, last));
                    self.again = Some(self.again.map_or(at, |again| again.min(at)));
                }
                Some(_) | None => open.push(*number),
            }
        }
        open
    }

    fn wait(&self, recipient: &RecipientRecord, last: &LastAttempt) -> Millis {
        let age = Duration::from_millis(last.at.saturating_sub(self.message.record.arrival));
        let wait = schedule::retry_after(&self.rules.config.queue, recipient.attempts, age, 0);
        u64::try_from(wait.as_millis()).unwrap_or(u64::MAX).max(1)
    }

    /// Puts each recipient into its group, and returns the lists.
    fn route(&mut self, numbers: Vec<u32>, groups: &mut Groups) -> Vec<List> {
        let mut lists = Vec::new();
        for number in numbers {
            let Some(recipient) = self.recipient(number) else {
                continue;
            };
            let Routed { route, address, .. } = self.rules.way_of(&self.message.record, recipient);
            let destination = match route {
                Route::Remote(next_hop) => Destination::Remote(next_hop),
                Route::Local { user, detail, verbatim } => {
                    Destination::Local { user, detail, verbatim }
                }
                Route::Special(what) => Destination::Special { what, user: recipient.user() },
                Route::List { members, owner } => {
                    lists.push(List { number, address, members, owner, user: None });
                    continue;
                }
                Route::Refused(refusal) => {
                    self.over(number, address, refusal.status());
                    continue;
                }
                Route::Over(status) => {
                    self.over(number, address, status);
                    continue;
                }
            };
            groups.add((destination, recipient.reverse_path.clone()), number, address);
        }
        lists
    }

    /// Routing decides by itself.
    fn over(&mut self, number: u32, address: Address, status: Status) {
        self.log_line(number, &address, &status, "");
        let ending = Ending::Answered(Outcome::Status(status));
        self.back.push(Back { number, address, ending });
    }

    /// What the agent is asked.
    pub(super) fn request(&self, group: &Group) -> Attempt {
        let record = &self.message.record;
        let recipients = group.recipients.iter().filter_map(|OneCopy { address, serves }| {
            let (number, _) = serves.first()?;
            let recipient = self.recipient(*number)?;
            let history = self.history(recipient, address);
            let RecipientRecord { notify, orcpt, .. } = recipient;
            let recipient =
                Recipient { address: address.clone(), notify: *notify, orcpt: orcpt.clone() };
            Some((recipient, history))
        });
        let (recipients, histories) = recipients.unzip();
        Attempt {
            id: self.message.id,
            reverse_path: group.reverse_path.clone(),
            recipients,
            destination: group.destination.clone(),
            body: record.body,
            smtputf8: record.smtputf8,
            ret: record.ret,
            envid: record.envid.clone(),
            size: record.size,
            arrival: self.shared.clock.wall_seconds(record.arrival),
            watched: self.shared.reporter.is_watched(),
            priority: priority::number(&self.message),
            histories,
        }
    }
}

impl Groups {
    /// The same mailbox, or the same address elsewhere, gets one copy.
    fn add(&mut self, key: (Destination, ReversePath), number: u32, address: Address) {
        let local = !matches!(key.0, Destination::Remote(_));
        let copies = self.0.entry(key).or_default();
        match copies.iter_mut().find(|copy| local || copy.address == address) {
            Some(copy) => copy.serves.push((number, address)),
            None => {
                copies.push(OneCopy { address: address.clone(), serves: vec![(number, address)] })
            }
        }
    }

    fn plan(self) -> Plan {
        let mut groups = Vec::new();
        for ((destination, reverse_path), mut recipients) in self.0 {
            while recipients.len() > MAX_RECIPIENTS {
                let rest = recipients.split_off(MAX_RECIPIENTS);
                groups.push(Group {
                    destination: destination.clone(),
                    reverse_path: reverse_path.clone(),
                    recipients: std::mem::replace(&mut recipients, rest),
                });
            }
            groups.push(Group { destination, reverse_path, recipients });
        }
        Plan { groups }
    }
}
