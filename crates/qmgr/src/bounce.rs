//! Whom to tell about what became of a message, and how much of it to return; the words are the
//! `message` crate's (RFC 3464).
//!
//! **Invariant:** what is told of a message goes with the null reverse-path, and of a message with
//! the null reverse-path nothing is told: never a bounce for a bounce (RFC 5321 §4.5.5). The log
//! says what was lost.

use bytes::Bytes;
use config::Config;
use envelope::{
    Address, Aliasing, Envelope, Origin, OriginalRecipient, QueueId, Recipient, Return,
    ReversePath, Status,
};
use ipc::submission::INLINE;
use message::{Action, Built, Date, Kind, Original, RecipientReport, Report};

use crate::record::{MessageRecord, Millis};
use crate::shared::{Arrived, Shared};
use crate::store::NewMessage;

/// Bytes of the message that are at hand to be returned: longer ones lose their text.
pub const RETURNED: usize = INLINE;

/// One recipient of whom something is to be told.
#[derive(Debug)]
pub struct Notice {
    /// Whom to tell.
    pub reverse_path: ReversePath,
    pub address: Address,
    pub orcpt: Option<OriginalRecipient>,
    pub action: Action,
    pub status: Status,
}

/// The message that it is about.
#[derive(Debug, Clone, Copy)]
pub struct About<'a> {
    pub id: QueueId,
    pub record: &'a MessageRecord,
    /// As much of its beginning as was read, at most [`RETURNED`].
    pub content: &'a [u8],
    pub now: Millis,
    pub config: &'a Config,
}

/// Writes what is to be told: one message for each reverse-path and kind of news, or several where
/// one would be too long for the database.
#[must_use]
pub fn write(
    shared: &Shared,
    about: About<'_>,
    mut notices: Vec<Notice>,
) -> Vec<(NewMessage, Arrived)> {
    let mut written = Vec::new();
    while let Some(first) = notices.first() {
        let (reverse_path, kind) = (first.reverse_path.clone(), kind_of(first.action));
        let (these, others) = notices.into_iter().partition(|notice: &Notice| {
            notice.reverse_path == reverse_path && kind_of(notice.action) == kind
        });
        notices = others;
        match reverse_path.0 {
            Some(to) => {
                let to = Recipient::plain(to);
                write_alike(shared, about, &to, kind, &these, &mut written);
            }
            None => log_untold(about.id, &these),
        }
    }
    written
}

fn write_alike(
    shared: &Shared,
    about: About<'_>,
    to: &Recipient,
    kind: Kind,
    notices: &[Notice],
    written: &mut Vec<(NewMessage, Arrived)>,
) {
    let mut built = build(shared, about, &to.address, kind, notices, about.record.ret);
    if built.content.len() > INLINE {
        if notices.len() > 1 {
            let (some, others) = notices.split_at(notices.len() / 2);
            write_alike(shared, about, to, kind, some, written);
            return write_alike(shared, about, to, kind, others, written);
        }
        built = build(shared, about, &to.address, kind, notices, Some(Return::Headers));
    }
    let id = shared.next_id();
    tracing::info!("{}: {} to=<{}> as {id}", about.id, name_of(kind), to.address);
    let envelope = Envelope {
        reverse_path: ReversePath::NULL,
        recipients: vec![to.clone()],
        body: built.body,
        smtputf8: built.smtputf8,
        ret: None,
        envid: None,
        origin: Origin::Ourselves,
        aliasing: Aliasing::Followed,
    };
    let mut arrived = Arrived::new(shared, id, envelope);
    let new = arrived.with_content(shared, Bytes::from(built.content));
    written.push((new, arrived));
}

fn build(
    shared: &Shared,
    about: About<'_>,
    to: &Address,
    kind: Kind,
    notices: &[Notice],
    ret: Option<Return>,
) -> Built {
    let wall = |time| Date::utc(shared.clock.wall_seconds(time));
    let recipients = notices.iter().map(|notice| RecipientReport {
        address: &notice.address,
        original: notice.orcpt.as_ref(),
        action: notice.action,
        status: &notice.status,
        last_attempt: Some(wall(about.now)),
        retry_until: (kind == Kind::Delay).then(|| wall(give_up(about))),
    });
    let recipients: Vec<_> = recipients.collect();
    Report {
        kind,
        hostname: &about.config.hostname,
        id: Some(about.id),
        to,
        envid: about.record.envid.as_deref(),
        arrival: wall(about.record.arrival),
        date: wall(about.now),
        random: fastrand::u64(..),
        recipients: &recipients,
        original: Original {
            content: about.content,
            whole: about.content.len() as u64 == about.record.size,
            ret,
            smtputf8: about.record.smtputf8,
        },
    }
    .build()
}

fn log_untold(id: QueueId, notices: &[Notice]) {
    for Notice { address, status, .. } in notices {
        let (code, stat) = (status.code(), status.logged());
        tracing::warn!("{id}: nobody to tell of to=<{address}>, dsn={code}, stat={stat}");
    }
}

fn give_up(about: About<'_>) -> Millis {
    let lifetime = u64::try_from(about.config.queue.lifetime.as_millis()).unwrap_or(u64::MAX);
    about.record.arrival.saturating_add(lifetime)
}

const fn kind_of(action: Action) -> Kind {
    match action {
        Action::Failed => Kind::Failure,
        Action::Delayed => Kind::Delay,
        Action::Delivered | Action::Relayed | Action::Expanded => Kind::Success,
    }
}

const fn name_of(kind: Kind) -> &'static str {
    match kind {
        Kind::Failure => "bounce",
        Kind::Delay => "delay warning",
        Kind::Success => "delivery report",
    }
}
