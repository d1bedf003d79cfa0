//! Asking `policyd`.

use std::net::IpAddr;
use std::time::Duration;

use ipc::policy::{Check, Client, Question as Asked, Terms, Verdict, Verdicts};
use smtp::Reply;
use smtp::server::{Peer, Question, Verdict as Answer};

use crate::room::Room;

/// RFC 5321 §4.5.3.2.3 has the client wait five minutes for the reply to RCPT.
const TIME: Duration = Duration::from_secs(60);

/// Who waits for the greeting waits five minutes (RFC 5321 §4.5.3.2.1), but for whom nobody can say
/// anything the configuration speaks.
const TERMS: Duration = Duration::from_secs(10);

/// On what terms the client is served; `None`: nobody says.
pub(crate) async fn terms(room: &Room, client: IpAddr) -> Option<Terms> {
    match room.policyd.call::<_, Terms>(&Asked::Terms(client), b"", None, TERMS).await {
        Ok(frame) => Some(frame.head),
        Err(error) => {
            tracing::warn!("policyd cannot be asked: {error}");
            None
        }
    }
}

/// One verdict for each recipient; none at all where there is no answer, and then the session
/// defers them.
pub(crate) async fn ask(room: &Room, peer: &Peer, helo: &str, question: Question) -> Vec<Answer> {
    let expected = question.recipients.len();
    let check = Asked::Check(Check {
        client: match peer {
            Peer::Network(address) => Client::Network(*address),
            Peer::User { uid, .. } => Client::User { uid: *uid },
        },
        helo: helo.to_owned(),
        reverse_path: question.reverse_path,
        unqualified: question.unqualified,
        aliasing: question.aliasing,
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

fn answer(verdict: Verdict) -> Answer {
    match verdict {
        Verdict::Accept(disposition) => Ok(disposition),
        Verdict::Refuse { code, text } => Err(Reply::from_text(code.clamp(400, 599), &text)),
    }
}
