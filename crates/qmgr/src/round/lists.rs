//! Recipients that stand for others: aliases with several targets, and users and lists of whom `local`
//! says who takes their place.
//!
//! **Invariant:** a list is retired in the transaction that adds its members: whatever dies, the
//! message is delivered by the one or by the others.
//! **Invariant:** a member is left out only when the message has gone to the same place already, or
//! goes there in any case.

use std::collections::HashSet;

use envelope::{Address, Detail, Enhanced, Member, Notify, ReversePath, Special, Status};
use ipc::delivery::Outcome;
use routing::{MAX_DEPTH, Route, Routed};

use super::{Back, Round};
use crate::outcome::Ending;
use crate::record::{Goal, RecipientRecord};
use crate::store::StoreError;

/// Recipients of one message after expansion.
const MAX_EXPANDED: usize = 10_000;

/// A recipient that stands for several.
#[derive(Debug)]
pub(super) struct List {
    pub(super) number: u32,
    /// The alias that names them, last on the way from the recipient's address.
    pub(super) address: Address,
    pub(super) members: Vec<Member>,
    /// Who is told of failures of the members.
    pub(super) owner: Option<Address>,
    /// Whose programs and files they are; `None`: an alias's.
    pub(super) user: Option<String>,
}

/// Where a copy goes: two recipients with the same one get one copy.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Spot {
    address: Option<Address>,
    goal: Goal,
}

impl Spot {
    pub(super) fn of(address: &Address, goal: &Goal) -> Self {
        let has_address = match goal {
            Goal::Tables | Goal::Mailbox => true,
            Goal::Special { what, .. } => *what == Special::CatchAll,
        };
        Self { address: has_address.then(|| address.clone()), goal: goal.clone() }
    }
}

impl Round {
    /// Takes what an agent says of a recipient for whom others get the message.
    pub(super) fn named(&mut self, number: u32, address: Address, members: Vec<Member>) {
        let Some(recipient) = self.recipient(number) else {
            return;
        };
        let user = match (&recipient.goal, self.rules.way_of(&self.message.record, recipient).route)
        {
            // A user who is unknown by now may have been known when somebody wrote `\user`, or when
            // `local.catch_all` named a host.
            (
                Goal::Tables | Goal::Mailbox | Goal::Special { what: Special::CatchAll, .. },
                Route::Local { user, .. },
            ) => Some(user),
            (Goal::Special { user, .. }, Route::Special(_)) => user.clone(),
            (Goal::Tables, Route::Special(_)) => None,
            (Goal::Tables | Goal::Mailbox | Goal::Special { .. }, _) => {
                let why = "an agent that knows no lists named others".to_owned();
                self.back.push(Back { number, address, ending: Ending::Fault(why) });
                return;
            }
        };
        self.lists.push(List { number, address, members, owner: None, user });
    }

    /// What the members of a list mean there. Users to whom the mail came before, and who have sent it
    /// on, are named again, by whatever alias: that is the mailbox. So it is if a user (`own`) sends mail
    /// back to where it came from (self_reference() in sendmail's recipient.c).
    fn seen_by(
        &self,
        list: &RecipientRecord,
        own: Option<&Address>,
        members: Vec<Member>,
    ) -> Vec<Member> {
        let before = list.expanded_from.iter().chain([&list.address]);
        let before = before.filter_map(|address| self.user_of(list, address));
        let before: HashSet<_> = before.map(|(user, _)| user).collect();
        if before.is_empty() {
            return members;
        }
        let seen = |member| match member {
            Member::Address(address) => {
                let again = self.user_of(list, &address).filter(|(user, _)| before.contains(user));
                let back = || own.filter(|_| list.expanded_from.contains(&address)).cloned();
                let mailbox = again.map(|(_, mailbox)| mailbox).or_else(back);
                mailbox.map_or(Member::Address(address), Member::Mailbox)
            }
            Member::Mailbox(_) | Member::Special(_) => member,
        };
        members.into_iter().map(seen).collect()
    }

    /// Whose mailbox the tables lead to, and by which address in the end.
    fn user_of(&self, list: &RecipientRecord, address: &Address) -> Option<(String, Address)> {
        let (path, aliasing) = (&list.reverse_path, self.message.record.aliasing);
        let Routed { route, address, .. } = self.rules.router.route(address, path, &[], aliasing);
        match route {
            Route::Local { user, verbatim: false, .. } => Some((user, address)),
            Route::Local { .. }
            | Route::Remote(_)
            | Route::Special(_)
            | Route::List { .. }
            | Route::Refused(_)
            | Route::Over(_) => None,
        }
    }

