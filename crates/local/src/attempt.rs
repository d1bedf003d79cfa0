//! One attempt: its recipients, one after the other, through one `deliver` process of the user.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use config::Config;
use envelope::{Detail, Enhanced, Status};
use ipc::delivery::{Attempt, Destination, Outcome, Outcomes, Recipient};
use ipc::mailbox::Store;
use ipc::{Client, Frame};
use tokio::time::Instant;

use crate::conversation::Content;
use crate::place::{self, Names};
use crate::processes::Processes;

/// After so long an attempt begins nothing more: `qmgr` waits an hour for what came of it, and what
/// is delivered later is delivered twice. A command takes ten minutes at most.
const BEGIN_WITHIN: Duration = Duration::from_secs(45 * 60);

/// What carries attempts out.
#[derive(Debug)]
pub(crate) struct Agent {
    config: Arc<Config>,
    pub(crate) processes: Processes,
}

impl Agent {
    pub(crate) fn new(config: &Arc<Config>, supervisor: Client) -> Self {
        let processes = Processes::new(supervisor, &config.local.mailbox);
        Self { config: Arc::clone(config), processes }
    }

    /// Delivers to every recipient and says what came of each.
    pub(crate) async fn deliver(&self, frame: Frame<Attempt>) -> Outcomes {
        let Frame { head: attempt, body, descriptor } = frame;
        let content = Content { body, descriptor: descriptor.map(Arc::new) };
        let deadline = Instant::now() + BEGIN_WITHIN;
        let mut outcomes = Vec::with_capacity(attempt.recipients.len());
        for recipient in &attempt.recipients {
            let status = self.deliver_to(&attempt, recipient, &content, deadline).await;
            log(&attempt, recipient, &status);
            outcomes.push(Outcome::Status(status));
        }
        Outcomes { recipients: outcomes, unreachable: false }
    }

    async fn deliver_to(
        &self,
        attempt: &Attempt,
        to: &Recipient,
        content: &Content,
        deadline: Instant,
    ) -> Status {
        let Destination::Local { user, detail } = &attempt.destination else {
            return Status::fault("not a destination of this machine");
        };
        if !place::is_name(user) {
            return Status::Failed(Detail::ours(Enhanced::BAD_MAILBOX, "User unknown"));
        }
        let turn = tokio::time::timeout_at(deadline, self.processes.turn_of(user)).await;
        let Some(turn) = turn.ok().filter(|_| Instant::now() < deadline) else {
            return Status::fault("too much is under way for this user, or for all");
        };
        let process = match self.processes.process(&turn, user, attempt.id).await {
            Ok(process) => process,
            Err(status) => return status,
        };
        let names = Names { user, home: &process.home, detail: detail.as_deref() };
        let mailbox = &self.config.local.mailbox;
        let place = place::substitute(mailbox, &names)
            .and_then(|place| Ok((place, place::tree(mailbox, &names)?)));
        let store = match place {
            Ok(place) => self.store(attempt, to, &names, place),
            Err(status) => return status,
        };
        process.conversation.store(store, content.clone()).await
    }

    fn store(
        &self,
        attempt: &Attempt,
        to: &Recipient,
        names: &Names<'_>,
        (place, tree): (ipc::mailbox::Place, PathBuf),
    ) -> Store {
        Store {
            // Given when it is sent.
            number: 0,
            id: attempt.id,
            reverse_path: attempt.reverse_path.clone(),
            recipient: to.address.clone(),
            place,
            tree,
            user: names.user.to_owned(),
            home: Path::to_owned(names.home),
            detail: names.detail.map(str::to_owned),
            hostname: self.config.hostname.clone(),
            size: attempt.size,
            arrival: attempt.arrival,
            make_home: self.config.rooted,
        }
    }
}

fn log(attempt: &Attempt, recipient: &Recipient, status: &Status) {
    let (id, address, status) = (attempt.id, &recipient.address, status.logged());
    tracing::info!("{id}: to=<{address}>, mailer=local, {status}");
}
