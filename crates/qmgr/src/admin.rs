//! Administrators look at the queue and change it; others do so with their own mail.
//!
//! Changes go straight to the store. When a message in a round of attempts is held or deleted, no
//! further attempt of the round is begun; those under way cannot be called back, and what they
//! deliver is delivered.

pub mod at_rest;
pub mod authority;
mod change;
mod filter;
mod listing;
mod view;

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use daemon::{Drain, Places};
use envelope::QueueId;
use ipc::admin::{Action, Filter, Forget, Host, QueueReply, QueueRequest, Visitor, Welcome};
use ipc::{Connection, Error, Frame, Incoming};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::hops::Known;
use crate::news::Watch;
use crate::record::Queued;
use crate::rules::Rules;
use crate::shared::{Shared, Wake, rethrow};
use crate::store::{Change, Due, Fate, LOAD, StoreError};
use authority::Authority;
use listing::{Listing, Selected};

/// Administrators at a time; further ones are sent away.
const CONNECTIONS: usize = 64;
/// Clients that the supervisor handed on and that wait for a task of their own.
const ARRIVALS: usize = 16;
/// Of one user.
const OF_USER: usize = 8;
/// Messages that are changed in one transaction: what is told of them is in memory meanwhile.
const AT_ONCE: usize = LOAD;
/// Silence after which a connection is closed; as long may a reply wait to be read.
const IDLE: Duration = Duration::from_secs(600);