    /// Replaces lists by those of their members that are not recipients yet, and returns the
    /// numbers of these.
    pub(super) async fn expand(&mut self, lists: Vec<List>) -> Result<Vec<u32>, StoreError> {
        if lists.is_empty() {
            return Ok(Vec::new());
        }
        let recipients = &self.message.recipients;
        let expanded: HashSet<_> = lists.iter().map(|list| list.number).collect();
        let open = recipients.iter().filter(|(number, _)| !expanded.contains(number));
        let mut known: HashSet<_> =
            open.map(|(_, open)| Spot::of(&open.address, &open.goal)).collect();
        known.extend(self.served.iter().cloned());
        let first = recipients.last().map_or(0, |(number, _)| number + 1);
        let mut new = Vec::new();
        for List { number, address, members, owner, user } in lists {
            let Some(list) = self.recipient(number) else {
                continue;
            };
            let own = (user.is_some() && list.goal != Goal::Mailbox).then_some(&address);
            let members = self.seen_by(list, own, members);
            let ending = match refusal(list, &members, known.len()) {
                Some(status) => {
                    self.log_line(number, &address, &status, "");
                    Ending::Answered(Outcome::Status(status))
                }
                None => {
                    let naming = Naming { way: way(list, &address), owner, user };
                    new.extend(children(list, members, &naming, &mut known));
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
}

/// Why a list may not be expanded.
fn refusal(list: &RecipientRecord, members: &[Member], known: usize) -> Option<Status> {
    let failed = |enhanced, why| Some(Status::Failed(Detail::ours(enhanced, why)));
    if members.iter().all(|member| is_circle(list, member)) {
        return failed(Enhanced::LOOP, "the list leads to nobody but itself");
    }
    if list.expanded_from.len() > MAX_DEPTH {
        return failed(Enhanced::LOOP, "lists in lists go too deep");
    }
    if known + members.len() > MAX_EXPANDED {
        // As one that cannot be read: RFC 3463 §3.3: X.2.4, mailing list expansion problem.
        return Some(Status::Deferred(Detail::ours(Enhanced(2, 4), "the list is too long")));
    }
    None
}

/// Is the member a list that this list came from? All of its members have been taken already.
fn is_circle(list: &RecipientRecord, member: &Member) -> bool {
    match member {
        Member::Address(address) => list.expanded_from.contains(address),
        Member::Mailbox(_) | Member::Special(_) => false,
    }
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

/// Who named the members of a list.
struct Naming {
    /// The addresses that led there.
    way: Vec<Address>,
    owner: Option<Address>,
    user: Option<String>,
}

/// Those whom nobody knows yet.
fn children(
    list: &RecipientRecord,
    members: Vec<Member>,
    naming: &Naming,
    known: &mut HashSet<Spot>,
) -> Vec<RecipientRecord> {
    let members = members.into_iter().filter(|member| !is_circle(list, member));
    let children = members.map(|member| child(list, member, naming));
    children.filter(|child| known.insert(Spot::of(&child.address, &child.goal))).collect()
}

/// A member of a list. RFC 3461 §5.2.7.3: success is reported of the list, as "expanded", and not
/// of its members. Failures are told to the owner (RFC 5321 §3.9.2), unless nobody wants to hear.
fn child(list: &RecipientRecord, member: Member, naming: &Naming) -> RecipientRecord {
    let notify = Notify { success: false, ..list.notify };
    let mut expanded_from = naming.way.clone();
    let (address, goal) = match member {
        Member::Address(address) => (address, Goal::Tables),
        Member::Mailbox(address) => {
            if expanded_from.last() != Some(&address) {
                expanded_from.push(address.clone());
            }
            (address, Goal::Mailbox)
        }
        Member::Special(what) => {
            let named = naming.way.last().unwrap_or(&list.address).clone();
            (named, Goal::Special { what, user: naming.user.clone() })
        }
    };
    let reverse_path = match (&naming.owner, &list.reverse_path) {
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
        goal,
        ..list.clone()
    }
}
