//! How queued messages are shown: as sendmail, as Postfix, as JSON, and as `pennypost` does.

mod hosts;
mod json;
mod postfix;
mod reader;
mod sendmail;
mod table;

pub(crate) use hosts::{host_json, host_table, hoststat};
pub(crate) use json::postqueue;
pub(crate) use json::{line as json_line, shown as json_message};
pub(crate) use postfix::Postfix;
pub(crate) use reader::Reader;
pub(crate) use sendmail::{Detailed, Sendmail};
pub(crate) use table::{Table, age, due, show};

use envelope::{Status, printable};
use ipc::admin::Message;
use jiff::Timestamp;
use jiff::tz::TimeZone;

/// A moment on the caller's clock face, in the notation of strftime(3).
pub(crate) fn clock(seconds: i64, zone: &TimeZone, notation: &str) -> String {
    let moment = Timestamp::from_second(seconds).unwrap_or(Timestamp::UNIX_EPOCH);
    moment.to_zoned(zone.clone()).strftime(notation).to_string()
}

/// What the last attempt met, in one line that is safe to show.
pub(crate) fn reason(status: &Status) -> String {
    let detail = status.detail();
    match &detail.remote {
        Some(remote) => format!("{}: {detail}", printable(remote)),
        None => detail.to_string(),
    }
}

/// Why a held message is held, in one line that is safe to show.
pub(crate) fn why_held(message: &Message) -> String {
    match &message.quarantine {
        Some(reason) => printable(reason).to_string(),
        None => "held by an administrator".to_owned(),
    }
}

/// At most `width` characters.
pub(crate) fn cut(text: &str, width: usize) -> String {
    text.chars().take(width).collect()
}

#[cfg(test)]
pub(crate) mod tests;
