//! `check_relay`, `check_mail`, `check_rcpt`, `check_compat`: what a client would be answered;
//! `srv_features`: what it would not be offered.
//!
//! The client is who the macros say: `.D{client_addr}192.0.2.7`, `.D{client_name}mx.example.net`,
//! `.D{client_resolve}OK` (or FAIL, FORGED, TEMP), and the reverse-path is `$f`. Without an address it is a
//! user of this machine.

use std::net::IpAddr;

use envelope::{Address, Disposition, ReversePath, domain_key, printable};
use policy::{Asked, Client, ClientName, Ruling, Sending, Verdict};

use super::{Bench, triple};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Check {
    Relay,
    Mail,
    Rcpt,
    Compat,
    Features,
}

/// What a ruleset returns that has nothing against it.
const FINE: &str = "OK";

impl Bench<'_> {
    pub(super) fn check(&self, check: Check, value: &str, trace: &mut Vec<String>) -> String {
        let plain = triple::plain(value);
        let bare = plain.strip_prefix('<').and_then(|text| text.strip_suffix('>'));
        let text = bare.unwrap_or(&plain).trim();
        match check {
            Check::Rcpt => self.check_rcpt(text, trace),
            Check::Mail => self.check_mail(text, trace),
            Check::Relay => self.check_relay(&plain, trace),
            Check::Compat => self.check_compat(&plain, trace),
            Check::Features => self.features(trace),
        }
    }

    fn check_rcpt(&self, text: &str, trace: &mut Vec<String>) -> String {
        let Some(recipient) = self.written(text) else {
            return bad_address("Recipient address required");
        };
        let (address, name) = self.client();
        let reverse_path = self.reverse_path();
        let client = client(address, &name);
        let mut steps = Vec::new();
        let sending = Sending::plain(client, &reverse_path);
        let ruling = self.policy.recipient(&sending, &recipient, &mut steps);
        trace.extend(steps.iter().map(ToString::to_string));
        match ruling {
            Ruling::Decided(verdict) => returned(&verdict),
            // Rulesets know no users.
            Ruling::Depends { then, .. } | Ruling::Asks(Asked { then, .. }) => accepted(&then),
        }
    }

    fn check_mail(&self, text: &str, trace: &mut Vec<String>) -> String {
        let from = self.written(text).filter(|_| !text.is_empty());
        let (address, name) = self.client();
        let reverse_path = ReversePath(from);
        let sending = Sending::plain(client(address, &name), &reverse_path);
        let mut steps = Vec::new();
        let said = self.policy.from(&sending, &mut steps);
        trace.extend(steps.iter().map(ToString::to_string));
        phase(said)
    }

    /// `mx.example.net $| 192.0.2.7`; without them, who the macros say.
    fn check_relay(&self, text: &str, trace: &mut Vec<String>) -> String {
        let (address, name) = match text.split_once("$|") {
            Some((name, address)) => {
                let address = address.strip_prefix("IPv6:").unwrap_or(address);
                (address.parse().ok(), self.client_name(name))
            }
            None => self.client(),
        };
        let mut steps = Vec::new();
        let terms = address.map(|address| self.policy.terms(address, &name, &mut steps));
        let postmaster = Address::new("postmaster", &self.router.local.hostname);
        let said =
            postmaster.map(|about| self.policy.connect(client(address, &name), &about, &mut steps));
        trace.extend(steps.iter().map(ToString::to_string));
        trace.extend(terms.map(|terms| terms.to_string()));
        said.map_or_else(|_| FINE.to_owned(), phase)
    }

    /// `x@example.net $| y@example.org`
    fn check_compat(&self, text: &str, trace: &mut Vec<String>) -> String {
        let (from, to) = text.split_once("$|").unwrap_or((text, ""));
        let (from, to) = (ReversePath(self.written(from)), self.written(to));
        let Some(to) = to else { return bad_address("Recipient address required") };
        let mut steps = Vec::new();
        let said = self.policy.compat(&from, &to, &mut steps);
        trace.extend(steps.iter().map(ToString::to_string));
        phase(said)
    }

    /// Who the macros say: the argument is its name, and is not looked at (proto.m4).
    fn features(&self, trace: &mut Vec<String>) -> String {
        let (address, name) = self.client();
        let found = address.and_then(|address| self.policy.features(address, &name));
        let Some(hit) = found else { return FINE.to_owned() };
        trace.push(format!("{}: {}", hit.place, printable(&hit.to_string())));
        format!("$# {}", hit.value)
    }

    /// `$f`
    pub(super) fn reverse_path(&self) -> ReversePath {
        let from = self.macros.get("f").unwrap_or_default().trim_matches(['<', '>']);
        ReversePath(self.written(from).filter(|_| !from.is_empty()))
    }

    /// An address, or a name of this host.
    fn written(&self, text: &str) -> Option<Address> {
        self.address(&triple::canonical(text, &self.router.local))
    }

    /// Who the macros say that sends.
    fn client(&self) -> (Option<IpAddr>, ClientName) {
        let address = self.macros.get("client_addr").unwrap_or_default();
        let address = address.strip_prefix("IPv6:").unwrap_or(address).parse().ok();
        (address, self.client_name(self.macros.get("client_name").unwrap_or_default()))
    }

    fn client_name(&self, name: &str) -> ClientName {
        let is_name = !name.is_empty() && !name.starts_with('[');
        match self.macros.get("client_resolve") {
            Some("TEMP") => ClientName::Unknown,
            Some("FAIL" | "FORGED") => ClientName::None,
            Some(_) | None if is_name => ClientName::Confirmed(domain_key(name)),
            Some(_) | None => ClientName::None,
        }
    }
}

fn client(address: Option<IpAddr>, name: &ClientName) -> Client<'_> {
    address.map_or(Client::User, |address| Client::Network { address, name })
}

/// `$# error $@ 5 . 7 . 1 $: "550 Access denied"`
fn returned(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Accept(disposition) => accepted(disposition),
        Verdict::Refuse { code, text } => {
            let (enhanced, text) = text.split_once(' ').unwrap_or(("", text));
            let text = text.split_once(">... ").map_or(text, |(_, text)| text);
            format!("$# error $@ {} $: \"{code} {text}\"", triple::tokens(enhanced))
        }
    }
}

/// What a phase alone says.
fn phase(said: Result<Option<Disposition>, Verdict>) -> String {
    match said {
        Ok(said) => accepted(&said.unwrap_or(Disposition::Deliver)),
        Err(verdict) => returned(&verdict),
    }
}

/// `$# discard $: discard`
fn accepted(disposition: &Disposition) -> String {
    match disposition {
        Disposition::Deliver => FINE.to_owned(),
        Disposition::Discard | Disposition::Omit => "$# discard $: discard".to_owned(),
        Disposition::Quarantine(reason) => format!("$# error $@ quarantine $: {reason}"),
    }
}

fn bad_address(text: &str) -> String {
    format!("$# error $@ 5 . 1 . 3 $: \"553 {text}\"")
}
