//! One attempt: wait for the turn, have the agent deliver, and take what it says.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use envelope::{Detail, Enhanced, Origin, Status};
use ipc::Error;
use ipc::admin::News;
use ipc::delivery::{Attempt, Destination, Outcome, Outcomes};

use crate::hops::{Claim, Turn};
use crate::outcome::Ending;
use crate::shared::{AtHand, Course, Shared};
use crate::store;

/// `remote` tries several hosts, each with minutes of patience for each phase (RFC 5321
/// §4.5.3.2); it answers long before, unless it hangs.
const REMOTE: Duration = Duration::from_secs(4 * 3600);
/// A mailbox lock or a command may take its time.
const LOCAL: Duration = Duration::from_secs(3600);

/// Where the content is.
pub(super) enum Content {
    AtHand(AtHand),
    /// In the database.
    Short,
    /// In a spool file.
    Long,
}

/// Makes the attempt, and says how it ended for each of its recipients, in order. Empty: it was
/// not made, because the message was held or deleted, the store is out of order, or this process
/// is ending. `watched`: the message's origin, if somebody wants to see what was said.
pub(super) async fn make(
    shared: Arc<Shared>,
    claim: Claim,
    request: Attempt,
    content: Content,
    watched: Option<Origin>,
) -> Vec<Ending> {
    let all = |ending: Ending| vec![ending; request.recipients.len()];
    let at_hand = read_ahead(&shared, &request, content).await;
    let _slot = match claim.turn(|| shared.clock.now()).await {
        Turn::Go(slot) => slot,
        Turn::Alone(alone) => return all(Ending::Alone(alone)),
        Turn::Closing => return Vec::new(),
    };
    if shared.course(request.id) == Some(Course::Recalled) {
        return Vec::new();
    }
    let asked = match at_hand {
        Some(content) => ask(&shared, &request, &content.bytes, None).await,
        None => match shared.store.content(request.id).await {
            Ok(Some(store::Content::Inline(bytes))) => ask(&shared, &request, &bytes, None).await,
            Ok(Some(store::Content::File(file))) => ask(&shared, &request, b"", Some(file)).await,
            Ok(None) => return Vec::new(),
            Err(error) => {
                tracing::warn!("{}: its content cannot be read now: {error}", request.id);
                return Vec::new();
            }
        },
    };
    match asked {
        Ok(mut outcomes) if outcomes.recipients.len() == request.recipients.len() => {
            note(&shared, &claim, &request, &outcomes);
            if let Some(origin) = watched.filter(|_| !outcomes.dialogue.is_empty()) {
                let dialogue = std::mem::take(&mut outcomes.dialogue);
                shared.reporter.tell(&origin, || News::Dialogue { id: request.id, dialogue });
            }
            outcomes.recipients.into_iter().map(Ending::Answered).collect()
        }
        Ok(_) => all(Ending::Fault("the agent answered for other recipients".to_owned())),
        Err(error) => all(Ending::Fault(error.to_string())),
    }
}

/// Reads short content before the turn has come, so that no slot waits for the disk. What cannot be
/// read now is asked for again when it is needed.
async fn read_ahead(shared: &Shared, request: &Attempt, content: Content) -> Option<AtHand> {
    match content {
        Content::AtHand(content) => Some(content),
        Content::Short => {
            let room = shared.room(request.size)?;
            match shared.store.content(request.id).await {
                Ok(Some(store::Content::Inline(bytes))) => Some(room.hold(bytes)),
                Ok(Some(store::Content::File(_)) | None) | Err(_) => None,
            }
        }
        Content::Long => None,
    }
}

async fn ask(
    shared: &Shared,
    request: &Attempt,
    content: &[u8],
    file: Option<File>,
) -> Result<Outcomes, Error> {
    let time = match request.destination {
        Destination::Remote(_) => REMOTE,
        Destination::Local { .. } | Destination::Special { .. } => LOCAL,
    };
    let file = file.map(OwnedFd::from);
    let agent = shared.agent(&request.destination);
    Ok(agent.call(request, content, file.as_ref(), time).await?.head)
}

/// Remembers what the destination answered, and whether it is alive.
fn note(shared: &Shared, claim: &Claim, request: &Attempt, outcomes: &Outcomes) {
    let now = shared.clock.now();
    let statuses = || outcomes.recipients.iter().filter_map(status);
    if outcomes.unreachable {
        let detail = statuses().next().map_or_else(
            || Detail::ours(Enhanced::NO_ANSWER, "no host could be reached"),
            |status| status.detail().clone(),
        );
        claim.unreachable(detail, now);
        return;
    }
    if let Some(last) = statuses().next_back() {
        claim.reached(last.clone(), now);
    }
    shared.counters.attempted(&request.destination, request.size, statuses());
}

const fn status(outcome: &Outcome) -> Option<&Status> {
    match outcome {
        Outcome::Status(status) | Outcome::Relayed(status) => Some(status),
        Outcome::Expanded(_) => None,
    }
}
