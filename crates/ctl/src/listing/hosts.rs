//! What is known of next hops, as sendmail's `hoststat` shows it (mci.c, column by column) and for
//! people.

use std::io::{self, Write};

use envelope::{Status, printable};
use ipc::admin::Host;
use serde_json::{Value, json};

use super::{Detailed, Table, age, cut, reason};

const HEADING: &str =
    " -------------- Hostname --------------- How long ago ---------Results---------";

/// As `hoststat`. Without a next hop sendmail prints nothing.
pub(crate) fn hoststat(
    hosts: &[Host],
    detailed: Detailed,
    now: i64,
    out: &mut impl Write,
) -> io::Result<()> {
    if !hosts.is_empty() {
        writeln!(out, "{HEADING}")?;
    }
    let width = match detailed {
        Detailed::No => 25,
        Detailed::Yes => 78,
    };
    for Host { name, last, status, active, .. } in hosts {
        let busy = if *active > 0 { '*' } else { ' ' };
        let (name, ago) = (printable(name).to_string(), interval(now - last));
        writeln!(out, "{busy}{name:<39} {ago:>12} {}", cut(&result(status), width))?;
    }
    Ok(())
}

/// The other side's words; otherwise ours.
fn result(status: &Status) -> String {
    match (status, &status.detail().remote) {
        (_, Some(_)) => status.detail().to_string(),
        (Status::Delivered(_), None) => "OK".to_owned(),
        (Status::Deferred(detail), None) => format!("Deferred: {detail}"),
        (Status::Failed(detail), None) => detail.to_string(),
    }
}

/// `1+02:03:04`, as pintvl() of sendmail.
fn interval(seconds: i64) -> String {
    let seconds = seconds.max(0);
    let (days, clock) = (seconds / 86_400, seconds % 86_400);
    let clock = format!("{:02}:{:02}:{:02}", clock / 3600, clock / 60 % 60, clock % 60);
    if days > 0 { format!("{days}+{clock}") } else { clock }
}

/// As `pennypost host`.
pub(crate) fn host_table(hosts: &[Host], now: i64, out: &mut impl Write) -> io::Result<()> {
    let mut table = Table::new(["NEXT HOP", "LAST", "ACTIVE", "LEFT ALONE", "RESULT"]);
    for host in hosts {
        let alone = host.alone_until.map_or_else(String::new, |until| age(until - now));
        let result = format!("{} {}", host.status.code(), reason(&host.status));
        let name = printable(&host.name).to_string();
        table.row([name, age(now - host.last), host.active.to_string(), alone, result]);
    }
    table.write(out)
}

/// Times are seconds since 1970.
pub(crate) fn host_json(host: &Host) -> Value {
    json!({
        "name": host.name,
        "last_attempt": host.last,
        "status": host.status.code(),
        "reason": reason(&host.status),
        "active": host.active,
        "alone_until": host.alone_until,
    })
}

#[cfg(test)]
mod tests {
    use envelope::{Detail, Enhanced};

    use super::*;
    use crate::listing::json_line;
    use crate::listing::tests::{NOW, text};

    fn hosts() -> Vec<Host> {
        let host = |name: &str, ago, status| Host {
            name: name.to_owned(),
            last: NOW - ago,
            status,
            active: 0,
            alone_until: None,
        };
        let words = "2.0.0 Ok: queued as 4Fx\u{1b}1y2z, and a few more words than fit in";
        let reply = Detail::reply("mx.example.net", 250, Enhanced(0, 0), words);
        let refused = Detail::reply("192.0.2.1", 421, Enhanced(7, 1), "4.7.1 busy\nlater");
        let silent =
            || Detail::ours(Enhanced::NO_ANSWER, "Connection timed out with mx.example.org");
        vec![
            Host { active: 3, ..host("[192.0.2.1]:2525", 0, Status::Deferred(refused)) },
            host("bücher.example", 59, Status::Delivered(Detail::ours(Enhanced(0, 0), "done"))),
            host("example.net", 3661, Status::Delivered(reply)),
            Host {
                alone_until: Some(NOW + 90),
                ..host("example.org", 93_784, Status::Deferred(silent()))
            },
            host(&format!("{}.example", "x".repeat(40)), 5, Status::Failed(silent())),
        ]
    }

    /// mci.c, byte by byte: nothing known, one, two, and all.
    #[test]
    fn listings_of_next_hops() {
        type Listing = fn(&[Host], &mut Vec<u8>) -> io::Result<()>;
        let listings: [(&str, Listing); 4] = [
            ("hoststat", |hosts, out| hoststat(hosts, Detailed::No, NOW, out)),
            ("hoststat_verbose", |hosts, out| hoststat(hosts, Detailed::Yes, NOW, out)),
            ("host_table", |hosts, out| host_table(hosts, NOW, out)),
            ("host_json", |hosts, out| {
                hosts.iter().try_for_each(|host| json_line(&host_json(host), out))
            }),
        ];
        let hosts = hosts();
        for (name, listing) in listings {
            let shown = [0, 1, 2, 5].map(|count| {
                format!("-- {count} --\n{}", text(|out| listing(&hosts[..count], out)))
            });
            insta::assert_snapshot!(name, shown.concat());
        }
    }
}
