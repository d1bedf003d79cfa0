//! What an administrator's change does to one message.

use std::collections::HashSet;

use envelope::{Address, Detail, Enhanced, OriginalRecipient, Status};
use ipc::admin::{Action, Filter};

use super::filter;
use crate::bounce::{self, About, Notice};
use crate::record::{Goal, Millis, Queued, RecipientRecord};
use crate::round;
use crate::rules::Rules;
use crate::shared::Shared;
use crate::store::{Change, Fate, NewMessage, Update};

/// Characters of the reason of a hold.
const MAX_REASON: usize = 200;

/// For the log.
pub(super) fn what(action: &Action) -> String {
    match action {
        Action::Retry => "to be tried now".to_owned(),
        Action::Hold { .. } => "held".to_owned(),
        Action::Release => "released".to_owned(),
        Action::Delete => "deleted".to_owned(),
        Action::Bounce => "given up".to_owned(),
        Action::Redirect(to) => format!("redirected to <{to}>"),
    }
}

/// What may be changed only while nothing is under way for the message.
pub(super) const fn needs_rest(action: &Action) -> bool {
    match action {
        Action::Retry | Action::Hold { .. } | Action::Release | Action::Delete => false,
        Action::Bounce | Action::Redirect(_) => true,
    }
}

/// Has it any meaning for this message?
pub(super) fn applies(action: &Action, filter: &Filter, message: &Queued) -> bool {
    match action {
        Action::Retry | Action::Hold { .. } => !message.record.held,
        Action::Release => message.record.held,
        Action::Delete | Action::Bounce => true,
        Action::Redirect(to) => {
            let mut named = named(filter, message);
            named.any(|recipient| recipient.address != *to)
        }
    }
}

fn named<'a>(filter: &'a Filter, message: &'a Queued) -> impl Iterator<Item = &'a RecipientRecord> {
    let recipients = message.recipients.iter().map(|(_, recipient)| recipient);
    recipients.filter(|recipient| filter::names(filter, &recipient.address))
}

pub(super) fn fate(action: &Action, filter: &Filter, message: &Queued, now: Millis) -> Fate {
    let due = Some(now);
    match action {
        Action::Retry => Fate::Stays(Update { due, ..Update::default() }),
        Action::Hold { reason } => {
            let quarantine = reason.as_deref().map(bounded);
            Fate::Stays(Update { held: Some(true), quarantine, ..Update::default() })
        }
        Action::Release => Fate::Stays(Update { held: Some(false), due, ..Update::default() }),
        Action::Delete | Action::Bounce => Fate::Retired,
        Action::Redirect(to) => {
            let recipients = redirected(filter, message, to);
            Fate::Stays(Update { due, recipients, ..Update::default() })
        }
    }
}

fn bounded(reason: &str) -> String {
    reason.chars().take(MAX_REASON).collect()
}

/// The recipients that are named have another address from now on, each address once; who wants to be
/// told is told of the first one (RFC 3461 §5.2.1: ORCPT stays).
fn redirected(
    filter: &Filter,
    message: &Queued,
    to: &Address,
) -> Vec<(u32, Option<RecipientRecord>)> {
    let mut recipients = Vec::new();
    let is_named = |record: &RecipientRecord| filter::names(filter, &record.address);
    // A program or a file of an alias has the address of the alias, and is somewhere else.
    let is_there = |record: &RecipientRecord| !is_named(record) && record.goal == Goal::Tables;
    let stays = message.recipients.iter().filter(|(_, record)| is_there(record));
    let mut there: HashSet<_> = stays.map(|(_, record)| record.address.clone()).collect();
    for (number, record) in message.recipients.iter().filter(|(_, record)| is_named(record)) {
        if !there.insert(to.clone()) {
            recipients.push((*number, None));
            continue;
        }
        let address = record.address.to_string();
        let first = || OriginalRecipient {
            kind: if address.is_ascii() { "rfc822" } else { "utf-8" }.to_owned(),
            address: address.clone(),
        };
        let record = RecipientRecord {
            address: to.clone(),
            orcpt: Some(record.orcpt.clone().unwrap_or_else(first)),
            attempts: 0,
            last: None,
            expanded_from: Vec::new(),
            goal: Goal::Tables,
            ..record.clone()
        };
        recipients.push((*number, Some(record)));
    }
    recipients
}

