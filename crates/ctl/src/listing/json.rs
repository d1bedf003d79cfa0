//! Messages as JSON, one object a line.

use std::io::{self, Write};

use ipc::admin::{Message, Recipient, State};
use serde_json::{Value, json};

use super::{postfix, reason};

/// With the keys of `postqueue -j`.
pub(crate) fn postqueue(message: &Message) -> Value {
    let recipient = |recipient: &Recipient| match &recipient.last {
        Some(status) => {
            json!({ "address": recipient.address.to_string(), "delay_reason": reason(status) })
        }
        None => json!({ "address": recipient.address.to_string() }),
    };
    let mut shown = json!({
        "queue_name": match message.state {
            State::Waiting | State::Overload => "deferred",
            State::Active => "active",
            State::Held => "hold",
        },
        "queue_id": message.id.to_string(),
        "arrival_time": message.arrival,
        "message_size": message.size,
        "forced_expire": false,
        "sender": postfix::sender(message),
        "recipients": message.recipients.iter().map(recipient).collect::<Vec<_>>(),
    });
    // A key that Postfix has not.
    if let Some(reason) = &message.quarantine {
        shown.as_object_mut().map(|keys| keys.insert("quarantine".to_owned(), json!(reason)));
    }
    shown
}

/// With everything that is known. Times are seconds since 1970; the null reverse-path is empty.
pub(crate) fn shown(message: &Message) -> Value {
    let recipient = |recipient: &Recipient| {
        json!({
            "address": recipient.address.to_string(),
            "route": recipient.route,
            "attempts": recipient.attempts,
            "last_attempt": recipient.last_time,
            "status": recipient.last.as_ref().map(envelope::Status::code),
            "reason": recipient.last.as_ref().map(reason),
        })
    };
    json!({
        "id": message.id.to_string(),
        "state": state(message.state),
        "priority": message.priority,
        "quarantine": message.quarantine,
        "from": message.reverse_path.to_string(),
        "arrival": message.arrival,
        "size": message.size,
        "next_attempt": message.next_attempt,
        "origin": message.origin,
        "recipients": message.recipients.iter().map(recipient).collect::<Vec<_>>(),
    })
}

const fn state(state: State) -> &'static str {
    match state {
        State::Waiting => "waiting",
        State::Active => "active",
        State::Held => "held",
        State::Overload => "overload",
    }
}

/// One object on one line.
pub(crate) fn line(value: &Value, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "{value}")
}
