//! `/parse`, `/try`, `/map` and the other commands of the test mode.

use std::io::{self, Write};
use std::net::IpAddr;

use envelope::printable;
use net::{Failure as NoAnswer, Families, Lookups, Resolver};
use routing::{Part, Route, Taker};

use super::rulesets::Ruleset;
use super::{Bench, step, triple};
use crate::control::wait;
use crate::dns;
use crate::sendmail::verify::{host, mailer};

/// What `/try` and `/parse` are about: `/tryflags HS`.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Flags {
    header: bool,
    sender: bool,
}

/// Mailers that `/try` knows: those of sendmail, and what we have beside them.
const MAILERS: [(&str, &str); 9] = [
    ("local", "P=local.mailbox, T=DNS/RFC822/X-Unix"),
    ("prog", "P=local.programs, T=X-Unix/X-Unix/X-Unix"),
    ("*file*", "P=[FILE], T=X-Unix/X-Unix/X-Unix"),
    ("*include*", "P=/dev/null, T=<undefined>/<undefined>/<undefined>"),
    ("smtp", "P=[IPC], T=DNS/RFC822/SMTP, A=TCP $h"),
    ("esmtp", "P=[IPC], T=DNS/RFC822/SMTP, A=TCP $h"),
    ("smtp8", "P=[IPC], T=DNS/RFC822/SMTP, A=TCP $h"),
    ("dsmtp", "P=[IPC], T=DNS/RFC822/SMTP, A=TCP $h"),
    ("relay", "P=[IPC], T=DNS/RFC822/SMTP, A=TCP $h"),
];

impl Flags {
    fn set(&mut self, letters: &str) {
        for letter in letters.chars() {
            match letter.to_ascii_lowercase() {
                'h' => self.header = true,
                'e' => self.header = false,
                's' => self.sender = true,
                'r' => self.sender = false,
                _ => {}
            }
        }
    }

    /// `envelope recipient`
    fn words(self) -> String {
        let place = if self.header { "header" } else { "envelope" };
        format!("{place} {}", if self.sender { "sender" } else { "recipient" })
    }
}

/// `=M`
pub(super) fn mailers(out: &mut impl Write) -> io::Result<()> {
    let mut numbered = MAILERS.iter().enumerate();
    numbered
        .try_for_each(|(number, (name, what))| writeln!(out, "mailer {number} ({name}): {what}"))
}