/// The bounces of a message that is given up.
pub(super) async fn bounces(shared: &Shared, rules: &Rules, message: &Queued) -> Vec<NewMessage> {
    let recipients = message.recipients.iter().filter(|(_, recipient)| recipient.notify.failure);
    let status =
        || Status::Failed(Detail::ours(Enhanced::UNDEFINED, "given up by an administrator"));
    let notice = |(_, recipient): &(u32, RecipientRecord)| Notice {
        reverse_path: recipient.reverse_path.clone(),
        address: recipient.address.clone(),
        orcpt: recipient.orcpt.clone(),
        action: message::Action::Failed,
        status: status(),
    };
    let notices: Vec<_> = recipients.map(notice).collect();
    if notices.is_empty() {
        return Vec::new();
    }
    let content = round::beginning(shared, message.id).await;
    let about = About {
        id: message.id,
        record: &message.record,
        content: &content,
        now: shared.clock.now(),
        config: &rules.config,
    };
    bounce::write(shared, about, notices).into_iter().map(|(new, _)| new).collect()
}

/// The change as the store takes it.
pub(super) async fn change(
    shared: &Shared,
    action: &Action,
    filter: &Filter,
    message: &Queued,
) -> Change {
    let enqueue = match action {
        Action::Bounce => bounces(shared, &shared.rules(), message).await,
        Action::Retry
        | Action::Hold { .. }
        | Action::Release
        | Action::Delete
        | Action::Redirect(_) => Vec::new(),
    };
    let fate = fate(action, filter, message, shared.clock.now());
    Change { id: message.id, fate, enqueue }
}

#[cfg(test)]
mod tests {
    use envelope::{Aliasing, Body, Envelope, Origin, QueueId, Recipient, ReversePath};

    use super::*;
    use crate::record::MessageRecord;

    fn queued(to: &[&str]) -> Queued {
        let reverse_path = ReversePath(Some("ann@from.test".parse().unwrap()));
        let recipients: Vec<_> =
            to.iter().map(|to| Recipient::plain(to.parse().unwrap())).collect();
        let envelope = Envelope {
            reverse_path: reverse_path.clone(),
            recipients: recipients.clone(),
            origin: Origin::Ourselves,
            body: Body::SevenBit,
            smtputf8: false,
            ret: None,
            envid: None,
            aliasing: Aliasing::Followed,
        };
        let fresh = |to| RecipientRecord::fresh(to, reverse_path.clone());
        Queued {
            id: QueueId::new(1).unwrap(),
            record: MessageRecord::arrived(&envelope, 1000),
            recipients: (0..).zip(recipients.into_iter().map(fresh)).collect(),
        }
    }

    #[test]
    fn redirection_takes_whom_the_filter_names_and_each_address_once() {
        let to: Address = "new@x.test".parse().unwrap();
        let after = |filter: &Filter, message: &Queued| {
            let changed = redirected(filter, message, &to);
            let of =
                |it: &RecipientRecord| (it.address.to_string(), it.orcpt.clone().unwrap().address);
            let shown = changed.iter().map(|(number, record)| (*number, record.as_ref().map(of)));
            shown.collect::<Vec<_>>()
        };
        let moved = |first: &str| Some((to.to_string(), first.to_owned()));
        let message = queued(&["a@old.test", "b@old.test", "c@x.test"]);
        let old = Filter { domain: Some("old.test".to_owned()), ..Filter::default() };
        assert_eq!(after(&old, &message), [(0, moved("a@old.test")), (1, None)]);
        let all = Filter::default();
        assert_eq!(after(&all, &message), [(0, moved("a@old.test")), (1, None), (2, None)]);
        let there = queued(&["a@old.test", "new@x.test"]);
        assert_eq!(after(&old, &there), [(0, None)]);
        let redirect = Action::Redirect(to.clone());
        assert!(applies(&redirect, &all, &there));
        assert!(!applies(&redirect, &all, &queued(&["new@x.test"])));
    }
}
