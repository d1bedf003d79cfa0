//! `qmgr --read-only`: a queue whose mail system does not run, shown to whoever started this process.
//!
//! Who that is, is nobody's question here: he could read the file without us, or this process could not.
//! **Invariant:** nothing is changed and nothing is tried; there is nobody who could.

use daemon::{Error, Generation};
use ipc::admin::{QueueReply, QueueRequest, Visitor, Welcome};
use ipc::{Connection, Incoming};

use super::IDLE;
use super::authority::Authority;
use super::listing::{self, Listing};
use crate::clock::Timepiece;
use crate::rules::Rules;
use crate::shared::saved;
use crate::store::{Store, StoreError};

/// What a listing needs, and no more.
#[derive(Debug)]
pub struct AtRest {
    store: Store,
    clock: Timepiece,
    rules: Rules,
}

impl AtRest {
    /// Opens the queue of this generation.
    ///
    /// # Errors
    /// The queue or a table cannot be read.
    pub async fn open(generation: &Generation) -> Result<Self, Error> {
        let rules = Rules::read(generation)?;
        let store = Store::at_rest(&rules.config.paths.queue).await?;
        let clock = Timepiece::start(saved(&store).await?);
        Ok(Self { store, clock, rules })
    }

    async fn answer(&self, request: QueueRequest) -> Result<QueueReply, StoreError> {
        let Self { store, clock, rules } = self;
        let listing = Listing { store, clock, rules, rounds: None, authority: Authority::All };
        match request {
            QueueRequest::List { filter, after } => listing.list(&filter, after).await,
            QueueRequest::Show(id) => listing.show(id).await,
            QueueRequest::Count => listing::count(store).await,
            QueueRequest::Change { .. }
            | QueueRequest::Hosts { .. }
            | QueueRequest::Forget(_)
            | QueueRequest::Statistics { .. }
            | QueueRequest::Watch
            | QueueRequest::News => Ok(QueueReply::Fault(
                "the mail system does not run: it can be listed only".to_owned(),
            )),
        }
    }
}

/// Serves the one who comes until he goes, or tells him why there is nothing to be seen.
///
/// # Errors
/// He cannot be understood, or does not read.
pub async fn show(opened: Result<AtRest, Error>, mut incoming: Incoming) -> Result<(), ipc::Error> {
    let mut door = incoming.next().await;
    let client = door.receive_within::<Visitor>(IDLE).await?.descriptor;
    let client = client.ok_or(ipc::Error::PeerMisbehaved("a visitor without a socket"))?;
    door.send_within(&(), IDLE).await?;
    let mut client = Connection::from_fd(client)?;
    let at_rest = match opened {
        Ok(at_rest) => at_rest,
        Err(why) => return client.send_within(&Welcome::No(why.to_string()), IDLE).await,
    };
    client.send_within(&Welcome::Yes { admin: true }, IDLE).await?;
    loop {
        let request = match client.receive_within(IDLE).await {
            Ok(frame) => frame.head,
            Err(ipc::Error::PeerGone) => return Ok(()),
            Err(error) => return Err(error),
        };
        let reply = at_rest.answer(request).await;
        let reply = reply.unwrap_or_else(|error| QueueReply::Fault(error.to_string()));
        client.send_within(&reply, IDLE).await?;
    }
}
