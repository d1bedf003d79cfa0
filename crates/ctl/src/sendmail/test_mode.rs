//! `-bt`: sendmail's address test mode, as far as it has a meaning without rulesets.
//!
//! Rules of a ruleset cannot be shown, for there are none; the lines of tables that decide are. The lines
//! `canonify … returns` and `parse … returns` look as sendmail's do, for scripts that read them.

mod triple;

use std::io::{self, BufRead, Write};

use envelope::printable;
use net::{Failure as NoAnswer, Families, Resolver, Servers};
use routing::{Route, Routed, Router};
use tables::Aliases;

use super::identity;
use super::verify::{host, mailer};
use crate::control::wait;
use crate::routes::Routes;
use crate::site::{Site, machine_name};
use crate::{Exit, Failure};

/// Bytes of one line of input.
const MAX_LINE: u64 = 64 * 1024;

const HELP: &str = "\
Address test mode:
  3,0 ADDRESS    the triple (mailer, host, user) that an address becomes, and the lines that decide;
                 aliases come after it: see -bv
  3 ADDRESS      the address in sendmail's inner form
  /parse ADDRESS the same, with mailer, host and user in a line
  /mx HOST       the MX records of a host
  $j $w $m $k $v names of this host and the version
  $=w $=m        the names that are local, the domains of this host
  /quit          the end
";

pub(super) fn run(site: &Site) -> Result<Exit, Failure> {
    let routes = Routes::read(site)?;
    let bench = Bench::new(&routes);
    bench.run(&mut io::stdin().lock(), &mut io::stdout().lock())
}

/// What is asked.
struct Bench<'a> {
    routes: &'a Routes,
    /// Rulesets know no aliases: those come after them.
    router: Router,
    names: identity::Names,
}

impl<'a> Bench<'a> {
    fn new(routes: &'a Routes) -> Self {
        let router = Router { aliases: Aliases::default(), ..routes.router.clone() };
        let names = identity::Names::new(&routes.config.hostname, machine_name());
        Self { routes, router, names }
    }

    fn run(&self, input: &mut impl BufRead, out: &mut impl Write) -> Result<Exit, Failure> {
        writeln!(out, "ADDRESS TEST MODE (ruleset 3 NOT automatically invoked)")?;
        writeln!(out, "Enter <ruleset> <address>")?;
        let mut line = Vec::new();
        loop {
            write!(out, "> ")?;
            out.flush()?;
            line.clear();
            let length = io::Read::take(&mut *input, MAX_LINE).read_until(b'\n', &mut line);
            let failed = |error| Failure::new(Exit::NoInput, format!("cannot read: {error}"));
            if length.map_err(failed)? == 0 {
                return Ok(Exit::Ok);
            }
            let text = String::from_utf8_lossy(&line);
            let text = text.trim();
            if text == "/quit" {
                return Ok(Exit::Ok);
            }
            self.answer(text, out)?;
        }
    }

