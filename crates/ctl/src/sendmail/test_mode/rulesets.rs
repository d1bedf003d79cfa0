//! `3,0 ADDRESS`, `check_rcpt ADDRESS`: what each of sendmail's rulesets would make of its input, and
//! by which lines.

use std::borrow::Cow;
use std::io::{self, Write};

use envelope::{Address, Aliasing};
use routing::{Part, Routed, Router, Taker};
use tables::{Domaintable, Mailertable};

use super::checks::Check;
use super::{Bench, NO_ALIASES, step, triple};

/// Those that have a meaning without rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ruleset {
    Canonify,
    Parse,
    /// Senders of headers.
    Sender,
    /// Recipients of headers.
    Recipient,
    Final,
    Mailertable,
    MailerToTriple,
    Check(Check),
}

use Ruleset::{Canonify, Final, MailerToTriple, Parse, Recipient, Sender};

/// The names and numbers by which they are called, the name that is shown first.
const RULESETS: [(&str, &str, Ruleset); 12] = [
    ("canonify", "3", Canonify),
    ("parse", "0", Parse),
    ("1", "1", Sender),
    ("2", "2", Recipient),
    ("final", "4", Final),
    ("Mailertable", "90", Ruleset::Mailertable),
    ("MailerToTriple", "95", MailerToTriple),
    ("check_relay", "check_relay", Ruleset::Check(Check::Relay)),
    ("check_mail", "check_mail", Ruleset::Check(Check::Mail)),
    ("check_rcpt", "check_rcpt", Ruleset::Check(Check::Rcpt)),
    ("check_compat", "check_compat", Ruleset::Check(Check::Compat)),
    ("srv_features", "srv_features", Ruleset::Check(Check::Features)),
];

impl Ruleset {
    pub(super) fn find(word: &str) -> Option<Self> {
        let is_it = |name: &str| name.eq_ignore_ascii_case(word);
        let found = RULESETS.iter().find(|(name, number, _)| is_it(name) || is_it(number));
        found.map(|(.., ruleset)| *ruleset)
    }

    pub(super) fn name(self) -> &'static str {
        RULESETS.iter().find(|(.., ruleset)| *ruleset == self).map_or("", |(name, ..)| name)
    }
}

