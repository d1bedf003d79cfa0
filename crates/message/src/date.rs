//! Dates as RFC 5322 §3.3 writes them.

use std::fmt;

use jiff::{Timestamp, civil::DateTime, tz::Offset};

/// A moment and the offset to show it at; shown as `Sat, 21 Nov 2026 04:35:50 +0000`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Date {
    /// Since 1970.
    pub seconds: i64,
    /// East of Greenwich, in seconds; shown in whole minutes.
    pub offset: i32,
}

impl Date {
    /// A moment, shown in UTC.
    #[must_use]
    pub const fn utc(seconds: i64) -> Self {
        Self { seconds, offset: 0 }
    }

    /// The clock face; a moment or an offset beyond what a calendar holds is 1970 or UTC.
    pub(crate) fn civil(self) -> DateTime {
        let moment = Timestamp::from_second(self.seconds).unwrap_or(Timestamp::UNIX_EPOCH);
        Offset::from_seconds(self.minutes() * 60).unwrap_or(Offset::UTC).to_datetime(moment)
    }

    fn minutes(self) -> i32 {
        const DAY: i32 = 24 * 60;
        let minutes = self.offset / 60;
        if minutes.abs() < DAY { minutes } else { 0 }
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
        const MONTHS: [&str; 12] =
            ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
        let civil = self.civil();
        let name = |names: &[&'static str], index: i8| {
            usize::try_from(index).ok().and_then(|i| names.get(i).copied()).unwrap_or("")
        };
        let day = name(&DAYS, civil.weekday().to_monday_zero_offset());
        let month = name(&MONTHS, civil.month() - 1);
        let sign = if self.minutes() < 0 { '-' } else { '+' };
        let minutes = self.minutes().abs();
        write!(
            f,
            "{day}, {:02} {month} {:04} {:02}:{:02}:{:02} {sign}{:02}{:02}",
            civil.day(),
            civil.year(),
            civil.hour(),
            civil.minute(),
            civil.second(),
            minutes / 60,
            minutes % 60,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::Date;

    #[test]
    fn shown_as_rfc_5322_wants() {
        let date = |seconds, offset| Date { seconds, offset }.to_string();
        assert_eq!(date(0, 0), "Thu, 01 Jan 1970 00:00:00 +0000");
        assert_eq!(date(1_795_235_750, 3600), "Sat, 21 Nov 2026 05:35:50 +0100");
        assert_eq!(date(951_782_400, -12_600), "Mon, 28 Feb 2000 20:30:00 -0330");
        assert_eq!(date(i64::MAX, i32::MIN), "Thu, 01 Jan 1970 00:00:00 +0000");
    }

    #[test]
    fn read_back_by_another() {
        for seconds in (0..4_000_000_000).step_by(86_399 * 37) {
            let text = Date { seconds, offset: -7 * 3600 }.to_string();
            let read = mail_parser::DateTime::parse_rfc822(&text).unwrap();
            assert_eq!(read.to_timestamp(), seconds, "{text}");
        }
    }
}
