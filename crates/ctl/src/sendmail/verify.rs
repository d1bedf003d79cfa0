//! `-bv`: where each address would go, without sending anything.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, Write};

use envelope::{Address, Host, NextHop, Protocol, ReversePath, Server, Special, printable};
use routing::{Route, Routed};

use super::debug_file;
use super::options::{Options, usage};
use crate::dns;
use crate::routes::{Routes, Way};
use crate::site::Site;
use crate::{Exit, Failure};

pub(super) fn run(options: &Options, site: &Site) -> Result<Exit, Failure> {
    if options.words.is_empty() {
        return Err(usage("Recipient names must be specified".to_owned()));
    }
    let routes = Routes::read_with(site, options.submission.aliasing)?;
    let mut out = io::stdout().lock();
    match options.debug_file.as_deref().filter(|_| options.lookups || options.rules_shown) {
        Some(path) => {
            let mut debug = debug_file(path)?;
            verify(options, &routes, &mut out, Some(&mut debug))
        }
        None => verify(options, &routes, &mut out, None),
    }
}

/// A line for each destination; the code is that of the first that is none. With `-v` or `-d21` also the
/// lines of the tables, with `-d8` what the DNS says on the way to each next hop: what `-d` shows goes to
/// `debug` if it is given.
fn verify(
    options: &Options,
    routes: &Routes,
    out: &mut dyn Write,
    mut debug: Option<&mut File>,
) -> Result<Exit, Failure> {
    let mut exits = Vec::new();
    let mut followed = HashSet::new();
    for word in &options.words {
        let found = message::addresses(word, &routes.config.hostname);
        for error in &found.errors {
            writeln!(out, "{}... {error}", printable(word))?;
            exits.push(Exit::DataErr);
        }
        for way in
            found.addresses.iter().flat_map(|address| routes.ways(address, &ReversePath(None)))
        {
            if options.verbose || options.rules_shown {
                let debug = debug.as_deref_mut().filter(|_| !options.verbose);
                let told = debug.map_or(&mut *out, |debug| debug as &mut dyn Write);
                way.routed.trace.iter().try_for_each(|step| writeln!(told, "  {step}"))?;
            }
            exits.push(write(&way, word, routes, out)?);
            if options.lookups
                && let Route::Remote(hop) = &way.routed.route
                && followed.insert(hop.clone())
            {
                match &mut debug {
                    Some(debug) => dns::follow(&routes.config, hop, *debug)?,
                    None => dns::follow(&routes.config, hop, out)?,
                }
            }
        }
    }
    Ok(exits.into_iter().find(|&exit| exit != Exit::Ok).unwrap_or(Exit::Ok))
}

fn write(way: &Way, word: &str, routes: &Routes, out: &mut dyn Write) -> io::Result<Exit> {
    let Way { depth, asked, routed } = way;
    // As it was written, or as the last alias wrote it; virtual users and the mailertable do not show.
    let address = &routed.address;
    let by_alias = routed.trace.iter().any(|step| step.file.starts_with("aliases"));
    let shown = match (&routed.route, by_alias, *depth == 0 && !word.contains([',', '<', ' '])) {
        (Route::Special(special), ..) => special.to_string(),
        (_, true, _) => name(address, routes),
        (_, false, true) => word.to_owned(),
        (_, false, false) => name(asked, routes),
    };
    let shown = printable(&shown);
    if let Some(status) = way.dead_end() {
        writeln!(out, "{shown}... {}", printable(&status.detail().text))?;
        return Ok(Exit::of(&status));
    }
    match &routed.route {
        Route::Local { user, detail, .. } => {
            let detail = detail.as_deref().filter(|detail| !detail.is_empty());
            let host = detail.map_or_else(String::new, |detail| format!("host {detail}, "));
            let (host, user) = (printable(&host), printable(user));
            writeln!(out, "{shown}... deliverable: mailer local, {host}user {user}")?;
        }
        Route::Remote(hop) => {
            let user = address.to_string();
            let user = user.strip_suffix('.').unwrap_or(&user);
            let (mailer, host, user) = (mailer(routed), host(routed, hop), printable(user));
            writeln!(out, "{shown}... deliverable: mailer {mailer}, host {host}, user {user}")?;
        }
        Route::Special(Special::Program(command)) => {
            writeln!(out, "{shown}... deliverable: mailer prog, user |{}", printable(command))?;
        }
        Route::Special(Special::File(path)) => {
            writeln!(out, "{shown}... deliverable: mailer *file*, user {}", printable(path))?;
        }
        // Its members follow.
        Route::List { .. } | Route::Special(Special::Include(_) | Special::CatchAll) => {}
        Route::Refused(_) | Route::Over(_) => {
            writeln!(out, "{shown}... deliverable: mailer discard")?;
        }
    }
    Ok(Exit::Ok)
}

