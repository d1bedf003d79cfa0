//! What `pennypost explain` has to tell, for people and as JSON.

use std::io::{self, Write};
use std::net::IpAddr;

use envelope::{Disposition, ReversePath, printable};
use policy::{ClientName, Step, Terms};
use serde_json::{Value, json};

use crate::credentials::Keyring;
use crate::listing::json_line;
use crate::pennypost::route;
use crate::routes::Way;

/// The client, and how it is received.
pub(super) struct Opening<'a> {
    pub(super) client: Option<IpAddr>,
    pub(super) name: &'a ClientName,
    pub(super) steps: Vec<Step>,
    pub(super) terms: Option<Terms>,
    pub(super) in_force: InForce,
    /// What was asked for and does not exist yet.
    pub(super) notes: Vec<&'static str>,
    pub(super) from: &'a str,
    /// To MAIL.
    pub(super) reply: String,
}

/// Is what the files say in force?
pub(super) enum InForce {
    /// This generation.
    Yes(u64),
    /// This generation is, and why the files are not.
    Other(u64, String),
    NotRunning,
    /// The caller may not ask.
    Unknown,
}

/// One recipient.
pub(super) struct Recipient<'a> {
    pub(super) to: &'a str,
    pub(super) steps: Vec<Step>,
    pub(super) reply: String,
    /// If it is accepted.
    pub(super) disposition: Option<Disposition>,
    /// Where its mail goes.
    pub(super) ways: Vec<Way>,
    /// What its reverse-path becomes on the way, and by which rules.
    pub(super) names: Vec<tables::Step>,
}

impl InForce {
    fn told(&self) -> Option<String> {
        match self {
            Self::Yes(_) | Self::Unknown => None,
            Self::NotRunning => Some("the mail system does not run; by the files:".to_owned()),
            Self::Other(number, why) => Some(format!(
                "configuration {number} is in force, and not these files: {}",
                why.lines().next().unwrap_or_default()
            )),
        }
    }

    fn json(&self) -> (Option<u64>, Option<bool>) {
        match self {
            Self::Yes(number) => (Some(*number), Some(true)),
            Self::Other(number, _) => (Some(*number), Some(false)),
            Self::NotRunning => (None, Some(false)),
            Self::Unknown => (None, None),
        }
    }
}

impl Opening<'_> {
    pub(super) fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        self.write_client(out)?;
        writeln!(out, "from {}", printable(&format!("<{}>", self.from)))?;
        writeln!(out, "  = {}", printable(&self.reply))
    }

    /// What there is to say before MAIL.
    pub(super) fn write_client(&self, out: &mut dyn Write) -> io::Result<()> {
        let told = self.in_force.told();
        told.iter().try_for_each(|text| writeln!(out, "{}", printable(text)))?;
        self.notes.iter().try_for_each(|note| writeln!(out, "{note}"))?;
        match self.client {
            None => writeln!(out, "a user of this machine")?,
            Some(address) => writeln!(out, "client {address}{}", called(self.name))?,
        }
        self.steps.iter().try_for_each(|step| writeln!(out, "  {step}"))?;
        if let Some(terms) = self.terms.as_ref().filter(|_| !self.steps.is_empty()) {
            writeln!(out, "  = {terms}")?;
        }
        Ok(())
    }

    pub(super) fn write_json(&self, mut out: &mut dyn Write) -> io::Result<()> {
        let (generation, in_force) = self.in_force.json();
        let (code, reply) = parts(&self.reply);
        let terms = self.terms.as_ref().filter(|_| !self.steps.is_empty());
        let object = json!({
            "kind": "session",
            "client": self.client.map(|address| address.to_string()),
            "name": match self.name {
                ClientName::Confirmed(name) => Some(name),
                ClientName::None | ClientName::Unknown | ClientName::NotAsked => None,
            },
            "generation": generation,
            "in_force": in_force,
            "notes": self.notes,
            "steps": shown(&self.steps),
            "terms": terms.map(ToString::to_string),
            "from": self.from,
            "code": code,
            "reply": reply,
        });
        json_line(&object, &mut out)
    }
}

impl Recipient<'_> {
    pub(super) fn write(&self, keyring: &Keyring<'_>, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "to {}", printable(&format!("<{}>", self.to)))?;
        self.steps.iter().try_for_each(|step| writeln!(out, "  {step}"))?;
        writeln!(out, "  = {}", printable(&self.reply))?;
        if let Some(fate) = self.disposition.as_ref().and_then(fate) {
            writeln!(out, "  and then {}", printable(&fate))?;
        }
        for way in &self.ways {
            route::write(way, &route::shown_to(way, keyring), out)?;
        }
        self.names.iter().try_for_each(|step| writeln!(out, "  {step}"))
    }

    pub(super) fn write_json(
        &self,
        keyring: &Keyring<'_>,
        mut out: &mut dyn Write,
    ) -> io::Result<()> {
        let (code, reply) = parts(&self.reply);
        let way = |way: &Way| route::to_json(way, &route::shown_to(way, keyring));
        let object = json!({
            "kind": "recipient",
            "to": self.to,
            "steps": shown(&self.steps),
            "code": code,
            "reply": reply,
            "fate": self.disposition.as_ref().and_then(fate),
            "ways": self.ways.iter().map(way).collect::<Vec<_>>(),
            "names": self.names.iter().map(ToString::to_string).collect::<Vec<_>>(),
        });
        json_line(&object, &mut out)
    }
}

/// What came of the content.
pub(super) fn write_content(reply: &str, as_json: bool, mut out: &mut dyn Write) -> io::Result<()> {
    if as_json {
        let (code, text) = parts(reply);
        return json_line(&json!({ "kind": "content", "code": code, "reply": text }), &mut out);
    }
    writeln!(out, "content\n  = {}", printable(reply))
}

/// Code and text.
fn parts(reply: &str) -> (u16, &str) {
    let (code, text) = reply.split_at_checked(3).unwrap_or_default();
    (code.parse().unwrap_or_default(), text.get(1..).unwrap_or_default())
}

fn shown(steps: &[Step]) -> Value {
    steps.iter().map(ToString::to_string).collect()
}

fn called(name: &ClientName) -> String {
    match name {
        ClientName::Confirmed(name) => format!(" ({})", printable(name)),
        ClientName::None => " (its name is not confirmed)".to_owned(),
        ClientName::Unknown => " (the DNS does not tell its name)".to_owned(),
        ClientName::NotAsked => String::new(),
    }
}

/// What becomes of an accepted recipient, if it is not delivered to.
fn fate(disposition: &Disposition) -> Option<String> {
    match disposition {
        Disposition::Deliver => None,
        Disposition::Quarantine(reason) => Some(format!("the message is held: {reason}")),
        Disposition::Discard => Some("the message is discarded".to_owned()),
        Disposition::Omit => Some("it is discarded for this recipient".to_owned()),
    }
}

/// For people: who sends.
pub(super) fn renamed(path: &ReversePath, new: &envelope::Address) -> tables::Step {
    tables::Step::by("leaves", format!("{path} is {new} there"))
}
