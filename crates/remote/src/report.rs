//! What the log says about an attempt: a line for each recipient, as sendmail writes it.

use ipc::delivery::Attempt;
use smtp::client::Answer;

pub(crate) fn log(attempt: &Attempt, relay: &str, answers: &[Answer]) {
    for (recipient, answer) in attempt.recipients.iter().zip(answers) {
        let (id, address, status) = (attempt.id, &recipient.address, answer.status.logged());
        tracing::info!("{id}: to=<{address}>, relay={relay}, {status}");
    }
}