    fn answer(&self, text: &str, out: &mut impl Write) -> io::Result<()> {
        let (word, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
        let rest = rest.trim();
        match word.chars().next() {
            // -d: there is nothing more to show.
            None | Some('#' | '-') => Ok(()),
            Some('?') => out.write_all(HELP.as_bytes()),
            Some('$') => self.value(word, out),
            Some('/') => self.command(word, rest, out),
            Some('=' | '.') => {
                writeln!(out, "there are no rulesets, macros or mailers to change here")
            }
            Some(_) => self.rulesets(word, rest, out),
        }
    }

    fn command(&self, word: &str, rest: &str, out: &mut impl Write) -> io::Result<()> {
        match word.to_ascii_lowercase().as_str() {
            "/parse" | "/mx" if rest.is_empty() => writeln!(out, "Usage: {word} address"),
            "/parse" => self.parse(rest, out),
            "/mx" => self.mx(rest, out),
            "/canon" | "/dnslookup" | "/expand" | "/gethostbyname" | "/header" | "/map"
            | "/sender" | "/try" | "/tryflags" => writeln!(out, "{word} is not supported yet"),
            _ => writeln!(out, "Unknown \"/\" command {}", printable(word)),
        }
    }

    /// `$j`, `$=w`
    fn value(&self, word: &str, out: &mut impl Write) -> io::Result<()> {
        let names = &self.names;
        match word {
            "$j" => writeln!(out, "{}", names.canonical),
            "$w" => writeln!(out, "{}", names.short),
            "$m" => writeln!(out, "{}", names.domain),
            "$k" => writeln!(out, "{}", names.node),
            "$v" => writeln!(out, "{}", env!("CARGO_PKG_VERSION")),
            "$=w" => self.local_names().iter().try_for_each(|name| writeln!(out, "{name}")),
            "$=m" => writeln!(out, "{}", names.domain),
            _ if word.starts_with("$=") => Ok(()),
            _ => writeln!(out, "Undefined"),
        }
    }

    fn local_names(&self) -> Vec<String> {
        let local = &self.router.local;
        let mut names = vec![local.hostname.clone(), "localhost".to_owned()];
        names.extend(local.names.iter().map(|(name, _)| name.to_owned()));
        names.extend(local.addresses.iter().map(|address| format!("[{address}]")));
        names
    }

    /// `3,0 address`: each ruleset in turn, on what the one before it returned.
    fn rulesets(&self, numbers: &str, text: &str, out: &mut impl Write) -> io::Result<()> {
        if text.is_empty() {
            return writeln!(out, "No address!");
        }
        let mut inner = false;
        for ruleset in numbers.split(',') {
            match ruleset.to_ascii_lowercase().as_str() {
                "3" | "canonify" => {
                    self.canonify(text, out)?;
                    inner = true;
                }
                "0" | "parse" if inner => {
                    self.parse_inner(text, out)?;
                }
                "0" | "parse" => {
                    writeln!(
                        out,
                        "ruleset 0 wants what ruleset 3 returns: 3,0 {}",
                        printable(text)
                    )?;
                }
                _ => writeln!(out, "there is no ruleset {} here: 3,0", printable(ruleset))?,
            }
        }
        Ok(())
    }

    fn canonify(&self, text: &str, out: &mut impl Write) -> io::Result<()> {
        step("canonify", "input", &triple::tokens(text), out)?;
        step("canonify", "returns", &triple::canonical(text), out)
    }

    /// `None`: it is no address, which was said.
    fn parse_inner(&self, text: &str, out: &mut impl Write) -> io::Result<Option<Routed>> {
        step("parse", "input", &triple::canonical(text), out)?;
        let found = message::addresses(text, &self.routes.config.hostname);
        let Some(address) = found.addresses.first() else {
            step("parse", "returns", "$# error $@ 5 . 1 . 3 $: bad address", out)?;
            return Ok(None);
        };
        let routed = self.router.route(address, &[]);
        routed.trace.iter().try_for_each(|step| writeln!(out, "  {step}"))?;
        step("parse", "returns", &triple::of(&routed, text), out)?;
        Ok(Some(routed))
    }

    fn parse(&self, text: &str, out: &mut impl Write) -> io::Result<()> {
        writeln!(out, "Cracked address = $g\nParsing envelope recipient address")?;
        self.canonify(text, out)?;
        let Some(routed) = self.parse_inner(text, out)? else { return Ok(()) };
        match &routed.route {
            Route::Local { user, detail: _ } => {
                writeln!(out, "mailer local, user {}", printable(user))
            }
            Route::Remote(hop) => {
                let user = routed.address.to_string();
                let (mailer, host) = (mailer(&routed), host(hop));
                writeln!(out, "mailer {mailer}, host {host}, user {}", printable(&user))
            }
            Route::List { .. } => Ok(()),
            Route::Refused(refusal) => writeln!(out, "{}", printable(&refusal.text)),
            Route::Over(status) => writeln!(out, "{}", printable(&status.detail().text)),
        }
    }

    fn mx(&self, name: &str, out: &mut impl Write) -> io::Result<()> {
        let found = wait(async { Ok(self.exchanges(name).await) });
        let exchanges = match found.unwrap_or_else(|failure| Err(failure.text)) {
            Ok(exchanges) => exchanges,
            Err(why) => return writeln!(out, "getmxrr({}): {}", printable(name), printable(&why)),
        };
        writeln!(out, "getmxrr({}) returns {} value(s):", printable(name), exchanges.len())?;
        exchanges.iter().try_for_each(|host| writeln!(out, "\t{}", printable(host)))
    }

    /// In the order of their preference; a null MX is one empty name.
    async fn exchanges(&self, name: &str) -> Result<Vec<String>, String> {
        let servers = match &self.routes.config.remote.resolver {
            config::Resolver::System => Servers::System,
            config::Resolver::Servers(addresses) => Servers::Listed(addresses.clone()),
        };
        let resolver = Resolver::new(&servers, Families::Both)?;
        match resolver.exchanges(name).await {
            Ok(mut found) => {
                found.sort_by_key(|exchange| exchange.preference);
                Ok(found.into_iter().map(|exchange| format!("{}.", exchange.host)).collect())
            }
            Err(NoAnswer::NoSuchName | NoAnswer::NoRecords) => Ok(Vec::new()),
            Err(NoAnswer::NoAnswer(why)) => Err(why),
        }
    }
}

/// `canonify           input: a @ b`, in sendmail's columns.
fn step(ruleset: &str, what: &str, tokens: &str, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "{ruleset:<16} {what:>7}: {}", printable(tokens))
}

#[cfg(test)]
mod tests;
