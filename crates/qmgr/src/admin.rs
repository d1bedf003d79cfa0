//! Administrators look at the queue and change it; others do so with their own mail.
//!
//! Changes go straight to the store. When a message in a round of attempts is held or deleted, no
//! further attempt of the round is begun; those under way cannot be called back, and what they
//! deliver is delivered.

pub mod authority;
mod filter;
mod view;

use std::sync::Arc;
use std::time::Duration;

use daemon::Drain;
use envelope::QueueId;
use ipc::admin::{Action, Filter, Message, PAGE, QueueReply, QueueRequest, Welcome};
use ipc::{Connection, Error, Incoming};
use tokio::task::{JoinSet, spawn_blocking};

use crate::record::Queued;
use crate::shared::{Shared, Wake, rethrow};
use crate::store::{Change, Due, Fate, LOAD, Page, StoreError, Update};
use authority::{Authority, Visitor};

/// Administrators at a time; further ones wait.
const CONNECTIONS: usize = 64;
/// Silence after which a connection is closed.
const IDLE: Duration = Duration::from_secs(600);

/// Serves everyone whom the supervisor hands on, until the process drains.
pub async fn serve(shared: &Arc<Shared>, mut incoming: Incoming, mut drain: Drain) {
    let mut visits = JoinSet::new();
    loop {
        tokio::select! {
            connection = incoming.next(), if visits.len() < CONNECTIONS => {
                visits.spawn(visit(Arc::clone(shared), connection));
            }
            Some(ended) = visits.join_next() => match ended {
                Ok(Ok(()) | Err(Error::PeerGone | Error::TimedOut)) => {}
                Ok(Err(error)) => tracing::warn!("an administrator's connection: {error}"),
                Err(error) => rethrow(error),
            },
            () = drain.begun() => return,
        }
    }
}

async fn visit(shared: Arc<Shared>, mut connection: Connection) -> Result<(), Error> {
    let (uid, config) = (connection.peer()?.uid(), Arc::clone(&shared.config));
    let visitor = spawn_blocking(move || Visitor::find(uid, &config)).await;
    let Visitor { authority, name } = visitor.map_err(std::io::Error::other)?;
    let desk = Desk { shared, authority, name };
    let welcome = Welcome::Yes { admin: authority == Authority::All };
    connection.send(&welcome, b"", None).await?;
    loop {
        let request = connection.receive_within(IDLE).await?.head;
        let reply = desk.answer(request).await;
        let reply = reply.unwrap_or_else(|error| QueueReply::Fault(error.to_string()));
        connection.send(&reply, b"", None).await?;
    }
}

/// Where one administrator is served.
struct Desk {
    shared: Arc<Shared>,
    authority: Authority,
    /// Of the user who is served.
    name: String,
}

/// Queued messages that a filter lets through.
struct Selected {
    messages: Vec<Queued>,
    next: Option<QueueId>,
}

impl Desk {
    async fn answer(&self, request: QueueRequest) -> Result<QueueReply, StoreError> {
        match request {
            QueueRequest::List { filter, after } => {
                Ok(self.list(self.select(&filter, after).await?))
            }
            QueueRequest::Show(id) => Ok(QueueReply::Message(self.show(id).await?.map(Box::new))),
            QueueRequest::Count if self.authority == Authority::All => {
                let counts = self.shared.store.counts().await?;
                Ok(QueueReply::Count { messages: counts.messages, held: counts.held })
            }
            QueueRequest::Count => Ok(QueueReply::NotAllowed),
            QueueRequest::Change { action, filter, after, dry_run } => {
                let selected = self.select(&filter, after).await?;
                self.change(action, selected, dry_run).await
            }
        }
    }

    /// One page of the queue, or the messages that the filter names, as far as they are this
    /// user's and the filter lets them through.
    async fn select(
        &self,
        filter: &Filter,
        after: Option<QueueId>,
    ) -> Result<Selected, StoreError> {
        let Page { mut messages, next } = if filter.ids.is_empty() {
            self.shared.store.page(after, PAGE).await?
        } else {
            self.named(&filter.ids, after).await?
        };
        let now = self.shared.clock.now();
        messages.retain(|message| {
            self.authority.covers(&message.record.origin) && filter::fits(filter, message, now)
        });
        Ok(Selected { messages, next })
    }

    /// The next few of the messages with these ids.
    async fn named(&self, ids: &[QueueId], after: Option<QueueId>) -> Result<Page, StoreError> {
        let mut ids: Vec<_> = ids.iter().copied().filter(|id| Some(*id) > after).collect();
        ids.sort_unstable();
        ids.dedup();
        let more = ids.len() > LOAD;
        ids.truncate(LOAD);
        let next = ids.last().copied().filter(|_| more);
        Ok(Page { messages: self.shared.store.look(ids).await?, next })
    }

    /// As many as fit into one reply; the rest is for the next page.
    fn list(&self, selected: Selected) -> QueueReply {
        let Selected { messages: queued, mut next } = selected;
        let mut messages: Vec<Message> = Vec::with_capacity(queued.len());
        let mut weight = 0;
        for queued in queued {
            let message = view::message(&self.shared, &queued);
            weight += view::weight(&message);
            if weight > view::MAX_WEIGHT
                && let Some(last) = messages.last()
            {
                next = Some(last.id);
                break;
            }
            messages.push(message);
        }
        QueueReply::Messages { messages, next }
    }

    async fn show(&self, id: QueueId) -> Result<Option<Message>, StoreError> {
        let found = self.shared.store.look(vec![id]).await?;
        let own = found.first().filter(|it| self.authority.covers(&it.record.origin));
        Ok(own.map(|queued| view::message(&self.shared, queued)))
    }

    async fn change(
        &self,
        action: Action,
        Selected { mut messages, next }: Selected,
        dry_run: bool,
    ) -> Result<QueueReply, StoreError> {
        messages.retain(|message| match action {
            Action::Retry | Action::Hold => !message.record.held,
            Action::Release => message.record.held,
            Action::Delete => true,
        });
        let ids: Vec<_> = messages.iter().map(|message| message.id).collect();
        if let Some(&first) = ids.first()
            && !dry_run
        {
            let now = self.shared.clock.now();
            let change = |&id| Change { id, fate: fate(action, now), enqueue: Vec::new() };
            self.shared.store.change(ids.iter().map(change).collect()).await?;
            self.follow_up(action, &ids, Due { at: now, id: first }).await;
            for id in &ids {
                tracing::info!("{id}: {} by {}", what(action), self.name);
            }
        }
        Ok(QueueReply::Changed { ids, next })
    }

    /// What was made due is to be looked at, and its next hops are to be tried; of what was taken
    /// away no further attempt is to be begun.
    async fn follow_up(&self, action: Action, ids: &[QueueId], from: Due) {
        match action {
            Action::Retry | Action::Release => {
                self.shared.hops.revive();
                self.shared.wake(Wake::Due(from)).await;
            }
            Action::Hold | Action::Delete => self.shared.recall(ids),
        }
    }
}

const fn what(action: Action) -> &'static str {
    match action {
        Action::Retry => "to be tried now",
        Action::Hold => "held",
        Action::Release => "released",
        Action::Delete => "deleted",
    }
}

fn fate(action: Action, now: u64) -> Fate {
    match action {
        Action::Retry => Fate::Stays(Update { due: Some(now), ..Update::default() }),
        Action::Hold => Fate::Stays(Update { held: Some(true), ..Update::default() }),
        Action::Release => {
            Fate::Stays(Update { held: Some(false), due: Some(now), ..Update::default() })
        }
        Action::Delete => Fate::Retired,
    }
}
