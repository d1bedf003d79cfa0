//! One attempt: wait for the turn, have the agent deliver, and take what it says.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use envelope::{Detail, Enhanced};
use ipc::Error;
use ipc::delivery::{Attempt, Destination, Outcome, Outcomes};

use crate::hops::{Claim, Turn};
use crate::outcome::Ending;
use crate::shared::{Course, Shared};
use crate::store::Content;

/// `remote` tries several hosts, each with minutes of patience for each phase (RFC 5321
/// §4.5.3.2); it answers long before, unless it hangs.
const REMOTE: Duration = Duration::from_secs(4 * 3600);
/// A mailbox lock or a command may take its time.
const LOCAL: Duration = Duration::from_secs(3600);

/// Makes the attempt, and says how it ended for each of its recipients, in order. Empty: it was
/// not made, because the message was held or deleted, the store is out of order, or this process
/// is ending.
pub(super) async fn make(
    shared: Arc<Shared>,
    claim: Claim,
    request: Attempt,
    content: Option<Bytes>,
) -> Vec<Ending> {
    let all = |ending: Ending| vec![ending; request.recipients.len()];
    let _slot = match claim.turn(|| shared.clock.now()).await {
        Turn::Go(slot) => slot,
        Turn::Alone(alone) => return all(Ending::Alone(alone)),
        Turn::Closing => return Vec::new(),
    };
    if shared.course(request.id) == Some(Course::Recalled) {
        return Vec::new();
    }
    let content = match content {
        Some(content) => Content::Inline(content),
        None => match shared.store.content(request.id).await {
            Ok(Some(content)) => content,
            Ok(None) => return Vec::new(),
            Err(error) => {
                tracing::warn!("{}: its content cannot be read now: {error}", request.id);
                return Vec::new();
            }
        },
    };
    match ask(&shared, &request, content).await {
        Ok(outcomes) if outcomes.recipients.len() == request.recipients.len() => {
            note_reachable(&shared, &claim, &outcomes);
            outcomes.recipients.into_iter().map(Ending::Answered).collect()
        }
        Ok(_) => all(Ending::Fault("the agent answered for other recipients".to_owned())),
        Err(error) => all(Ending::Fault(error.to_string())),
    }
}

async fn ask(shared: &Shared, request: &Attempt, content: Content) -> Result<Outcomes, Error> {
    let agent = shared.agent(&request.destination);
    let time = match request.destination {
        Destination::Remote(_) => REMOTE,
        Destination::Local { .. } => LOCAL,
    };
    let reply = match content {
        Content::Inline(content) => agent.call(request, &content, None, time).await?,
        Content::File(file) => agent.call(request, b"", Some(&file.into()), time).await?,
    };
    Ok(reply.head)
}

/// Remembers whether the destination is alive.
fn note_reachable(shared: &Shared, claim: &Claim, outcomes: &Outcomes) {
    if !outcomes.unreachable {
        return claim.reached();
    }
    let detail = outcomes.recipients.first().map_or_else(
        || Detail::ours(Enhanced::NO_ANSWER, "no host could be reached"),
        |outcome| match outcome {
            Outcome::Status(status) | Outcome::Relayed(status) => status.detail().clone(),
        },
    );
    claim.unreachable(detail, shared.clock.now());
}
