//! `mailstats`: how much went through which mailer, in the layout of sendmail's (mailstats.c).

use std::io::{self, BufWriter, Write};
use std::process::ExitCode;

use ipc::admin::{Hello, Statistics, Traffic};
use jiff::tz::TimeZone;
use serde_json::json;

use crate::control::{Control, wait};
use crate::getopt::{self, Word};
use crate::listing::{clock, json_line};
use crate::site::Site;
use crate::{Exit, Failure, finish};

const USAGE: &str = "usage: mailstats [-C cffile] [-c] [-P] [-f stfile] [-o] [-p] [--json]";

const HELP: &str = "\
mailstats: how much mail went through, by mailer

Usage: mailstats [OPTION]...

  -o      without the names of the mailers
  -P      for programs: times as seconds since 1970, no K, no rule
  -p      the same, and counting begins anew
  --json  one JSON object for each mailer, and one for all
  -c -C FILE -f FILE  taken, and without meaning: there is one place where is counted

msgsfr and bytes_from are messages that came from local users (local) and from other hosts (esmtp);
msgsto and bytes_to are recipients that were delivered. msgsqur is what was held on arrival. The line
C has connections from clients, attempts that a next hop answered, and what was refused to clients.
For administrators (control.admins in pennypost.toml); all others get exit code 77.

Examples:
  mailstats
  mailstats -P | awk '$1 == \"T\" { print $2, $4 }'
  mailstats --json | jq 'select(.mailer == \"esmtp\") | .messages_to'

The environment variable PENNYPOST_ROOT says where a system started with --root lives.
";

