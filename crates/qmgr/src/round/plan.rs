//! Who is to be tried in this round, and where they go now.

use std::collections::{HashMap, HashSet};

use envelope::{Address, Detail, Enhanced, Notify, ReversePath, Status};
use ipc::delivery::{Attempt, Destination, MAX_RECIPIENTS, Outcome, Recipient};
use routing::{Member, Route, Routed};

use super::{Back, Round};
use crate::outcome::Ending;
use crate::record::{Millis, RecipientRecord};
use crate::schedule;
use crate::store::StoreError;

/// Recipients of one message after expansion.
const MAX_EXPANDED: usize = 10_000;

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

/// A recipient that stands for several.
struct List {
    number: u32,
    /// The alias that names them, last on the way from the recipient's address.
    address: Address,
    members: Vec<Member>,
    /// Who is told of failures of the members.
    owner: Option<Address>,
}

/// Groups in the making.
#[derive(Default)]
struct Groups(HashMap<(Destination, ReversePath), Vec<OneCopy>>);

impl Round {
    /// Routes the recipients that have not had their turn. What routing decides by itself is in
    /// `back`; lists are replaced by their members, durably.
    pub(super) async fn plan(&mut self) -> Result<Plan, StoreError> {
        let mut groups = Groups::default();
        let mut to_route = self.open();
        // Routing ends what goes round in circles or too deep, so this ends.
        while !to_route.is_empty() {
            let lists = self.route(to_route, &mut groups);
            to_route = self.expand(lists).await?;
        }
        Ok(groups.plan())
    }

    /// The recipients that were not tried since the message became due. The others had their turn
    /// in a round that was cut short, and wait as long as they would have.
    fn open(&mut self) -> Vec<u32> {
        let due = self.message.record.due;
        let mut open = Vec::new();
        for (number, recipient) in &self.message.recipients {
            match &recipient.last {
                Some(last) if last.at >= due => {
                    let at = last.at.saturating_add(self.wait(recipient));
                    self.again = Some(self.again.map_or(at, |again| again.min(at)));
                }
                Some(_) | None => open.push(*number),
            }
        }
        open
    }

    fn wait(&self, recipient: &RecipientRecord) -> Millis {
        let wait = schedule::retry_after(&self.rules.config.queue, recipient.attempts, 0);
        u64::try_from(wait.as_millis()).unwrap_or(u64::MAX).max(1)
    }

