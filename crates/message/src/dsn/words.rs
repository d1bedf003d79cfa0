//! The part of a notification that people read: what happened, why in the other side's words, and
//! what to do.

use std::fmt::Write as _;

use envelope::{Enhanced, printable};
use mail_parser::HeaderForm;

use super::returned::Extent;
use super::{Action, Kind, RecipientReport, Report};
use crate::first;

const WIDTH: usize = 72;

/// Names one address, and how many more there are.
pub(super) fn subject(report: &Report<'_>) -> String {
    let first = report.recipients.first().map(|one| one.address.to_string()).unwrap_or_default();
    let first = printable(&first);
    let to = match report.recipients.len() {
        0 => String::new(),
        1 => format!(" to {first}"),
        2 => format!(" to {first} and another recipient"),
        all => format!(" to {first} and {} others", all - 1),
    };
    match report.kind {
        Kind::Failure => format!("Your message{to} could not be delivered"),
        Kind::Delay => format!("Your message{to} is delayed"),
        Kind::Success => format!("Your message{to} was delivered"),
    }
}

/// The whole text, LF line ends.
pub(super) fn write(report: &Report<'_>, returned: Extent) -> String {
    let mut text = Wrapped(String::new());
    text.paragraph("", &format!("This is the mail system at {}.", report.hostname));
    text.paragraph("", opening(report.kind));
    message(&mut text, report);
    for recipient in report.recipients {
        text.line("", &format!("<{}>", recipient.address));
        told(&mut text, report.kind, recipient);
        text.end();
    }
    let extent = match returned {
        Extent::Message => "Your message",
        Extent::Header => "The header of your message",
    };
    let closing = format!(
        "{extent} is attached. If you ask an administrator for help, send all of this notice along."
    );
    text.paragraph("", &closing);
    text.0
}

const fn opening(kind: Kind) -> &'static str {
    match kind {
        Kind::Failure => {
            "The message below could not be delivered to the recipients named here, and will not \
             be tried again."
        }
        Kind::Delay => {
            "The message below has not been delivered yet to the recipients named here. \
             It is being tried on: you need not send it again."
        }
        Kind::Success => {
            "You asked to be told when the message below is delivered. This is that notice."
        }
    }
}

/// What the author knows the message by.
fn message(text: &mut Wrapped, report: &Report<'_>) {
    const MAX_SUBJECT: usize = 200;
    if let Some(field) = first(report.original.content, "Subject") {
        let parsed = HeaderForm::Text.parse(field.value);
        let value = parsed.value();
        let subject: String =
            value.as_text().unwrap_or_default().chars().take(MAX_SUBJECT).collect();
        text.line("    ", &format!("Subject: {subject}"));
    }
    text.line("    ", &format!("Arrived: {}", report.arrival));
    if let Some(id) = report.id {
        text.line("    ", &format!("Our id:  {id}"));
    }
    text.end();
}

fn told(text: &mut Wrapped, kind: Kind, recipient: &RecipientReport<'_>) {
    match kind {
        Kind::Failure => {
            answer(text, recipient);
            text.line("    ", advice(recipient.status.detail().enhanced));
        }
        Kind::Delay => {
            answer(text, recipient);
            if let Some(date) = recipient.retry_until {
                text.line("    ", &format!("It will be tried until {date}."));
            }
        }
        Kind::Success => text.line("    ", &arrived(recipient)),
    }
}

/// Why: a reply line by line as it came, or our own words.
fn answer(text: &mut Wrapped, recipient: &RecipientReport<'_>) {
    let detail = recipient.status.detail();
    let Some(remote) = &detail.remote else {
        return text.line("    ", &detail.text);
    };
    text.line("    ", &format!("{remote} said:"));
    let code = detail.code.map(|code| format!("{code} ")).unwrap_or_default();
    for line in detail.text.lines() {
        text.line("      ", &format!("{code}{line}"));
    }
}

fn arrived(recipient: &RecipientReport<'_>) -> String {
    match recipient.action {
        Action::Relayed => {
            let remote = recipient.status.detail().remote.as_deref().unwrap_or("another system");
            format!(
                "was handed over to {remote}, which does not tell of deliveries: \
                 this is the last you hear of it, unless it fails."
            )
        }
        Action::Expanded => "was passed on to those whom this address stands for.".to_owned(),
        Action::Delivered | Action::Delayed | Action::Failed => {
            "was delivered to the mailbox.".to_owned()
        }
    }
}

/// What a failure means and what to do, by its enhanced status code (RFC 3463 §3).
const fn advice(code: Enhanced) -> &'static str {
    match code {
        Enhanced::BAD_MAILBOX | Enhanced(1, 6) => {
            "There is no mailbox of this name. Check the spelling and send it again, or ask the \
             recipient for the present address."
        }
        Enhanced::BAD_SYSTEM | Enhanced::NULL_MX | Enhanced::UNROUTABLE => {
            "There is no mail system for this domain. Check what stands after the @ and send it \
             again."
        }
        Enhanced(1, _) => "The address is not in order. Check it and send the message again.",
        Enhanced::MAILBOX_FULL => {
            "The mailbox is full. Send the message again later, or reach the recipient another way."
        }
        Enhanced(2 | 3, 3 | 4) => {
            "The message is too large. Send less at a time, or put the attachments where the \
             recipient can fetch them."
        }
        Enhanced(2, _) => "The mailbox takes no mail now. Reach the recipient another way.",
        Enhanced::LOOP => {
            "The message went round in a circle. The administrator of the recipient's system \
             should know of this."
        }
        Enhanced(4, _) => {
            "The recipient's system could not be reached for too long. Send the message again \
             later, or reach the recipient another way."
        }
        Enhanced(6, _) => {
            "The recipient's system cannot take the message in this form. Send it as plain text, \
             or without attachments."
        }
        Enhanced(7, _) => {
            "The recipient's system does not accept this message from you. Its administrator can \
             say why; the answer above is the clue."
        }
        Enhanced(_, _) => {
            "If the answer above does not explain it, the administrator of the recipient's system \
             can: reach them or the recipient another way."
        }
    }
}

/// Text in lines of at most [`WIDTH`] where its words allow that, safe to show.
struct Wrapped(String);

impl Wrapped {
    fn paragraph(&mut self, indent: &str, words: &str) {
        self.line(indent, words);
        self.end();
    }

    fn end(&mut self) {
        self.0.push('\n');
    }

    /// Starts a new line for `words`, and more where they need them.
    fn line(&mut self, indent: &str, words: &str) {
        let mut column = 0;
        for word in words.split([' ', '\t', '\r', '\n']) {
            if column > 0 && column + 1 + word.len() > WIDTH {
                self.0.push('\n');
                column = 0;
            }
            let gap = if column == 0 { indent } else { " " };
            write!(self.0, "{gap}{}", printable(word))
                .expect("invariant: a String takes every write");
            column += gap.len() + word.len();
        }
        self.0.push('\n');
    }
}
