//! `pennypost route`: where mail to an address goes, and by which lines.

use std::io::{self, Write};

use clap::Args;
use envelope::printable;
use serde_json::json;

use crate::listing::json_line;
use crate::routes::{Routes, Way};
use crate::site::Site;
use crate::{Exit, Failure};

/// Show where mail to an address goes now, and by which lines
///
/// The tables are read as they are on disk, with the rules by which queued mail is routed. Nothing is
/// sent and nobody is asked. Where nothing goes is said in the exit code: 67 no such user, 68 no such
/// host, 69 refused, 75 later.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  pennypost route postmaster
  pennypost route bob@example.org list@example.net
  pennypost route --json postmaster | jq -r .route")]
pub(super) struct RouteArgs {
    /// An address, or a name of this host
    #[arg(value_name = "ADDRESS", required = true)]
    addresses: Vec<String>,
    /// One JSON object for each address on the way
    #[arg(long)]
    json: bool,
}

impl RouteArgs {
    pub(super) fn run(self, site: &Site) -> Result<Exit, Failure> {
        let routes = Routes::read(site)?;
        let mut out = io::stdout().lock();
        let ways = self.ways(&routes)?;
        for way in &ways {
            if self.json { write_json(way, &mut out) } else { write(way, &mut out) }?;
        }
        let dead_end = ways.iter().find_map(Way::dead_end);
        Ok(dead_end.map_or(Exit::Ok, |status| Exit::of(&status)))
    }

    fn ways(&self, routes: &Routes) -> Result<Vec<Way>, Failure> {
        let mut ways = Vec::new();
        for word in &self.addresses {
            let found = message::addresses(word, &routes.config.hostname);
            if let Some(error) = found.errors.first() {
                return Err(Failure::new(Exit::DataErr, error.to_string()));
            }
            ways.extend(found.addresses.iter().flat_map(|address| routes.ways(address)));
        }
        Ok(ways)
    }
}

fn write(way: &Way, out: &mut impl Write) -> io::Result<()> {
    let asked = way.asked.to_string();
    let margin = "  ".repeat(way.depth);
    writeln!(out, "{margin}{}", printable(&asked))?;
    way.routed.trace.iter().try_for_each(|step| writeln!(out, "{margin}  {step}"))?;
    writeln!(out, "{margin}  goes to {}", printable(&way.routed.route.to_string()))
}

fn write_json(way: &Way, out: &mut impl Write) -> io::Result<()> {
    let trace: Vec<_> = way
        .routed
        .trace
        .iter()
        .map(|step| json!({ "file": *step.file, "line": step.line, "text": step.text }))
        .collect();
    let object = json!({
        "asked": way.asked.to_string(),
        "depth": way.depth,
        "address": way.routed.address.to_string(),
        "route": way.routed.route.to_string(),
        "trace": trace,
    });
    json_line(&object, out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routes::tests::site;

    fn shown(address: &str, write: fn(&Way, &mut Vec<u8>) -> io::Result<()>) -> String {
        let root = tempfile::tempdir().unwrap();
        let files = [
            ("aliases", "team: bob, carol@far.test\n"),
            ("mailertable", "far.test esmtp:[192.0.2.1]\n"),
        ];
        let routes = Routes::read(&site(root.path(), &files)).unwrap();
        let mut out = Vec::new();
        routes.ways(&address.parse().unwrap()).iter().for_each(|way| write(way, &mut out).unwrap());
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn each_rule_has_its_line() {
        insta::assert_snapshot!("route", shown("team@local.test", write));
        insta::assert_snapshot!("route_json", shown("team@local.test", write_json));
    }
}