    /// Puts each recipient into its group, and returns the lists.
    fn route(&mut self, numbers: Vec<u32>, groups: &mut Groups) -> Vec<List> {
        let mut lists = Vec::new();
        for number in numbers {
            let Some(recipient) = self.recipient(number) else {
                continue;
            };
            let router = &self.rules.router;
            let Routed { route, address, .. } =
                router.route(&recipient.address, &recipient.expanded_from);
            let destination = match route {
                Route::Remote(next_hop) => Destination::Remote(next_hop),
                Route::Local { user, detail } => Destination::Local { user, detail },
                Route::List { members, owner } => {
                    lists.push(List { number, address, members, owner });
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
        tracing::info!("{}: to=<{address}>, {}", self.message.id, status.logged());
        let ending = Ending::Answered(Outcome::Status(status));
        self.back.push(Back { number, address, ending });
    }

    /// Replaces lists by those of their members that are not recipients yet, and returns the
    /// numbers of these.
    async fn expand(&mut self, lists: Vec<List>) -> Result<Vec<u32>, StoreError> {
        if lists.is_empty() {
            return Ok(Vec::new());
        }
        let recipients = &self.message.recipients;
        let expanded: HashSet<_> = lists.iter().map(|list| list.number).collect();
        let open = recipients.iter().filter(|(number, _)| !expanded.contains(number));
        let mut known: HashSet<_> = open.map(|(_, open)| open.address.clone()).collect();
        let first = recipients.last().map_or(0, |(number, _)| number + 1);
        let mut new = Vec::new();
        for List { number, address, members, owner } in lists {
            let Some(list) = self.recipient(number) else {
                continue;
            };
            let ending = match refusal(list, &members, known.len()) {
                Some(status) => Ending::Answered(Outcome::Status(status)),
                None => {
                    let way = way(list, &address);
                    let members = members
                        .into_iter()
                        .filter(|it| !is_circle(list, it) && known.insert(it.address.clone()));
                    new.extend(members.map(|member| child(list, &way, member, owner.as_ref())));
                    let words = format!("expanded, {} recipients by now", known.len());
                    Ending::Expanded(Status::Delivered(Detail::ours(Enhanced::UNDEFINED, words)))
                }
            };
            self.back.push(Back { number, address, ending });
        }
        let new: Vec<_> = (first..).zip(new).collect();
        let numbers = new.iter().map(|(number, _)| *number).collect();
        self.add(new).await?;
        Ok(numbers)
    }

    /// What the agent is asked.
    pub(super) fn request(&self, group: &Group) -> Attempt {
        let record = &self.message.record;
        let recipients = group.recipients.iter().filter_map(|OneCopy { address, serves }| {
            let (number, _) = serves.first()?;
            let RecipientRecord { notify, orcpt, .. } = self.recipient(*number)?;
            Some(Recipient { address: address.clone(), notify: *notify, orcpt: orcpt.clone() })
        });
        Attempt {
            id: self.message.id,
            reverse_path: group.reverse_path.clone(),
            recipients: recipients.collect(),
            destination: group.destination.clone(),
            body: record.body,
            smtputf8: record.smtputf8,
            ret: record.ret,
            envid: record.envid.clone(),
            size: record.size,
            arrival: self.shared.clock.wall_seconds(record.arrival),
        }
    }
}

impl Groups {
    /// The same mailbox, or the same address elsewhere, gets one copy.
    fn add(&mut self, key: (Destination, ReversePath), number: u32, address: Address) {
        let local = matches!(key.0, Destination::Local { .. });
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

/// Why a list may not be expanded.
fn refusal(list: &RecipientRecord, members: &[Member], known: usize) -> Option<Status> {
    if members.iter().all(|member| is_circle(list, member)) {
        let detail = Detail::ours(Enhanced::LOOP, "the list leads to nobody but itself");
        return Some(Status::Failed(detail));
    }
    // RFC 3463 §3.6: X.5.3, too many recipients.
    let too_many = || Status::Failed(Detail::ours(Enhanced(5, 3), "the list is too long"));
    (known + members.len() > MAX_EXPANDED).then(too_many)
}

/// Is the member a list that this list came from? All of its members have been taken already.
fn is_circle(list: &RecipientRecord, member: &Member) -> bool {
    !member.verbatim && list.expanded_from.contains(&member.address)
}

/// The addresses that led to the members of a list.
fn way(list: &RecipientRecord, last: &Address) -> Vec<Address> {
    let mut way = list.expanded_from.clone();
    way.push(list.address.clone());
    if *last != list.address {
        way.push(last.clone());
    }
    way
}

/// A member of a list. RFC 3461 §5.2.7.3: success is reported of the list, as "expanded", and not
/// of its members. Failures are told to the owner (RFC 5321 §3.9.2), unless nobody wants to hear.
fn child(
    list: &RecipientRecord,
    way: &[Address],
    member: Member,
    owner: Option<&Address>,
) -> RecipientRecord {
    let Member { address, verbatim } = member;
    let notify = Notify { success: false, ..list.notify };
    let mut expanded_from = way.to_vec();
    if verbatim && expanded_from.last() != Some(&address) {
        expanded_from.push(address.clone());
    }
    let reverse_path = match (owner, &list.reverse_path) {
        (Some(owner), ReversePath(Some(_))) => ReversePath(Some(owner.clone())),
        (Some(_), ReversePath(None)) | (None, _) => list.reverse_path.clone(),
    };
    RecipientRecord {
        address,
        reverse_path,
        notify,
        attempts: 0,
        last: None,
        expanded_from,
        ..list.clone()
    }
}
