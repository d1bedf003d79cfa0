//! Asking `policyd`.

use std::time::Duration;

use ipc::policy::{Check, Client, Question as Asked, Verdict, Verdicts};
use smtp::Reply;
use smtp::server::{Peer, Question};

use crate::room::Room;

/// RFC 5321 §4.5.3.2.3 has the client wait five minutes for the reply to RCPT.
const TIME: Duration = Duration::from_secs(60);

/// One verdict for each recipient; none at all where there is no answer, and then the session
/// defers them.
pub(crate) async fn ask(
    room: &Room,
    peer: &Peer,
    helo: &str,
    question: Question,
) -> Vec<Result<(), Reply>> {
    let expected = question.recipients.len();
    let check = Asked::Check(Check {
        client: match peer {
            Peer::Network(address) => Client::Network(*address),
            Peer::User { uid, .. } => Client::User { uid: *uid },
        },
        helo: helo.to_owned(),
        reverse_path: question.reverse_path,
        recipients: question.recipients,
    });
    match room.policyd.call::<_, Verdicts>(&check, b"", None, TIME).await {
        Ok(frame) if frame.head.0.len() == expected => {
            frame.head.0.into_iter().map(answer).collect()
        }
        Ok(_) => {
            tracing::error!("policyd gave another number of verdicts than recipients");
            Vec::new()
        }
        Err(error) => {
            tracing::warn!("policyd cannot be asked: {error}");
            Vec::new()
        }
    }
}

fn answer(verdict: Verdict) -> Result<(), Reply> {
    match verdict {
        Verdict::Accept => Ok(()),
        Verdict::Refuse { code, text } => Err(Reply::from_text(code.clamp(400, 599), &text)),
    }
}
