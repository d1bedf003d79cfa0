//! What the log says about an attempt: a line for each recipient, as sendmail writes it.

use std::time::Duration;

use envelope::DeliveryLine;
use ipc::delivery::Attempt;
use smtp::client::Answer;

/// `took`: how long it took.
pub(crate) fn log(
    attempt: &Attempt,
    took: Duration,
    mailer: Option<&str>,
    relay: &str,
    answers: &[Answer],
) {
    for (number, answer) in answers.iter().enumerate() {
        if let Some(line) = attempt.line(number, &answer.status) {
            let took = Some(took.as_secs());
            let line = DeliveryLine { attempt: took, mailer, relay: Some(relay), ..line };
            tracing::info!("{line}");
        }
    }
}