impl Bench<'_> {
    /// Each of `names` in turn, on what the one before it returned; each of the addresses.
    pub(super) fn rulesets(&self, names: &str, text: &str, out: &mut impl Write) -> io::Result<()> {
        if text.is_empty() {
            return writeln!(out, "No address!");
        }
        triple::parts(text).into_iter().try_for_each(|address| self.in_turn(names, address, out))
    }

    fn in_turn(&self, names: &str, address: &str, out: &mut impl Write) -> io::Result<()> {
        let mut value = triple::tokens(address);
        for word in names.split(',') {
            let Some(ruleset) = Ruleset::find(word) else {
                return writeln!(out, "Undefined ruleset {}", envelope::printable(word));
            };
            value = self.apply(ruleset, &value, out)?;
        }
        Ok(())
    }

    /// What it returns; input, lines of tables and output are shown.
    pub(super) fn apply(
        &self,
        ruleset: Ruleset,
        value: &str,
        out: &mut impl Write,
    ) -> io::Result<String> {
        step(ruleset.name(), "input", value, out)?;
        let mut trace = Vec::new();
        let returned = match ruleset {
            Ruleset::Canonify => self.canonified(value, &mut trace),
            Ruleset::Parse => self.destination(value, &mut trace),
            Ruleset::Sender => self.renamed((Part::HeaderSender, Taker::Smtp), value, &mut trace),
            Ruleset::Recipient => {
                self.renamed((Part::HeaderRecipient, Taker::Smtp), value, &mut trace)
            }
            Ruleset::Final => triple::tokens(&triple::unfocused(value)),
            Ruleset::Mailertable => {
                self.by_table(self.router.mailertable.clone(), value, &mut trace)
            }
            Ruleset::MailerToTriple => self.by_value(value),
            Ruleset::Check(check) => self.check(check, value, &mut trace),
        };
        trace.iter().try_for_each(|step| writeln!(out, "  {step}"))?;
        step(ruleset.name(), "returns", &returned, out)?;
        if ruleset == Ruleset::Parse {
            self.follow(value, out)?;
        }
        Ok(returned)
    }

    /// With the domain's new name.
    fn canonified(&self, value: &str, trace: &mut Vec<String>) -> String {
        let returned = triple::canonical(&triple::plain(value), &self.router.local);
        let address = triple::focus(&returned).and_then(|_| self.address(&returned));
        let found = address.and_then(|address| self.router.domaintable.find(&address));
        let Some((renamed, place)) = found else { return returned };
        trace.push(format!("{place}: {renamed}"));
        triple::canonical(&renamed.to_string(), &self.router.local)
    }

    fn destination(&self, value: &str, trace: &mut Vec<String>) -> String {
        let Some(address) = self.address(value) else {
            // What canonify has not seen is a name, whatever is in it.
            let is_name = triple::focus(value).is_none() && !value.is_empty();
            let bad = "$# error $@ 5 . 1 . 3 $: bad address";
            return if is_name { format!("$# local $: {value}") } else { bad.to_owned() };
        };
        // Ruleset 0 renames nothing, but what it finds.
        let mut router = Cow::Borrowed(&self.router);
        let again = self.router.domaintable.find(&address);
        if again.is_some_and(|(renamed, _)| renamed != address) {
            router.to_mut().domaintable = Domaintable::default();
        }
        let routed = self.routed(&router, &address);
        let steps = routed.trace.iter().filter(|step| &*step.file != NO_ALIASES);
        trace.extend(steps.map(ToString::to_string));
        triple::of(&routed, &triple::unfocused(value), &self.router.local)
    }

    /// What canonify returned as an address: with the host in brackets, or a name without one.
    pub(super) fn address(&self, value: &str) -> Option<Address> {
        let plain = triple::unfocused(value);
        match triple::focus(value) {
            Some(_) => plain.parse().ok(),
            None if value.contains('@') => None,
            None => Address::new(&plain, &self.router.local.hostname).ok(),
        }
    }

    /// `< esmtp : host > x < @ a . test . >` as a mailertable of one line would have it.
    fn by_value(&self, value: &str) -> String {
        let (value, rest) = triple::argument(value);
        let domain = triple::unfocused(rest);
        let domain = domain.rsplit_once('@').map_or("", |(_, domain)| domain);
        let line = format!("{domain}\t{}\n", triple::plain(value));
        let table = Mailertable::read("MailerToTriple", line.as_bytes());
        let table = table.map(|read| read.table).unwrap_or_default();
        self.by_table(table, rest, &mut Vec::new())
    }

    /// `< a . test > x < @ a . test . >`: the triple, or the address where no line says anything.
    fn by_table(&self, mailertable: Mailertable, value: &str, trace: &mut Vec<String>) -> String {
        let (asked, rest) = triple::argument(value);
        let rest = if rest.is_empty() { value } else { rest };
        let plain = triple::unfocused(rest);
        let host = match (triple::plain(asked), plain.rsplit_once('@')) {
            (host, _) if !host.is_empty() => host,
            (_, Some((_, domain))) => domain.to_owned(),
            (_, None) => plain.clone(),
        };
        let local = plain.rsplit_once('@').map_or("x", |(local, _)| local);
        let host = host.trim_end_matches('.');
        let Ok(address) = Address::new(local, host) else { return rest.to_owned() };
        let router = Router { mailertable, ..Router::default() };
        let routed = self.routed(&router, &address);
        if routed.trace.is_empty() {
            return rest.to_owned();
        }
        trace.extend(routed.trace.iter().map(ToString::to_string));
        triple::of(&routed, &plain, &router.local)
    }

    /// What an address is called there: domaintable, genericstable, masquerading.
    pub(super) fn renamed(
        &self,
        which: (Part, Taker),
        value: &str,
        trace: &mut Vec<String>,
    ) -> String {
        let plain = triple::unfocused(value);
        let (local, domain) = match plain.rsplit_once('@') {
            Some((local, domain)) => (local, Some(domain)),
            None => (plain.as_str(), None),
        };
        let mut steps = Vec::new();
        let renamed = self.border.rewrite(which, local, domain, &mut steps);
        trace.extend(steps.iter().map(ToString::to_string));
        match renamed {
            Some(address) => triple::canonical(&address.to_string(), &self.router.local),
            None => value.to_owned(),
        }
    }

    /// As mail from `$f` goes.
    pub(super) fn routed(&self, router: &Router, address: &Address) -> Routed {
        router.route(address, &self.reverse_path(), &[], Aliasing::Followed)
    }
}
