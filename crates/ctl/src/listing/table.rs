//! Listings of `pennypost`, for people: columns as wide as they need to be on a page.

use std::io::{self, Write};

use envelope::printable;
use ipc::admin::{Message, State};
use jiff::tz::TimeZone;

use super::{clock, reason};

/// Rows under headings. The last column is as long as it is.
#[derive(Debug)]
pub(crate) struct Table<const N: usize> {
    rows: Vec<[String; N]>,
}

impl<const N: usize> Table<N> {
    pub(crate) fn new(headings: [&str; N]) -> Self {
        Self { rows: vec![headings.map(str::to_owned)] }
    }

    pub(crate) fn row(&mut self, cells: [String; N]) {
        self.rows.push(cells);
    }

    pub(crate) fn write(&self, out: &mut impl Write) -> io::Result<()> {
        let mut widths = [0; N];
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        for row in &self.rows {
            let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}"));
            writeln!(out, "{}", cells.collect::<Vec<_>>().join("  ").trim_end())?;
        }
        Ok(())
    }
}

/// `3d 4h`, `2h 5m`, `40s`.
pub(crate) fn age(seconds: i64) -> String {
    let seconds = seconds.max(0);
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m {}s", seconds % 60),
        (0, _, _) => format!("{hours}h {minutes}m"),
        _ => format!("{days}d {hours}h"),
    }
}

/// When it is tried again.
pub(crate) fn due(message: &Message, now: i64) -> String {
    match (message.state, message.next_attempt) {
        (State::Held, _) => match &message.quarantine {
            Some(reason) => format!("held ({})", printable(reason)),
            None => "held".to_owned(),
        },
        (State::Active, _) => "under way".to_owned(),
        (State::Overload, _) => "load too high".to_owned(),
        (State::Waiting, Some(time)) if time > now => format!("in {}", age(time - now)),
        (State::Waiting, _) => "now".to_owned(),
    }
}

/// `pennypost queue show`: everything that is known of one message.
pub(crate) fn show(
    message: &Message,
    zone: &TimeZone,
    now: i64,
    out: &mut impl Write,
) -> io::Result<()> {
    let time = |seconds| clock(seconds, zone, "%Y-%m-%d %H:%M:%S %z");
    let from = format!("<{}>", message.reverse_path);
    writeln!(out, "{}", message.id)?;
    writeln!(out, "  from     {}", printable(&from))?;
    writeln!(out, "  by       {}", printable(&message.origin))?;
    writeln!(out, "  arrived  {} ({} ago)", time(message.arrival), age(now - message.arrival))?;
    writeln!(out, "  size     {} bytes", message.size)?;
    let state = match message.state {
        State::Waiting => format!("waiting, next attempt {}", due(message, now)),
        State::Active => "being delivered".to_owned(),
        State::Overload => "waiting until the load of the machine falls".to_owned(),
        State::Held => match &message.quarantine {
            Some(reason) => format!("held until it is released: {}", printable(reason)),
            None => "held until it is released".to_owned(),
        },
    };
    writeln!(out, "  state    {state}")?;
    for recipient in &message.recipients {
        let address = format!("<{}>", recipient.address);
        writeln!(out, "  to       {}", printable(&address))?;
        writeln!(out, "           goes to {}", printable(&recipient.route))?;
        let attempts = match recipient.attempts {
            1 => "1 attempt".to_owned(),
            attempts => format!("{attempts} attempts"),
        };
        match (&recipient.last, recipient.last_time) {
            (Some(status), Some(last)) => {
                writeln!(out, "           {attempts}, the last at {}:", time(last))?;
                writeln!(out, "           {} {}", status.code(), reason(status))?;
            }
            (Some(status), None) => {
                writeln!(out, "           {} {}", status.code(), reason(status))?
            }
            (None, _) => writeln!(out, "           {attempts}")?,
        }
    }
    Ok(())
}
