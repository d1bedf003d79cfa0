//! The listing of sendmail's `mailq` (queue.c), column by column: scripts read it by position.

use std::io::{self, Write};

use envelope::printable;
use ipc::admin::{Message, Recipient, State};
use jiff::tz::TimeZone;

use super::{clock, cut, reason, why_held};

/// What scripts look for in the first line, whatever the directory is really called.
const QUEUE: &str = "/var/spool/mqueue";

/// `-v`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Detailed {
    No,
    Yes,
}

/// A listing under way.
#[derive(Debug)]
pub(crate) struct Sendmail {
    detailed: Detailed,
    zone: TimeZone,
    total: u64,
}

impl Sendmail {
    pub(crate) const fn new(detailed: Detailed, zone: TimeZone) -> Self {
        Self { detailed, zone, total: 0 }
    }

    /// The first lines, for a queue of `count` messages.
    pub(crate) fn begin(&self, count: u64, out: &mut impl Write) -> io::Result<()> {
        if count == 0 {
            return writeln!(out, "{QUEUE} is empty");
        }
        let plural = if count == 1 { "" } else { "s" };
        writeln!(out, "\t\t{QUEUE} ({count} request{plural})")?;
        out.write_all(match self.detailed {
            Detailed::No => b"-----Q-ID----- --Size-- -----Q-Time----- ------------Sender/Recipient-----------\n",
            Detailed::Yes => b"-----Q-ID----- --Size-- -Priority- ---Q-Time--- --------Sender/Recipient--------\n",
        })
    }

    pub(crate) fn message(&mut self, message: &Message, out: &mut impl Write) -> io::Result<()> {
        self.total += 1;
        let mark = match message.state {
            State::Active => '*',
            State::Overload => 'X',
            State::Waiting | State::Held => ' ',
        };
        let sender = format!("<{}>", message.reverse_path);
        let sender = printable(&sender).to_string();
        write!(out, "{:>13}{mark}", message.id)?;
        match self.detailed {
            Detailed::No => {
                let time = clock(message.arrival, &self.zone, "%a %b %e %H:%M");
                write!(out, "{:>8} {time} {}", message.size, cut(&sender, 39))?;
            }
            Detailed::Yes => {
                let time = clock(message.arrival, &self.zone, "%b %e %H:%M");
                let Message { size, priority, .. } = message;
                write!(out, "{size:>8} {priority:>10} {time} {}", cut(&sender, 78))?;
            }
        }
        self.state(message, out)?;
        message.recipients.iter().try_for_each(|recipient| self.recipient(recipient, out))?;
        writeln!(out)
    }

    fn state(&self, message: &Message, out: &mut impl Write) -> io::Result<()> {
        if message.state == State::Held {
            let width = match self.detailed {
                Detailed::No => 60,
                Detailed::Yes => 100,
            };
            write!(out, "\n     QUARANTINE: {}", cut(&why_held(message), width))?;
        }
        let body = if message.eight_bit { "8BITMIME" } else { "" };
        let status = match self.detailed {
            Detailed::No => message.recipients.iter().find_map(deferral),
            Detailed::Yes => None,
        };
        if !body.is_empty() || status.is_some() {
            write!(out, "\n    {body:>10}")?;
        }
        status.map_or(Ok(()), |text| write!(out, "   ({})", cut(&text, 60)))
    }

    fn recipient(&self, recipient: &Recipient, out: &mut impl Write) -> io::Result<()> {
        let address = format!("<{}>", recipient.address);
        let address = printable(&address).to_string();
        match self.detailed {
            Detailed::No => write!(out, "\n\t\t\t\t\t {}", cut(&address, 38)),
            Detailed::Yes => {
                write!(out, "\n\t\t\t\t\t\t{}", cut(&address, 71))?;
                deferral(recipient)
                    .map_or(Ok(()), |text| write!(out, "\n\t\t ({})", cut(&text, 100)))
            }
        }
    }

    pub(crate) fn end(&self, out: &mut impl Write) -> io::Result<()> {
        writeln!(out, "\t\tTotal requests: {}", self.total)
    }
}

fn deferral(recipient: &Recipient) -> Option<String> {
    recipient.last.as_ref().map(|status| format!("Deferred: {}", reason(status)))
}
