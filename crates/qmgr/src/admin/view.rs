//! A queued message as an administrator sees it.

use envelope::{Detail, Origin, ReversePath, Status};
use ipc::admin::{Message, Recipient, State};

use super::listing::Listing;
use crate::clock::Timepiece;
use crate::priority;
use crate::record::{MessageRecord, Queued, RecipientRecord};
use crate::rules::Rules;
use crate::shared::{Course, Shared};

/// Bytes of the messages in one reply, estimated: a frame's head holds twice as many.
pub(super) const MAX_WEIGHT: usize = ipc::MAX_HEAD / 2;
/// Recipients that are shown of one message, so that it fits into a frame with [`MAX_TEXT`].
const MAX_RECIPIENTS: usize = 1000;
/// Bytes of the last reply, and of the way, that are shown when there are many recipients.
const MAX_TEXT: usize = 100;
/// Bytes that are shown of where a message comes from.
const MAX_ORIGIN: usize = 512;
/// Recipients that are few enough for the whole text.
const FEW: usize = 20;

pub(super) fn message(listing: &Listing<'_>, queued: &Queued) -> Message {
    let Queued { id, record, recipients } = queued;
    let Listing { clock, rules, .. } = listing;
    let state = state(listing, queued);
    let text = if recipients.len() <= FEW { Detail::MAX_TEXT } else { MAX_TEXT };
    let shown = recipients.iter().take(MAX_RECIPIENTS);
    Message {
        id: *id,
        reverse_path: recipients
            .first()
            .map_or(ReversePath::NULL, |(_, recipient)| recipient.reverse_path.clone()),
        arrival: clock.wall_seconds(record.arrival),
        size: record.size,
        eight_bit: record.body == envelope::Body::EightBitMime,
        next_attempt: (state == State::Waiting).then(|| clock.wall_seconds(record.due)),
        state,
        priority: priority::number(queued),
        quarantine: record.quarantine.clone(),
        origin: cut(origin(&record.origin), MAX_ORIGIN),
        recipients: shown.map(|(_, it)| recipient(clock, rules, (record, it), text)).collect(),
    }
}

/// About as many bytes as the message has in a frame.
pub(super) fn weight(message: &Message) -> usize {
    let recipients = message.recipients.iter().map(|recipient| {
        let last = recipient.last.as_ref().map(Status::detail);
        let remote = |detail: &Detail| detail.remote.as_ref().map_or(0, String::len);
        let last = last.map_or(0, |detail| detail.text.len() + remote(detail));
        let address = recipient.address.local().len() + recipient.address.domain().len();
        address + last + recipient.route.len() + 64
    });
    let quarantine = message.quarantine.as_ref().map_or(0, String::len);
    recipients.sum::<usize>() + message.origin.len() + quarantine + 512
}

fn state(listing: &Listing<'_>, queued: &Queued) -> State {
    let Queued { id, record, .. } = queued;
    let is_due = || record.due <= listing.clock.now();
    let is_active = |shared: &Shared| shared.course(*id) == Some(Course::On);
    if listing.rounds.is_some_and(is_active) {
        State::Active
    } else if record.held {
        State::Held
    } else if listing.rounds.is_some_and(|it| is_due() && it.load().1.holds_back(queued)) {
        State::Overload
    } else {
        State::Waiting
    }
}

fn origin(origin: &Origin) -> String {
    match origin {
        Origin::Client { address, helo } => format!("{address} (helo {helo})"),
        Origin::User { name, .. } => format!("user {name}"),
        Origin::Ourselves => "Pennypost".to_owned(),
    }
}

fn recipient(
    clock: &Timepiece,
    rules: &Rules,
    (message, record): (&MessageRecord, &RecipientRecord),
    text: usize,
) -> Recipient {
    let last = record.last.as_ref();
    Recipient {
        address: record.address.clone(),
        attempts: record.attempts,
        last: last.map(|last| shortened(&last.status, text)),
        last_time: last.map(|last| clock.wall_seconds(last.at)),
        // A program's arguments may be long.
        route: cut(rules.way_of(message, record).route.to_string(), text),
    }
}

fn shortened(status: &Status, text: usize) -> Status {
    let mut status = status.clone();
    let (Status::Delivered(detail) | Status::Deferred(detail) | Status::Failed(detail)) =
        &mut status;
    detail.text = cut(std::mem::take(&mut detail.text), text);
    status
}

fn cut(mut text: String, bytes: usize) -> String {
    text.truncate(text.floor_char_boundary(bytes));
    text
}