/// By sendmail's numbers (recipient.c, and `MAILER(local)` before `MAILER(smtp)`).
const MAILERS: [&str; ipc::admin::MAILERS] =
    ["prog", "*file*", "*include*", "local", "smtp", "esmtp"];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Layout {
    People(Names),
    Programs(Names),
    Json,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Names {
    Shown,
    /// `-o`
    Left,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wish {
    Show { layout: Layout, reset: bool },
    Help,
}

/// The whole command.
#[must_use]
pub fn main() -> ExitCode {
    let words = std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned());
    finish("mailstats", parse(words).and_then(run))
}

fn parse(words: impl Iterator<Item = String>) -> Result<Wish, Failure> {
    let usage = || Failure::new(Exit::Usage, USAGE);
    let (mut names, mut programs, mut reset, mut json) = (Names::Shown, false, false, false);
    let mut rest = Vec::new();
    for word in words {
        match word.as_str() {
            "--help" => return Ok(Wish::Help),
            "--json" => json = true,
            _ => rest.push(word),
        }
    }
    for word in getopt::read("cC:f:opP", rest).map_err(|_| usage())? {
        match word {
            Word::Flag('o') => names = Names::Left,
            Word::Flag('p') => (programs, reset) = (true, true),
            Word::Flag('P') => programs = true,
            Word::Flag(_) | Word::Option(..) => {}
            Word::Plain(_) => return Err(usage()),
        }
    }
    let layout = match (json, programs) {
        (true, _) => Layout::Json,
        (false, true) => Layout::Programs(names),
        (false, false) => Layout::People(names),
    };
    Ok(Wish::Show { layout, reset })
}

fn run(wish: Wish) -> Result<Exit, Failure> {
    let mut out = BufWriter::new(io::stdout().lock());
    match wish {
        Wish::Help => out.write_all(HELP.as_bytes())?,
        Wish::Show { layout, reset } => {
            let site = Site::from_environment();
            let statistics =
                wait(async { Control::open(&site, Hello::Queue).await?.statistics(reset).await })?;
            write(&statistics, layout, crate::now(), &TimeZone::system(), &mut out)?;
        }
    }
    out.flush()?;
    Ok(Exit::Ok)
}

fn write(
    statistics: &Statistics,
    layout: Layout,
    now: i64,
    zone: &TimeZone,
    out: &mut impl Write,
) -> io::Result<()> {
    let Statistics { since, mailers, connections_from, connections_to, refused } = statistics;
    let used = || (0..).zip(MAILERS).zip(mailers).filter(|(_, it)| **it != Traffic::default());
    let total = mailers.iter().fold(Traffic::default(), sum);
    match layout {
        Layout::People(names) => {
            let named = if names == Names::Shown { "  Mailer" } else { "" };
            writeln!(out, "Statistics from {}", clock(*since, zone, "%a %b %e %H:%M:%S %Y"))?;
            writeln!(
                out,
                " M   msgsfr  bytes_from   msgsto    bytes_to  msgsrej msgsdis msgsqur{named}"
            )?;
            for ((number, name), traffic) in used() {
                row(&format!("{number:>2}"), traffic, "K", name_of(name, names), out)?;
            }
            writeln!(out, "{}", "=".repeat(69))?;
            row(" T", &total, "K", "", out)?;
            let empty = "";
            writeln!(
                out,
                " C {connections_from:>8} {empty:>10}  {connections_to:>8} {empty:>10}    {refused:>6}"
            )
        }
        Layout::Programs(names) => {
            writeln!(out, "{since} {now}")?;
            for ((number, name), traffic) in used() {
                row(&format!("{number:>2}"), traffic, "", name_of(name, names), out)?;
            }
            row(" T", &total, "", "", out)?;
            writeln!(out, " C {connections_from:>8} {connections_to:>8} {refused:>6}")
        }
        Layout::Json => {
            for ((_, name), traffic) in used() {
                object(name, traffic, out)?;
            }
            let all = json!({
                "since": since, "until": now, "connections_from": connections_from,
                "connections_to": connections_to, "refused": refused,
            });
            json_line(&all, out)
        }
    }
}

const fn name_of(name: &'static str, names: Names) -> &'static str {
    match names {
        Names::Shown => name,
        Names::Left => "",
    }
}

fn row(
    label: &str,
    traffic: &Traffic,
    unit: &str,
    name: &str,
    out: &mut impl Write,
) -> io::Result<()> {
    let Traffic { messages_from, kilobytes_from, messages_to, kilobytes_to, .. } = traffic;
    let Traffic { rejected, discarded, quarantined, .. } = traffic;
    write!(out, "{label} {messages_from:>8} {kilobytes_from:>10}{unit} ")?;
    write!(out, "{messages_to:>8} {kilobytes_to:>10}{unit}   ")?;
    write!(out, "{rejected:>6}  {discarded:>6}  {quarantined:>6}")?;
    if name.is_empty() { writeln!(out) } else { writeln!(out, "  {name}") }
}

fn object(name: &str, traffic: &Traffic, out: &mut impl Write) -> io::Result<()> {
    let object = json!({
        "mailer": name,
        "messages_from": traffic.messages_from,
        "kilobytes_from": traffic.kilobytes_from,
        "messages_to": traffic.messages_to,
        "kilobytes_to": traffic.kilobytes_to,
        "rejected": traffic.rejected,
        "discarded": traffic.discarded,
        "quarantined": traffic.quarantined,
    });
    json_line(&object, out)
}

const fn sum(one: Traffic, other: &Traffic) -> Traffic {
    Traffic {
        messages_from: one.messages_from + other.messages_from,
        kilobytes_from: one.kilobytes_from + other.kilobytes_from,
        messages_to: one.messages_to + other.messages_to,
        kilobytes_to: one.kilobytes_to + other.kilobytes_to,
        rejected: one.rejected + other.rejected,
        discarded: one.discarded + other.discarded,
        quarantined: one.quarantined + other.quarantined,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish(line: &str) -> Result<Wish, Exit> {
        let words = line.split(' ').filter(|word| !word.is_empty()).map(str::to_owned);
        parse(words).map_err(|failure| failure.exit)
    }

    #[test]
    fn options() {
        let show = |layout, reset| Ok(Wish::Show { layout, reset });
        assert_eq!(wish(""), show(Layout::People(Names::Shown), false));
        assert_eq!(wish("-c -f /x -C /y"), show(Layout::People(Names::Shown), false));
        assert_eq!(wish("-o"), show(Layout::People(Names::Left), false));
        assert_eq!(wish("-P"), show(Layout::Programs(Names::Shown), false));
        assert_eq!(wish("-op"), show(Layout::Programs(Names::Left), true));
        assert_eq!(wish("--json"), show(Layout::Json, false));
        assert_eq!(wish("--help"), Ok(Wish::Help));
        for line in ["-x", "word", "-f"] {
            assert_eq!(wish(line), Err(Exit::Usage), "{line}");
        }
    }

    fn statistics() -> Statistics {
        let mut statistics = Statistics {
            since: 1_795_235_750,
            connections_from: 15,
            connections_to: 10,
            refused: 3,
            ..Statistics::default()
        };
        statistics.mailers[3] =
            Traffic { messages_from: 2, kilobytes_from: 4, quarantined: 1, ..Traffic::default() };
        statistics.mailers[5] = Traffic {
            messages_from: 12,
            kilobytes_from: 1_234_567_890,
            messages_to: 10,
            kilobytes_to: 20,
            rejected: 3,
            discarded: 7,
            quarantined: 0,
        };
        statistics
    }

    fn written(statistics: &Statistics, layout: Layout) -> String {
        let mut out = Vec::new();
        write(statistics, layout, 1_795_235_900, &TimeZone::UTC, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    /// mailstats.c, byte by byte.
    #[test]
    fn as_sendmail() {
        for (name, layout) in [
            ("people", Layout::People(Names::Shown)),
            ("people_o", Layout::People(Names::Left)),
            ("programs", Layout::Programs(Names::Shown)),
            ("programs_o", Layout::Programs(Names::Left)),
            ("json", Layout::Json),
        ] {
            let none = Statistics { since: 1_795_235_750, ..Statistics::default() };
            let mut one = none.clone();
            one.mailers[4] = Traffic { messages_to: 1, kilobytes_to: 2, ..Traffic::default() };
            let shown = [none, one, statistics()].map(|statistics| written(&statistics, layout));
            insta::assert_snapshot!(format!("mailstats_{name}"), shown.join("--\n"));
        }
    }
}