/// Serves everyone whom the supervisor hands on, until the process drains.
pub async fn serve(shared: &Arc<Shared>, mut incoming: Incoming, mut drain: Drain) {
    let (arrivals, mut arrived) = mpsc::channel(ARRIVALS);
    let mut visits = JoinSet::new();
    let places = Places::new(CONNECTIONS, OF_USER);
    loop {
        tokio::select! {
            connection = incoming.next() => {
                visits.spawn(welcome(connection, arrivals.clone()));
            }
            Some((visitor, client)) = arrived.recv() => {
                visits.spawn(visit(Arc::clone(shared), visitor, client, places.clone()));
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

/// Takes clients from the supervisor, one after the other.
async fn welcome(
    mut supervisor: Connection,
    arrivals: mpsc::Sender<(Visitor, OwnedFd)>,
) -> Result<(), Error> {
    loop {
        let Frame { head: visitor, descriptor, .. } = supervisor.receive().await?;
        let client = descriptor.ok_or(Error::PeerMisbehaved("a visitor without a socket"))?;
        if arrivals.send((visitor, client)).await.is_err() {
            return Ok(());
        }
        supervisor.send(&(), b"", None).await?;
    }
}

async fn visit(
    shared: Arc<Shared>,
    visitor: Visitor,
    client: OwnedFd,
    places: Places,
) -> Result<(), Error> {
    let mut connection = Connection::from_fd(client)?;
    let uid = connection.peer_uid()?;
    let Some(_place) = places.take(uid) else {
        let no = Welcome::No("you have too many connections already".to_owned());
        return connection.send_within(&no, IDLE).await;
    };
    let Visitor { name, admin } = visitor;
    let authority = if admin { Authority::All } else { Authority::Own(uid) };
    let mut desk = Desk { shared, authority, name, watch: None };
    connection.send_within(&Welcome::Yes { admin }, IDLE).await?;
    loop {
        let request = connection.receive_within(IDLE).await?.head;
        let reply = desk.answer(request).await;
        let reply = reply.unwrap_or_else(|error| QueueReply::Fault(error.to_string()));
        connection.send_within(&reply, IDLE).await?;
    }
}

/// Where one administrator is served.
struct Desk {
    shared: Arc<Shared>,
    authority: Authority,
    /// Of the user who is served.
    name: String,
    /// Since the user asked to be told.
    watch: Option<Watch>,
}

impl Desk {
    async fn answer(&mut self, request: QueueRequest) -> Result<QueueReply, StoreError> {
        if self.authority != Authority::All && authority::is_of_administrators(&request) {
            return Ok(QueueReply::NotAllowed);
        }
        match request {
            QueueRequest::List { filter, after } => {
                self.listing(&self.shared.rules()).list(&filter, after).await
            }
            QueueRequest::Show(id) => self.listing(&self.shared.rules()).show(id).await,
            QueueRequest::Count => listing::count(&self.shared.store).await,
            QueueRequest::Change { filter, .. } if !filter::is_short(&filter) => {
                Ok(listing::too_much())
            }
            QueueRequest::Change { action, filter, after, dry_run } => {
                let selected = self.listing(&self.shared.rules()).select(&filter, after).await?;
                self.change(&action, &filter, selected, dry_run).await
            }
            QueueRequest::Hosts { after } => Ok(self.hosts(after.as_deref())),
            QueueRequest::Forget(forget) => Ok(self.forget(&forget)),
            QueueRequest::Statistics { reset } => self.statistics(reset).await,
            QueueRequest::Watch => {
                self.watch = Some(self.shared.reporter.watch());
                Ok(QueueReply::Watching)
            }
            QueueRequest::News => Ok(self.news().await),
        }
    }

    fn listing<'a>(&'a self, rules: &'a Rules) -> Listing<'a> {
        let Shared { store, clock, .. } = &*self.shared;
        Listing { store, clock, rules, rounds: Some(&self.shared), authority: self.authority }
    }

    async fn change(
        &self,
        action: &Action,
        filter: &Filter,
        Selected { mut messages, damaged, next }: Selected,
        dry_run: bool,
    ) -> Result<QueueReply, StoreError> {
        messages.retain(|message| change::applies(action, filter, message));
        if dry_run {
            let mut ids: Vec<_> = messages.iter().map(|message| message.id).collect();
            ids.extend(damaged.iter().filter(|_| *action == Action::Delete));
            return Ok(QueueReply::Changed { ids, next });
        }
        let mut changed = Vec::new();
        for some in messages.chunks(AT_ONCE) {
            changed.extend(self.change_some(action, filter, some).await?);
        }
        if *action == Action::Delete && !damaged.is_empty() {
            let retired = |&id| Change { id, fate: Fate::Retired, enqueue: Vec::new() };
            self.shared.store.change(damaged.iter().map(retired).collect()).await?;
            changed.extend(damaged);
        }
        for id in &changed {
            tracing::info!("{id}: {} by {}", change::what(action), self.name);
        }
        Ok(QueueReply::Changed { ids: changed, next })
    }

    /// Changes these in one transaction; says which.
    async fn change_some(
        &self,
        action: &Action,
        filter: &Filter,
        messages: &[Queued],
    ) -> Result<Vec<QueueId>, StoreError> {
        if change::needs_rest(action) {
            return self.change_at_rest(action, filter, messages).await;
        }
        let now = self.shared.clock.now();
        let ids = self.store(action, filter, messages).await?;
        if let Some(&id) = ids.first() {
            self.follow_up(action, &ids, Due { at: now, id }).await;
        }
        Ok(ids)
    }

    /// The same for those of them for which nothing is under way.
    async fn change_at_rest(
        &self,
        action: &Action,
        filter: &Filter,
        messages: &[Queued],
    ) -> Result<Vec<QueueId>, StoreError> {
        // As long as they are ours no round of attempts begins.
        let ours = messages.iter().map(|message| message.id).filter(|id| self.shared.begin(*id));
        let ours: Vec<_> = ours.collect();
        let Some(&id) = ours.first() else { return Ok(ours) };
        let changed = self.change_ours(action, filter, &ours).await;
        ours.iter().for_each(|id| self.shared.end(*id));
        // Bounces, and what has another way now; and what was passed over while it was ours.
        self.shared.wake(Wake::Due(Due { at: 0, id })).await;
        changed
    }

    async fn change_ours(
        &self,
        action: &Action,
        filter: &Filter,
        ours: &[QueueId],
    ) -> Result<Vec<QueueId>, StoreError> {
        // A round may have ended since they were looked at, and served some of their recipients.
        let mut messages = self.shared.store.look(ours.to_vec()).await?;
        let now = self.shared.clock.now();
        messages.retain(|message| {
            filter::fits(filter, message, now) && change::applies(action, filter, message)
        });
        self.store(action, filter, &messages).await
    }

    async fn store(
        &self,
        action: &Action,
        filter: &Filter,
        messages: &[Queued],
    ) -> Result<Vec<QueueId>, StoreError> {
        let mut changes = Vec::with_capacity(messages.len());
        for message in messages {
            changes.push(change::change(&self.shared, action, filter, message).await);
        }
        if !changes.is_empty() {
            self.shared.store.change(changes).await?;
        }
        Ok(messages.iter().map(|message| message.id).collect())
    }

    /// What was made due is to be looked at, and its next hops are to be tried; of what was taken
    /// away no further attempt is to be begun.
    async fn follow_up(&self, action: &Action, ids: &[QueueId], from: Due) {
        match action {
            Action::Retry | Action::Release => {
                self.shared.hops.revive();
                self.shared.wake(Wake::Due(from)).await;
            }
            Action::Hold { .. } | Action::Delete => self.shared.recall(ids),
            // They had to be at rest.
            Action::Bounce | Action::Redirect(_) => {}
        }
    }

    /// What is known of next hops.
    fn hosts(&self, after: Option<&str>) -> QueueReply {
        let clock = &self.shared.clock;
        let (known, is_all) = self.shared.hops.known(after, clock.now());
        let host = |Known { name, last, active, alone_until }: Known| Host {
            name,
            last: clock.wall_seconds(last.at),
            status: last.status,
            active: active as u64,
            alone_until: alone_until.map(|until| clock.wall_seconds(until)),
        };
        let hosts: Vec<_> = known.into_iter().map(host).collect();
        let next = hosts.last().filter(|_| !is_all).map(|host| host.name.clone());
        QueueReply::Hosts { hosts, next }
    }

    fn forget(&self, forget: &Forget) -> QueueReply {
        let now = self.shared.clock.now();
        let old = self.shared.rules().config.queue.host_status.as_millis();
        let forgotten = self.shared.hops.forget(|next_hop, last| match forget {
            Forget::Name(name) => next_hop.to_string().eq_ignore_ascii_case(name),
            Forget::Expired => u128::from(now.saturating_sub(last.at)) > old,
        });
        tracing::info!("{forgotten} next hops forgotten by {}", self.name);
        QueueReply::Forgotten(forgotten as u64)
    }

    async fn statistics(&self, reset: bool) -> Result<QueueReply, StoreError> {
        let Shared { counters, clock, .. } = &*self.shared;
        if !reset {
            return Ok(QueueReply::Statistics(Box::new(counters.now())));
        }
        let statistics = counters.reset(clock.wall_seconds(clock.now()));
        self.shared.save().await?;
        tracing::info!("statistics begun anew by {}", self.name);
        Ok(QueueReply::Statistics(Box::new(statistics)))
    }

    async fn news(&mut self) -> QueueReply {
        let Some(watch) = &mut self.watch else {
            return QueueReply::Fault("nothing is watched".to_owned());
        };
        let (news, missed) = watch.news(self.authority).await;
        QueueReply::News { news, missed }
    }
}
