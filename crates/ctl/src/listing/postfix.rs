//! The listing of Postfix's `mailq` (postqueue -p) with long queue ids.

use std::io::{self, Write};

use envelope::printable;
use ipc::admin::{Message, State};
use jiff::tz::TimeZone;

use super::{clock, reason, why_held};

/// A listing under way.
#[derive(Debug)]
pub(crate) struct Postfix {
    zone: TimeZone,
    messages: u64,
    bytes: u64,
}

impl Postfix {
    pub(crate) const fn new(zone: TimeZone) -> Self {
        Self { zone, messages: 0, bytes: 0 }
    }

    pub(crate) fn message(&mut self, message: &Message, out: &mut impl Write) -> io::Result<()> {
        if self.messages == 0 {
            row(
                out,
                "----Queue ID-----",
                "--Size--",
                "---Arrival Time----",
                "--Sender/Recipient------",
            )?;
        }
        self.messages += 1;
        self.bytes += message.size;
        let id = format!("{}{}", message.id, mark(message.state));
        let time = clock(message.arrival, &self.zone, "%a %b %e %H:%M:%S");
        row(out, &id, &message.size.to_string(), &time, &sender(message))?;
        if message.state == State::Held {
            why(&format!("quarantine: {}", why_held(message)), out)?;
        }
        let mut said = None;
        for recipient in &message.recipients {
            let last = recipient.last.as_ref().map(reason);
            if last != said
                && let Some(text) = &last
            {
                why(text, out)?;
            }
            said = last;
            let address = recipient.address.to_string();
            row(out, "", "", "", &printable(&address).to_string())?;
        }
        writeln!(out)
    }

    pub(crate) fn end(&self, out: &mut impl Write) -> io::Result<()> {
        if self.messages == 0 {
            return writeln!(out, "Mail queue is empty");
        }
        let plural = if self.messages == 1 { "" } else { "s" };
        writeln!(out, "-- {} Kbytes in {} Request{plural}.", self.bytes / 1024, self.messages)
    }
}

/// The reverse-path; Postfix shows the null one so.
pub(super) fn sender(message: &Message) -> String {
    match &message.reverse_path.0 {
        Some(address) => printable(&address.to_string()).to_string(),
        None => "MAILER-DAEMON".to_owned(),
    }
}

const fn mark(state: State) -> &'static str {
    match state {
        State::Active => "*",
        State::Held => "!",
        State::Waiting | State::Overload => "",
    }
}

/// Why a message, or the recipients that follow, are still here.
fn why(text: &str, out: &mut impl Write) -> io::Result<()> {
    let padding = 76_usize.saturating_sub(text.chars().count());
    writeln!(out, "{:padding$}({text})", "")
}

fn row(out: &mut impl Write, id: &str, size: &str, time: &str, who: &str) -> io::Result<()> {
    writeln!(out, "{id:<17} {size:>8} {time:<19} {who}")
}
