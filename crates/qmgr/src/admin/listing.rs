//! What is queued, as far as a user may see it.
//!
//! **Invariant:** it is shown in the same way whether this process manages the queue or only looks at it.

use envelope::QueueId;
use ipc::admin::{Filter, Message, PAGE, QueueReply};

use super::authority::Authority;
use super::{filter, view};
use crate::clock::Timepiece;
use crate::record::Queued;
use crate::rules::Rules;
use crate::shared::Shared;
use crate::store::{Counts, LOAD, Page, Store, StoreError};

/// Where is looked, and for whom.
pub(super) struct Listing<'a> {
    pub(super) store: &'a Store,
    pub(super) clock: &'a Timepiece,
    pub(super) rules: &'a Rules,
    /// Who knows what is under way; `None`: nothing is.
    pub(super) rounds: Option<&'a Shared>,
    pub(super) authority: Authority,
}

/// Queued messages that a filter lets through.
pub(super) struct Selected {
    pub(super) messages: Vec<Queued>,
    /// Named by their ids, and set aside: nothing else is known of them.
    pub(super) damaged: Vec<QueueId>,
    pub(super) next: Option<QueueId>,
}

/// To a filter that is not [short](filter::is_short).
pub(super) fn too_much() -> QueueReply {
    QueueReply::Fault("too many words to select by, or too long ones".to_owned())
}

pub(super) async fn count(store: &Store) -> Result<QueueReply, StoreError> {
    let Counts { messages, held, damaged } = store.counts().await?;
    Ok(QueueReply::Count { messages, held, damaged })
}

impl Listing<'_> {
    pub(super) async fn list(
        &self,
        filter: &Filter,
        after: Option<QueueId>,
    ) -> Result<QueueReply, StoreError> {
        if !filter::is_short(filter) {
            return Ok(too_much());
        }
        Ok(self.page(self.select(filter, after).await?))
    }

    pub(super) async fn show(&self, id: QueueId) -> Result<QueueReply, StoreError> {
        let found = self.store.look(vec![id]).await?;
        if found.is_empty() && !self.damaged(vec![id]).await?.is_empty() {
            return Ok(QueueReply::Damaged);
        }
        let own = found.first().filter(|it| self.authority.covers(&it.record.origin));
        let message = own.map(|queued| Box::new(view::message(self, queued)));
        Ok(QueueReply::Message(message))
    }

    /// One page of the queue, or the messages that the filter names, as far as they are this
    /// user's and the filter lets them through.
    pub(super) async fn select(
        &self,
        filter: &Filter,
        after: Option<QueueId>,
    ) -> Result<Selected, StoreError> {
        let mut selected = if filter.ids.is_empty() {
            let Page { messages, next } = self.store.page(after, PAGE).await?;
            Selected { messages, damaged: Vec::new(), next }
        } else {
            self.named(filter, after).await?
        };
        let now = self.clock.now();
        selected.messages.retain(|message| {
            self.authority.covers(&message.record.origin) && filter::fits(filter, message, now)
        });
        Ok(selected)
    }

    /// The next few of the messages with these ids.
    async fn named(&self, filter: &Filter, after: Option<QueueId>) -> Result<Selected, StoreError> {
        let only_ids = *filter == Filter { ids: filter.ids.clone(), ..Filter::default() };
        let mut ids: Vec<_> = filter.ids.iter().copied().filter(|id| Some(*id) > after).collect();
        ids.sort_unstable();
        ids.dedup();
        let more = ids.len() > LOAD;
        ids.truncate(LOAD);
        let next = ids.last().copied().filter(|_| more);
        let messages = self.store.look(ids.clone()).await?;
        let damaged = if only_ids { self.damaged(ids).await? } else { Vec::new() };
        Ok(Selected { messages, damaged, next })
    }

    /// Which of these were set aside; whose they are cannot be told, so administrators only.
    async fn damaged(&self, ids: Vec<QueueId>) -> Result<Vec<QueueId>, StoreError> {
        match self.authority {
            Authority::All => self.store.damaged(ids).await,
            Authority::Own(_) => Ok(Vec::new()),
        }
    }

    /// As many as fit into one reply; the rest is for the next page.
    fn page(&self, selected: Selected) -> QueueReply {
        let Selected { messages: queued, mut next, .. } = selected;
        let mut messages: Vec<Message> = Vec::with_capacity(queued.len());
        let mut weight = 0;
        for queued in queued {
            let message = view::message(self, &queued);
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
}
