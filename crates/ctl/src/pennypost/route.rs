//! `pennypost route`: where mail to an address goes, and by which lines.

use std::io::{self, Write};

use clap::Args;
use envelope::{Address, ReversePath, printable};
use routing::Route;
use serde_json::{Value, json};
use tables::Step;

use crate::credentials::Keyring;
use crate::listing::json_line;
use crate::routes::{Routes, Way, aliasing};
use crate::site::Site;
use crate::{Exit, Failure};

/// Show where mail to an address goes now, and by which lines
///
/// The tables are read as they are on disk, with the rules by which queued mail is routed. Nothing is
/// sent; only the DNS may be asked, for the hosts that need credentials. Where nothing goes is said in
/// the exit code: 67 no such user, 68 no such host, 69 refused, 75 later.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  pennypost route postmaster
  pennypost route bob@example.org list@example.net
  pennypost route --from alice@example.org bob@example.net
  pennypost route --json postmaster | jq -r .route")]
pub(super) struct RouteArgs {
    /// An address, or a name of this host
    #[arg(value_name = "ADDRESS", required = true)]
    addresses: Vec<String>,
    /// The reverse-path of the mail [default: none, as in a bounce]
    #[arg(long, value_name = "ADDRESS")]
    from: Option<Address>,
    /// As sendmail -n sends: no aliases
    #[arg(long)]
    no_aliases: bool,
    /// One JSON object for each address on the way
    #[arg(long)]
    json: bool,
}

impl RouteArgs {
    pub(super) fn run(self, site: &Site) -> Result<Exit, Failure> {
        let routes = Routes::read_with(site, aliasing(self.no_aliases))?;
        let mut out = io::stdout().lock();
        let ways = self.ways(&routes)?;
        let keyring = Keyring::read(&routes.config);
        for way in &ways {
            let write = if self.json { write_json } else { write };
            write(way, &shown_to(way, &keyring), &mut out)?;
        }
        let dead_end = ways.iter().find_map(Way::dead_end);
        Ok(dead_end.map_or(Exit::Ok, |status| Exit::of(&status)))
    }

    fn ways(&self, routes: &Routes) -> Result<Vec<Way>, Failure> {
        let reverse_path = ReversePath(self.from.clone());
        let mut ways = Vec::new();
        for word in &self.addresses {
            let found = message::addresses(word, &routes.config.hostname);
            if let Some(error) = found.errors.first() {
                return Err(Failure::new(Exit::DataErr, error.to_string()));
            }
            ways.extend(
                found.addresses.iter().flat_map(|address| routes.ways(address, &reverse_path)),
            );
        }
        Ok(ways)
    }
}

/// The credentials that the next hop would be shown.
pub(super) fn shown_to(way: &Way, keyring: &Keyring<'_>) -> Vec<Step> {
    match &way.routed.route {
        Route::Remote(hop) => keyring.of(hop),
        Route::Local { .. }
        | Route::Special(_)
        | Route::List { .. }
        | Route::Refused(_)
        | Route::Over(_) => Vec::new(),
    }
}

pub(super) fn write(way: &Way, credentials: &[Step], out: &mut dyn Write) -> io::Result<()> {
    let asked = way.asked.to_string();
    let margin = "  ".repeat(way.depth);
    writeln!(out, "{margin}{}", printable(&asked))?;
    way.routed.trace.iter().try_for_each(|step| writeln!(out, "{margin}  {step}"))?;
    writeln!(out, "{margin}  goes to {}", printable(&way.routed.route.to_string()))?;
    credentials.iter().try_for_each(|step| writeln!(out, "{margin}  {step}"))
}

fn write_json(way: &Way, credentials: &[Step], mut out: &mut dyn Write) -> io::Result<()> {
    json_line(&to_json(way, credentials), &mut out)
}

pub(super) fn to_json(way: &Way, credentials: &[Step]) -> Value {
    let step = |step: &Step| json!({ "file": *step.file, "line": step.line, "text": step.text });
    let trace: Vec<_> = way.routed.trace.iter().map(step).collect();
    let credentials: Vec<_> = credentials.iter().map(step).collect();
    json!({
        "asked": way.asked.to_string(),
        "depth": way.depth,
        "address": way.routed.address.to_string(),
        "route": way.routed.route.to_string(),
        "trace": trace,
        "credentials": credentials,
    })
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::routes::tests::site;

    type Writer = fn(&Way, &[Step], &mut dyn Write) -> io::Result<()>;

    fn shown(address: &str, write: Writer) -> String {
        let root = tempfile::tempdir().unwrap();
        let files = [
            ("aliases", "team: bob, carol@far.test\n"),
            ("mailertable", "far.test esmtp:[192.0.2.1]\n"),
            ("authinfo", "AuthInfo:192.0.2.1 \"U:alice\" \"P:secret\"\n"),
        ];
        let site = site(root.path(), &files);
        let authinfo = root.path().join("etc/mail/authinfo");
        std::fs::set_permissions(authinfo, Permissions::from_mode(0o600)).unwrap();
        let routes = Routes::read(&site).unwrap();
        let keyring = Keyring::read(&routes.config);
        let mut out = Vec::new();
        let ways = routes.ways(&address.parse().unwrap(), &ReversePath(None));
        ways.iter().for_each(|way| write(way, &shown_to(way, &keyring), &mut out).unwrap());
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn each_rule_has_its_line() {
        insta::assert_snapshot!("route", shown("team@local.test", write));
        insta::assert_snapshot!("route_json", shown("team@local.test", write_json));
        let others = ["bob+x@local.test", "nobody-here@local.test", "d\u{f6}rte@far.test"];
        let others = others.map(|it| shown(it, write) + &shown(it, write_json));
        insta::assert_snapshot!("routes", others.concat());
    }
}
