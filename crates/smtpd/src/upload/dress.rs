//! What we put in front of the content of a message.

use config::Role;
use message::{Completion, Received};
use smtp::server::{Opening, Protocol};

use crate::room::Room;

/// The content with our `Received` field in front (RFC 5321 §4.4), and where in it the queue id
/// goes. A submission is given the fields it lacks (RFC 6409 §8).
pub(super) fn dressed(room: &Room, opening: &Opening, content: &[u8]) -> (Vec<u8>, Option<u32>) {
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
        recipient: match envelope.recipients.as_slice() {
            [recipient] => Some(&recipient.address),
            _ => None,
        },
        date,
    };
    let id_at = received.write(&mut body);
    match room.role {
        Role::Submission => body.extend(message::completion(
            content,
            &Completion {
                date,
                random: fastrand::u64(..),
                hostname: &room.config.hostname,
                from: envelope.reverse_path.0.as_ref(),
                full_name: None,
            },
        )),
        Role::Mx => body.extend_from_slice(message::separator(content)),
    }
    body.extend_from_slice(content);
    (body, u32::try_from(id_at).ok())
}
