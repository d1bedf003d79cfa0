//! What the log says about an attempt: a line for each recipient, as sendmail writes it.

use envelope::Status;
use ipc::delivery::Attempt;
use smtp::client::Answer;

pub(crate) fn log(attempt: &Attempt, relay: &str, answers: &[Answer]) {
    for (recipient, answer) in attempt.recipients.iter().zip(answers) {
        tracing::info!(
            "{}: to=<{}>, relay={relay}, dsn={}, stat={}",
            attempt.id,
            recipient.address,
            answer.status.code(),
            stat(&answer.status),
        );
    }
}

/// The text may come from outside; the log escapes every line it writes.
fn stat(status: &Status) -> String {
    let detail = status.detail();
    let code = detail.code.map(|code| format!("{code} ")).unwrap_or_default();
    let text = format!("{code}{}", detail.text.replace('\n', " "));
    match status {
        Status::Delivered(_) => format!("Sent ({text})"),
        Status::Deferred(_) => format!("Deferred: {text}"),
        Status::Failed(_) => text,
    }
}