impl Bench<'_> {
    pub(super) fn command(
        &mut self,
        word: &str,
        rest: &str,
        out: &mut impl Write,
    ) -> io::Result<()> {
        let command = word.to_ascii_lowercase();
        if let (Some(usage), true) = (usage(&command), rest.is_empty()) {
            return writeln!(out, "Usage: {usage}");
        }
        match command.as_str() {
            "/" => writeln!(out, "Usage: /[canon|map|mx|parse|try|tryflags]"),
            "/canon" => self.canon(rest, out),
            "/dnslookup" => self.dnslookup(rest, out),
            "/expand" => writeln!(out, "{}", printable(&self.macros.expand(rest))),
            "/gethostbyname" => self.gethostbyname(rest, out),
            "/header" => self.header(rest, out),
            "/map" => self.map(rest, out),
            "/mx" => self.mx(rest, out),
            "/parse" => self.parse(rest, out),
            "/sender" => self.sender(rest, out),
            "/try" => self.try_mailer(rest, out),
            "/tryflags" => {
                self.flags.set(rest);
                Ok(())
            }
            _ => writeln!(out, "Unknown \"/\" command {}", printable(word)),
        }
    }

    fn parse(&self, text: &str, out: &mut impl Write) -> io::Result<()> {
        writeln!(out, "Cracked address = {}", cracked(text))?;
        writeln!(out, "Parsing {} address", self.flags.words())?;
        let value = self.apply(Ruleset::Canonify, &triple::tokens(text), out)?;
        self.apply(Ruleset::Parse, &value, out)?;
        let Some(address) = self.address(&value) else { return writeln!(out, "Cannot parse") };
        let routed = self.routed(&self.router, &address);
        match &routed.route {
            Route::Local { user, .. } => {
                writeln!(out, "mailer local, user {}", printable(user))
            }
            Route::Remote(hop) => {
                let user = routed.address.to_string();
                let (mailer, host) = (mailer(&routed), host(&routed, hop));
                writeln!(out, "mailer {mailer}, host {host}, user {}", printable(&user))
            }
            Route::Special(special) => {
                writeln!(out, "mailer local, user {}", printable(&special.to_string()))
            }
            Route::List { .. } => Ok(()),
            Route::Refused(refusal) => writeln!(out, "{}", printable(&refusal.text)),
            Route::Over(status) => writeln!(out, "{}", printable(&status.detail().text)),
        }
    }

    /// The names by which an address is known to a mailer.
    fn try_mailer(&self, text: &str, out: &mut impl Write) -> io::Result<()> {
        let Some((mailer, address)) = text.split_once(char::is_whitespace) else {
            return writeln!(out, "Usage: /try mailer address");
        };
        let address = address.trim();
        if !MAILERS.iter().any(|(name, _)| name.eq_ignore_ascii_case(mailer)) {
            return writeln!(out, "Unknown mailer {}", printable(mailer));
        }
        let (words, shown) = (self.flags.words(), printable(address));
        writeln!(out, "Trying {words} address {shown} for mailer {}", printable(mailer))?;
        let value = self.apply(Ruleset::Canonify, &triple::tokens(address), out)?;
        let written = triple::canonical(address, &self.router.local);
        let value = self.as_seen(mailer, &value, &written, out)?;
        let value = self.apply(Ruleset::Final, &value, out)?;
        writeln!(out, "Rcode = 0, addr = {}", printable(&triple::plain(&value)))
    }

    /// The ruleset of the mailer for what `/tryflags` says. `written`: before its domain got a new name,
    /// which it gets once.
    fn as_seen(
        &self,
        mailer: &str,
        value: &str,
        written: &str,
        out: &mut impl Write,
    ) -> io::Result<String> {
        let there = mailer.contains("smtp") || mailer.eq_ignore_ascii_case("relay");
        let taker = if there { Taker::Smtp } else { Taker::Local };
        let (part, name) = match (self.flags.header, self.flags.sender) {
            (true, true) => (Part::HeaderSender, "HdrFrom"),
            (true, false) => (Part::HeaderRecipient, "HdrTo"),
            (false, true) => (Part::EnvelopeSender, "EnvFrom"),
            (false, false) => (Part::EnvelopeRecipient, "EnvTo"),
        };
        let name = format!("{name}{}", if there { "SMTP" } else { "L" });
        let mut trace = Vec::new();
        step(&name, "input", value, out)?;
        let renamed = self.renamed((part, taker), written, &mut trace);
        let returned = if renamed == written { value.to_owned() } else { renamed };
        trace.iter().try_for_each(|line| writeln!(out, "  {line}"))?;
        step(&name, "returns", &returned, out)?;
        Ok(returned)
    }

    /// Who `$f` is from now on.
    fn sender(&mut self, text: &str, out: &mut impl Write) -> io::Result<()> {
        let value = self.apply(Ruleset::Canonify, &triple::tokens(text), out)?;
        let address = triple::unfocused(&value);
        self.macros.define(&format!("f{address}"));
        let here = self.address(&value).filter(|it| self.router.local.find(it).is_some());
        let user = here.map_or(address, |it| it.local().to_owned());
        writeln!(out, "addr={}", printable(&user))
    }

    /// The addresses that a header field names.
    fn header(&self, text: &str, out: &mut impl Write) -> io::Result<()> {
        let Some((name, value)) = text.split_once(':') else {
            return writeln!(out, "header syntax error, line \"{}\"", printable(text));
        };
        writeln!(out, "{}: {}", printable(name), printable(value.trim()))?;
        let found = message::addresses(value, &self.router.local.hostname);
        found.errors.iter().try_for_each(|error| writeln!(out, "\t{error}"))?;
        let mut addresses = found.addresses.iter();
        addresses.try_for_each(|address| writeln!(out, "\t{}", printable(&address.to_string())))
    }

    fn mx(&self, name: &str, out: &mut impl Write) -> io::Result<()> {
        let found = self.asked(out, async |resolver| {
            let mut found = resolver.exchanges(name).await?;
            found.sort_by_key(|exchange| exchange.preference);
            Ok(found.into_iter().map(|exchange| format!("{}.", exchange.host)).collect())
        })?;
        let name = printable(name);
        match found {
            // RFC 7505 §3: the root, and nothing else.
            Ok(exchanges) if exchanges == ["."] => {
                writeln!(out, "getmxrr({name}) returns null MX (See RFC7505)")
            }
            Ok(exchanges) => {
                writeln!(out, "getmxrr({name}) returns {} value(s):", exchanges.len())?;
                listed(&exchanges, out)
            }
            Err(why) => writeln!(out, "getmxrr({name}): {}", printable(&why)),
        }
    }

    fn canon(&self, name: &str, out: &mut impl Write) -> io::Result<()> {
        let found = self.asked(out, async |resolver| Ok(vec![resolver.canonical(name).await?]))?;
        let canonical = found.ok().and_then(|mut found| found.pop());
        let canonical = canonical.unwrap_or_else(|| name.to_owned());
        writeln!(out, "getcanonname({}) returns {}", printable(name), printable(&canonical))
    }

    fn gethostbyname(&self, text: &str, out: &mut impl Write) -> io::Result<()> {
        let (name, family) = text.split_once(char::is_whitespace).unwrap_or((text, "inet"));
        let six = ["inet6", "AAAA"].contains(&family.trim());
        self.addresses("gethostbyname", name, |address| address.is_ipv6() == six, out)
    }

    fn dnslookup(&self, text: &str, out: &mut impl Write) -> io::Result<()> {
        let (name, kind) = text.split_once(char::is_whitespace).unwrap_or((text, "A"));
        let kind = kind.split_whitespace().next().unwrap_or_default();
        match kind.to_ascii_uppercase().as_str() {
            "A" => self.addresses("dnslookup", name, IpAddr::is_ipv4, out),
            "AAAA" => self.addresses("dnslookup", name, IpAddr::is_ipv6, out),
            "MX" => self.mx(name, out),
            _ => writeln!(out, "{}: only A, AAAA and MX are looked up here", printable(kind)),
        }
    }

    fn addresses(
        &self,
        what: &str,
        host: &str,
        wanted: impl Fn(&IpAddr) -> bool,
        out: &mut impl Write,
    ) -> io::Result<()> {
        let found = self.asked(out, async |resolver| {
            let found = resolver.addresses(host).await?.into_iter().filter(&wanted);
            Ok(found.map(|address| address.to_string()).collect())
        })?;
        let name = printable(host);
        match found {
            Ok(addresses) => {
                writeln!(out, "{what}({name}) returns {} value(s):", addresses.len())?;
                listed(&addresses, out)
            }
            Err(why) => writeln!(out, "{what}({name}): {}", printable(&why)),
        }
    }

    /// What the DNS says; nothing where there is no such name. With `-d8` each question is shown.
    fn asked(
        &self,
        out: &mut impl Write,
        question: impl AsyncFnOnce(&Resolver) -> Result<Vec<String>, NoAnswer>,
    ) -> io::Result<Result<Vec<String>, String>> {
        let lookups = Lookups::default();
        let answer = wait(async {
            let resolver = dns::resolver(&self.routes.config, Families::Both)?;
            let resolver = if self.lookups { resolver.noting(&lookups) } else { resolver };
            Ok(question(&resolver).await)
        });
        dns::write(&lookups, out)?;
        Ok(match answer {
            Ok(Ok(found)) => Ok(found),
            Ok(Err(NoAnswer::NoSuchName | NoAnswer::NoRecords)) => Ok(Vec::new()),
            Ok(Err(NoAnswer::NoAnswer(why))) => Err(why),
            Err(failure) => Err(failure.text),
        })
    }

    /// With `-d8`: the way to the next hop of what `parse` was given.
    pub(super) fn follow(&self, value: &str, out: &mut impl Write) -> io::Result<()> {
        let Some(address) = self.address(value).filter(|_| self.lookups) else { return Ok(()) };
        let Route::Remote(hop) = self.routed(&self.router, &address).route else { return Ok(()) };
        match dns::follow(&self.routes.config, &hop, out) {
            Ok(()) => Ok(()),
            Err(failure) => writeln!(out, "{}", printable(&failure.text)),
        }
    }
}

fn listed(values: &[String], out: &mut impl Write) -> io::Result<()> {
    values.iter().try_for_each(|value| writeln!(out, "\t{}", printable(value)))
}

/// How a command is to be called that wants something.
fn usage(command: &str) -> Option<&'static str> {
    Some(match command {
        "/canon" => "/canon address",
        "/dnslookup" => "/dnslookup host [type]",
        "/expand" => "/expand string",
        "/gethostbyname" => "/gethostbyname host [inet6]",
        "/header" => "/header field: value",
        "/map" => "/map mapname key",
        "/mx" => "/mx address",
        "/parse" => "/parse address",
        "/sender" => "/sender address",
        "/try" => "/try mailer address",
        "/tryflags" => "/tryflags [Hh|Ee][Ss|Rr]",
        _ => return None,
    })
}

/// The text with `$g` in place of the address.
fn cracked(text: &str) -> String {
    match (text.find('<'), text.rfind('>')) {
        (Some(open), Some(close)) if open < close => {
            let before = text.get(..=open).unwrap_or_default();
            let after = text.get(close..).unwrap_or_default();
            printable(&format!("{before}$g{after}")).to_string()
        }
        _ => "$g".to_owned(),
    }
}
