//! What we put in front of the content of a message.

use config::Role;
use envelope::HeaderCare;
use message::{Completion, Received, end_of_header, qualify_header, whole_fields};
use smtp::server::{Opening, Protocol};

use crate::room::Room;

/// How much of the content there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Extent {
    Whole,
    /// More is to come.
    Beginning,
}

/// The content with our `Received` field in front (RFC 5321 §4.4), and where in it the queue id
/// goes. A submission is given what it lacks (RFC 6409 §8).
pub(super) fn dressed(
    room: &Room,
    opening: &Opening,
    content: &[u8],
    extent: Extent,
) -> (Vec<u8>, Option<u32>) {
    const FIELDS: usize = 1024;
    let envelope = &opening.envelope;
    let date = room.date();
    let mut body = Vec::with_capacity(FIELDS + content.len());
    let received = Received {
        origin: &envelope.origin,
        by: &room.config.hostname,
        with: match opening.protocol {
            Protocol::Smtp => message::Protocol::Smtp,
            Protocol::Esmtp => message::Protocol::Esmtp,
            Protocol::Utf8Smtp => message::Protocol::Utf8Smtp,
        },
        client: room.claims.original_client(opening),
        recipient: match envelope.recipients.as_slice() {
            [recipient] => Some(&recipient.address),
            _ => None,
        },
        date,
    };
    let id_at = received.write(&mut body);
    match room.role {
        Role::Submission => submission(&mut body, room, opening, content, extent),
        Role::Mx => {
            body.extend_from_slice(message::separator(content));
            body.extend_from_slice(content);
        }
    }
    (body, u32::try_from(id_at).ok())
}

/// Writes what our own users send, with who they are if they do not say so.
fn submission(body: &mut Vec<u8>, room: &Room, opening: &Opening, content: &[u8], extent: Extent) {
    let (envelope, hostname) = (&opening.envelope, &room.config.hostname);
    if let Some(warning) = room.claims.warning(&envelope.origin, &envelope.reverse_path) {
        body.extend_from_slice(warning.as_bytes());
    }
    if opening.submission.header == HeaderCare::Leave {
        body.extend_from_slice(message::separator(content));
        return body.extend_from_slice(content);
    }
    body.extend(message::completion(
        content,
        &Completion {
            date: room.date(),
            random: fastrand::u64(..),
            hostname,
            from: envelope.reverse_path.0.as_ref(),
            full_name: None,
        },
    ));
    let header = match extent {
        Extent::Whole => content.get(..end_of_header(content)).unwrap_or_default(),
        Extent::Beginning => whole_fields(content),
    };
    match qualify_header(header, hostname) {
        Some(qualified) => {
            body.extend(qualified);
            body.extend_from_slice(content.get(header.len()..).unwrap_or_default());
        }
        None => body.extend_from_slice(content),
    }
}
