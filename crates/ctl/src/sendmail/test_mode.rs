//! `-bt`: sendmail's address test mode, as far as it has a meaning without rulesets.
//!
//! Rules of a ruleset cannot be shown, for there are none; the lines of tables that decide are. The lines
//! `canonify … returns` and `parse … returns` look as sendmail's do, for scripts that read them.

mod checks;
mod commands;
mod macros;
mod maps;
mod rulesets;
mod triple;

use std::io::{self, BufRead, IsTerminal as _, Write};

use config::OnDisk;
use envelope::printable;
use policy::Policy;
use routing::{Border, Router};
use tables::Aliases;

use self::commands::Flags;
use self::macros::Macros;
use self::rulesets::Ruleset;
use super::identity;
use super::options::{Options, lookups_wanted};
use crate::pennypost::policy;
use crate::routes::{Routes, unreadable};
use crate::site::{Site, machine_name};
use crate::{Exit, Failure};

/// Bytes of one line of input.
const MAX_LINE: u64 = 64 * 1024;

/// The name of a table of aliases without any: only that there is a postmaster would show.
const NO_ALIASES: &str = "no aliases";

const HELP: &str = include_str!("test_mode/help.txt");

pub(super) fn run(options: &Options, site: &Site) -> Result<Exit, Failure> {
    let routes = Routes::read(site)?;
    let mut bench = Bench { lookups: options.lookups, ..Bench::new(&routes)? };
    let lines = if io::stdin().is_terminal() { Lines::Typed } else { Lines::Read };
    bench.run(lines, &mut io::stdin().lock(), &mut io::stdout().lock())
}

/// Where questions come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lines {
    /// A person gets a prompt for each.
    Typed,
    /// They are written before their answers, as a prompt and the terminal would have them.
    Read,
}

/// What is asked.
struct Bench<'a> {
    routes: &'a Routes,
    /// Rulesets know no aliases: those come after them.
    router: Router,
    policy: Policy,
    /// What addresses are called where mail goes.
    border: Border,
    macros: Macros,
    flags: Flags,
    /// `-d8`: what is asked of the DNS is shown.
    lookups: bool,
}

impl<'a> Bench<'a> {
    fn new(routes: &'a Routes) -> Result<Self, Failure> {
        let aliases = Aliases::read(NO_ALIASES, "postmaster: \\postmaster\n".as_bytes())?.table;
        let mut router = Router { aliases, ..routes.router.clone() };
        // Ruleset 5, which is asked after aliases.
        router.relays.hub = None;
        let policy = policy(&routes.config)?;
        let config = &routes.config;
        let border = Border::read(config.routing(), config.masquerade.clone(), &OnDisk(config));
        let border = border.map_err(|finding| unreadable(&finding))?;
        let names = identity::Names::new(&routes.config.hostname, machine_name());
        let macros = Macros::new(&names);
        Ok(Self { routes, router, policy, border, macros, flags: Flags::default(), lookups: false })
    }

    fn run(
        &mut self,
        lines: Lines,
        input: &mut impl BufRead,
        out: &mut impl Write,
    ) -> Result<Exit, Failure> {
        if lines == Lines::Typed {
            writeln!(out, "ADDRESS TEST MODE (ruleset 3 NOT automatically invoked)")?;
            writeln!(out, "Enter <ruleset> <address>")?;
        }
        let mut line = Vec::new();
        loop {
            if lines == Lines::Typed {
                write!(out, "> ")?;
            }
            out.flush()?;
            line.clear();
            let length = io::Read::take(&mut *input, MAX_LINE).read_until(b'\n', &mut line);
            let failed = |error| Failure::new(Exit::NoInput, format!("cannot read: {error}"));
            if length.map_err(failed)? == 0 {
                return Ok(Exit::Ok);
            }
            let text = String::from_utf8_lossy(&line);
            let text = text.trim();
            if lines == Lines::Read {
                writeln!(out, "> {}", printable(text))?;
            }
            if text.eq_ignore_ascii_case("/quit") {
                return Ok(Exit::Ok);
            }
            self.answer(text, out)?;
        }
    }

    fn answer(&mut self, text: &str, out: &mut impl Write) -> io::Result<()> {
        let (word, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
        let rest = rest.trim();
        match text.chars().next() {
            None | Some('#') => Ok(()),
            Some('?') => out.write_all(HELP.as_bytes()),
            Some('$') => self.value(text.get(1..).unwrap_or_default(), out),
            Some('/') => self.command(word, rest, out),
            Some('.') => self.define(text, out),
            Some('=') => show(text, out),
            Some('-') if text.starts_with("-d") => {
                // Of the rest there is nothing more to show.
                let wanted = lookups_wanted(text.get(2..).unwrap_or_default());
                self.lookups = wanted.unwrap_or(self.lookups);
                Ok(())
            }
            Some('-') if text == "-" => writeln!(out, "Usage: -d{{debug arguments}}"),
            Some('-') => writeln!(out, "Unknown \"-\" command {}", printable(text)),
            Some(_) => self.rulesets(word, rest, out),
        }
    }

    /// `$j`, `$=w`
    fn value(&self, text: &str, out: &mut impl Write) -> io::Result<()> {
        if let Some(class) = text.strip_prefix('=') {
            let Some((name, _)) = macros::split(class) else { return Ok(()) };
            let members = self.class(name);
            return members.iter().try_for_each(|name| writeln!(out, "{}", printable(name)));
        }
        let Some((name, _)) = macros::split(text) else { return Ok(()) };
        writeln!(out, "{}", printable(self.macros.get(name).unwrap_or("Undefined")))
    }

    fn define(&mut self, text: &str, out: &mut impl Write) -> io::Result<()> {
        match (text.get(..2), text.get(2..)) {
            (Some(".D"), Some(rest)) => self.macros.define(rest),
            (Some(".C"), Some(rest)) => self.macros.add(rest),
            _ if text == "." => writeln!(out, "Usage: .[DC]macro value(s)")?,
            _ => writeln!(out, "Unknown \".\" command {}", printable(text))?,
        }
        Ok(())
    }
}

/// `=S3`, `=M`
fn show(text: &str, out: &mut impl Write) -> io::Result<()> {
    match (text.get(..2), text.get(2..)) {
        (Some("=S"), Some(name)) => match Ruleset::find(name.trim()) {
            Some(_) => writeln!(out, "there are no rules; ask it, and see which lines decide"),
            None => writeln!(out, "Undefined ruleset {}", printable(name)),
        },
        (Some("=M"), Some(_)) => commands::mailers(out),
        _ if text == "=" => writeln!(out, "Usage: =Sruleset or =M"),
        _ => writeln!(out, "Unknown \"=\" command {}", printable(text)),
    }
}

/// `canonify           input: a @ b`, in sendmail's columns.
fn step(ruleset: &str, what: &str, tokens: &str, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "{ruleset:<16} {what:>7}: {}", printable(tokens))
}

#[cfg(test)]
mod tests;