/// An address of this host without its name, as aliases have it.
fn name(address: &Address, routes: &Routes) -> String {
    let own = address.domain_key() == routes.config.hostname;
    if own { address.local().to_owned() } else { address.to_string() }
}

/// What sendmail calls the way to another host: a smarthost has mail relayed.
pub(super) fn mailer(routed: &Routed) -> &'static str {
    if matches!(&routed.route, Route::Remote(hop) if hop.protocol == Protocol::Lmtp) {
        return "lmtp";
    }
    if is_relay(last_file(routed)) { "relay" } else { "esmtp" }
}

/// `example.net.` is the domain of the address, `mx.example.net` that of a line, `[mx.example.net]` this
/// very host; several are asked in this order.
pub(super) fn host(routed: &Routed, hop: &NextHop) -> String {
    let dot = if is_named(routed) { "" } else { "." };
    servers(routed, hop).map(|it| server(it, dot)).collect::<Vec<_>>().join(":")
}

/// The servers of a next hop, but for the fallback, which is not part of the triple.
pub(super) fn servers<'a>(
    routed: &Routed,
    hop: &'a NextHop,
) -> impl Iterator<Item = &'a Server> + use<'a> {
    let most = if last_file(routed) == "relay.fallback" { 1 } else { usize::MAX };
    hop.servers().take(most)
}

/// Does a line or key say which host it is?
pub(super) fn is_named(routed: &Routed) -> bool {
    let last = last_file(routed);
    last.starts_with("mailertable") || is_relay(last)
}

/// MailerToTriple in proto.m4: whatever names just a host means the mailer relay.
fn is_relay(file: &str) -> bool {
    let keys = ["relay.smarthost", "relay.null_client", "local.hub"];
    keys.contains(&file) || file.starts_with("senderrelay")
}

/// Where the line or key stands that applied last.
fn last_file(routed: &Routed) -> &str {
    routed.trace.last().map_or("", |step| &*step.file)
}

