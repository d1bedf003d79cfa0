//! What was asked of the DNS and what it said, line by line, for whoever watches.
//!
//! From outside: a server may add records of any kind to its answer, with line ends in them. Each line is
//! escaped here, so that it stays one line of a dialogue.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use envelope::{Dialogue, printable};
use hickory_resolver::lookup::Lookup;
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};

use crate::Failure;

/// Records of one answer that are shown.
const MAX_RECORDS: usize = 16;
/// Bytes of one line. Two names of 255 bytes fit, unless they are full of what has to be escaped.
const MAX_LINE: usize = 600;

/// Lines, each after [`Dialogue::LOOKUP`]; at most [`Lookups::MAX`] bytes and one line.
#[derive(Debug, Clone, Default)]
pub struct Lookups(Arc<Mutex<Noted>>);

#[derive(Debug, Default)]
struct Noted {
    /// Those that were not taken yet.
    lines: Vec<String>,
    /// Of all lines so far.
    bytes: usize,
}

impl Lookups {
    /// A quarter of a dialogue: what is said to hosts has its room.
    pub const MAX: usize = Dialogue::MAX / 4;

    /// What was noted since the last call.
    #[must_use]
    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner).lines)
    }

    /// A question, and what came of it after this time.
    pub(crate) fn note(
        &self,
        (name, kind): (&str, RecordType),
        answer: &Result<Lookup, Failure>,
        time: Duration,
    ) {
        let records = answer.as_ref().map(Lookup::answers).unwrap_or_default();
        let said = match answer {
            Ok(_) => format!("{} record(s)", records.len()),
            Err(Failure::NoSuchName) => "no such name (NXDOMAIN)".to_owned(),
            Err(Failure::NoRecords) => "no such record".to_owned(),
            Err(Failure::NoAnswer(why)) => {
                format!("no answer after {} ms: {why}", time.as_millis())
            }
        };
        let mut noted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        noted.push(format_args!("{name} {kind}? {said}"));
        for record in records.iter().take(MAX_RECORDS) {
            noted.push(format_args!("  {}", Shown(record)));
        }
        if records.len() > MAX_RECORDS {
            noted.push(format_args!("  ... and {} more", records.len() - MAX_RECORDS));
        }
    }
}

impl Noted {
    fn push(&mut self, what: fmt::Arguments<'_>) {
        if self.bytes > Lookups::MAX {
            return;
        }
        let mut line = format!("{}{}", Dialogue::LOOKUP, printable(&what.to_string()));
        line.truncate(line.floor_char_boundary(MAX_LINE));
        self.bytes += line.len() + 1;
        if self.bytes > Lookups::MAX {
            line = format!("{}{}", Dialogue::LOOKUP, Dialogue::MORE);
        }
        self.lines.push(line);
    }
}

/// As a zone has it: `two.test. 60 MX 10 a.two.test.`
struct Shown<'a>(&'a Record);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Record { name, ttl, data, .. } = self.0;
        write!(f, "{} {ttl} {} ", name.to_ascii(), data.record_type())?;
        if let RData::MX(mx) = data {
            write!(f, "{} {}", mx.preference, mx.exchange.to_ascii())
        } else if let Some(name) = named(data) {
            f.write_str(&name.to_ascii())
        } else {
            data.fmt(f)
        }
    }
}

/// The name that a record leads to, if that is all it says.
fn named(data: &RData) -> Option<&Name> {
    if let RData::CNAME(name) = data {
        return Some(name);
    }
    if let RData::PTR(name) = data { Some(name) } else { None }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use hickory_resolver::proto::op::Query;
    use hickory_resolver::proto::rr::rdata::TXT;

    use super::*;

    const ASKED: (&str, RecordType) = ("x.test", RecordType::A);

    #[test]
    fn lines_are_bounded_in_number_and_length() {
        let query = Query::query(Name::root(), RecordType::A);
        let record = || Record::from_rdata(Name::root(), 60, RData::A(Ipv4Addr::LOCALHOST.into()));
        let answer = Lookup::new_with_max_ttl(query, vec![record(); MAX_RECORDS + 3]);
        let lookups = Lookups::default();
        lookups.note(ASKED, &Ok(answer), Duration::ZERO);
        let lines = lookups.take();
        assert_eq!(lines[..2], ["dns: x.test A? 19 record(s)", "dns:   . 60 A 127.0.0.1"]);
        assert_eq!(lines[1 + MAX_RECORDS..], ["dns:   ... and 3 more"]);
        assert!(lookups.take().is_empty());
        let endless = Err(Failure::NoAnswer("\u{f6}".repeat(MAX_LINE)));
        (0..MAX_LINE).for_each(|_| lookups.note(ASKED, &endless, Duration::from_secs(5)));
        let lines = lookups.take();
        assert!(lines[0].starts_with("dns: x.test A? no answer after 5000 ms: \u{f6}"));
        assert!(lines.iter().all(|line| line.len() <= MAX_LINE), "{lines:?}");
        assert!(lines.iter().map(|line| line.len() + 1).sum::<usize>() <= Lookups::MAX + 100);
        assert_eq!(lines.iter().filter(|line| *line == "dns: ... and more").count(), 1);
        assert_eq!(lines.last().unwrap(), "dns: ... and more");
    }

    /// A resolver passes on what it was not asked for.
    #[test]
    fn no_record_forges_a_line() {
        let query = Query::query(Name::root(), RecordType::A);
        let text = TXT::from_bytes(vec![b"x\r\n>>> QUIT\n221 \x1b[2J"]);
        let record = Record::from_rdata(Name::root(), 60, RData::TXT(text));
        let lookups = Lookups::default();
        lookups.note(ASKED, &Ok(Lookup::new_with_max_ttl(query, vec![record])), Duration::ZERO);
        let mut dialogue = Dialogue::default();
        lookups.take().iter().for_each(|line| dialogue.push(line));
        let lines: Vec<_> = dialogue.lines().collect();
        assert_eq!(
            lines,
            ["dns: x.test A? 1 record(s)", "dns:   . 60 TXT x\\r\\n>>> QUIT\\n221 \\u{1b}[2J"]
        );
    }
}