fn server(server: &Server, dot: &str) -> String {
    let host = match &server.host {
        Host::Domain(domain) => format!("{domain}{dot}"),
        Host::Exact(host) if host.contains(':') => format!("[ipv6:{host}]"),
        Host::Exact(host) => format!("[{host}]"),
        Host::Socket(path) => return path.clone(),
    };
    if server.port == NextHop::SMTP { host } else { format!("{host}:{}", server.port) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routes::tests::site;

    const ALIASES: &str = "root: carol\nlist: alice, bob@example.net,\n\tcarol\nMixed: daemon\n\
                           loop: loop2\nloop2: loop\n";
    const MAILERTABLE: &str = ".far.test\tesmtp:[relay.example.net]\n\
                               gone.test\terror:5.1.2:550 gone away\nloc.test\tlocal:root\n\
                               later.test\terror:tempfail:later\nport.test\tsmtp:[192.0.2.3]:2525\n";

    fn verified(line: &str) -> (Exit, String) {
        let root = tempfile::tempdir().unwrap();
        let files = [("aliases", ALIASES), ("mailertable", MAILERTABLE)];
        let words = line.split(' ').map(str::to_owned);
        let options = Options::parse("sendmail", words).unwrap();
        let routes =
            Routes::read_with(&site(root.path(), &files), options.submission.aliasing).unwrap();
        let mut out = Vec::new();
        let exit = verify(&options, &routes, &mut out, None).unwrap();
        (exit, String::from_utf8(out).unwrap())
    }

    /// What sendmail 8.17.1 says with these tables, letter by letter.
    #[test]
    fn as_sendmail() {
        let unknown = "carol... User unknown\n";
        for (line, exit, expected) in [
            ("root", Exit::NoUser, unknown),
            ("Mixed", Exit::Ok, "daemon... deliverable: mailer local, user daemon\n"),
            (
                "user@far.test",
                Exit::Ok,
                "user@far.test... deliverable: mailer esmtp, host far.test., user user@far.test\n",
            ),
            (
                "x@a.far.test",
                Exit::Ok,
                "x@a.far.test... deliverable: mailer esmtp, host [relay.example.net], user x@a.far.test\n",
            ),
            ("x@gone.test", Exit::NoHost, "x@gone.test... gone away\n"),
            ("nobody-here", Exit::NoUser, "nobody-here... User unknown\n"),
            (
                "daemon@local.test",
                Exit::Ok,
                "daemon@local.test... deliverable: mailer local, user daemon\n",
            ),
            (
                "bob@[127.0.0.1]",
                Exit::Ok,
                "bob@[127.0.0.1]... deliverable: mailer local, user bob\n",
            ),
        ] {
            assert_eq!(verified(&format!("-bv {line}")), (exit, expected.to_owned()), "{line}");
        }
        assert_eq!(verified("-n -bv Mixed").0, Exit::NoUser, "without aliases");
    }

    #[test]
    fn the_lines_of_the_tables_go_where_d_writes() {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("debug");
        let site = site(root.path(), &[("aliases", ALIASES), ("mailertable", MAILERTABLE)]);
        let verified = |line: &str| {
            let options = Options::parse("sendmail", line.split(' ').map(str::to_owned)).unwrap();
            let routes = Routes::read(&site).unwrap();
            let mut debug = debug_file(&file).unwrap();
            let mut out = Vec::new();
            verify(&options, &routes, &mut out, Some(&mut debug)).unwrap();
            (String::from_utf8(out).unwrap(), std::fs::read_to_string(&file).unwrap())
        };
        let plain = "x@gone.test... gone away\n";
        let (out, debug) = verified("-d21.2 -bv x@gone.test");
        assert_eq!(out, plain);
        assert!(debug.starts_with("  mailertable:2: "), "{debug}");
        let (out, again) = verified("-v -d21.2 -bv x@gone.test");
        assert_eq!((out, again), (format!("{debug}{plain}"), debug));
    }

    #[test]
    fn relays_and_no_fallback() {
        let root = tempfile::tempdir().unwrap();
        let toml = "hostname = \"mta.test\"\n[relay]\nfallback = \"fall.test\"\n\
                    [local]\nhub = \"hub.test\"\n";
        let routes = Routes::read(&site(root.path(), &[("pennypost.toml", toml)])).unwrap();
        for (word, expected) in [
            ("x@far.test", "mailer esmtp, host far.test., user x@far.test"),
            ("alice", "mailer relay, host hub.test, user alice@hub.test"),
        ] {
            let options = Options::parse("sendmail", ["-bv", word].map(str::to_owned)).unwrap();
            let mut out = Vec::new();
            assert_eq!(verify(&options, &routes, &mut out, None).unwrap(), Exit::Ok);
            let expected = format!("{word}... deliverable: {expected}\n");
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        }
    }

    /// No name is asked for here: the DNS has a part in tests/scenarios.
    #[test]
    fn the_way_to_a_next_hop_is_shown_once() {
        let plain = "deliverable: mailer esmtp, host [192.0.2.3]:2525, user";
        let expected = format!(
            "x@port.test... {plain} x@port.test\ndns: tries [192.0.2.3]:2525\n\
             y@port.test... {plain} y@port.test\n\
             daemon... deliverable: mailer local, user daemon\n"
        );
        assert_eq!(verified("-d8.11 -bv x@port.test y@port.test daemon").1, expected);
    }

    #[test]
    fn lists_and_codes() {
        let (exit, list) = verified("-bv list daemon");
        let expected = "alice... deliverable: mailer local, user alice\n\
                        bob@example.net... deliverable: mailer esmtp, host example.net., user bob@example.net\n\
                        carol... User unknown\ndaemon... deliverable: mailer local, user daemon\n";
        assert_eq!((exit, &*list), (Exit::NoUser, expected));
        assert_eq!(verified("-bv x@later.test").0, Exit::TempFail);
        assert_eq!(verified("-bv a@b@c").0, Exit::DataErr);
        assert!(verified("-bv x@port.test").1.contains("host [192.0.2.3]:2525, user"));
        assert_ne!(verified("-bv loop").0, Exit::Ok);
        let (_, told) = verified("-v -bv x@gone.test");
        assert!(told.starts_with("  mailertable:2: "), "{told}");
    }

    /// What cannot be shown is escaped.
    #[test]
    fn listings() {
        let lines = [
            "root",
            "list Mixed",
            "x@a.far.test x@gone.test x@port.test",
            "a@b@c",
            "d\u{f6}rte@b\u{fc}cher.test",
            "\u{1b}",
        ];
        let shown = lines.map(|line| {
            let (plain, verbose) = (format!("-bv {line}"), format!("-v -bv {line}"));
            format!("{}{}", verified(&plain).1, verified(&verbose).1)
        });
        insta::assert_snapshot!("verified", shown.join("--\n"));
    }
}
