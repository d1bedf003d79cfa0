//! The access table as a rule: To:, From:, Connect:, in the order of sendmail's check_rcpt with
//! FEATURE(`delay_checks') and FEATURE(`blocklist_recipients'); Spam: and Compat: beside it.

use std::net::IpAddr;

use envelope::{Address, Disposition};
use tables::{Access, Hit, Tag, Value, Wish};

use crate::verdict::{Step, Verdict};
use crate::{Client, ClientName, Policy, Rule, Sending};

/// What the table says of the recipient. One that it accepts says nothing about who sends.
///
/// # Errors
/// The table refuses.
fn of_recipient(
    access: &Access,
    recipient: &Address,
    local: bool,
    trace: &mut Vec<Step>,
) -> Result<Option<Disposition>, Verdict> {
    let said = decide(to(access, recipient, local), Verdict::mailbox_disabled, recipient, trace)?;
    Ok(said.filter(|said| *said != Disposition::Deliver))
}

/// What the table says of the reverse-path, and of the client. Whoever has an accepted reverse-path
/// is asked nothing more; a client that is accepted may still have a bad one.
///
/// # Errors
/// The table refuses.
pub(crate) fn of_sending(
    access: &Access,
    sending: &Sending<'_>,
    recipient: &Address,
    trace: &mut Vec<Step>,
) -> Result<Option<Disposition>, Verdict> {
    let said = decide(from(access, sending), Verdict::access_denied, recipient, trace)?;
    if said.is_some() {
        return Ok(said);
    }
    let said = decide(connect(access, sending.client), Verdict::access_denied, recipient, trace)?;
    Ok(said.filter(|said| *said != Disposition::Deliver))
}

/// What a line says; no line and SKIP say nothing.
fn decide(
    hit: Option<Hit>,
    rejected: fn(&Address) -> Verdict,
    recipient: &Address,
    trace: &mut Vec<Step>,
) -> Result<Option<Disposition>, Verdict> {
    let Some(hit) = hit else { return Ok(None) };
    trace.push(Step::access(&hit));
    match hit.value {
        Value::Ok | Value::Relay => Ok(Some(Disposition::Deliver)),
        Value::Skip => Ok(None),
        Value::Discard => Ok(Some(Disposition::Discard)),
        Value::Quarantine(reason) => Ok(Some(Disposition::Quarantine(reason))),
        Value::Reject => Err(rejected(recipient)),
        Value::Error(refusal) => Err(Verdict::refusal(recipient, &refusal)),
    }
}

/// `user@` is about recipients of this host only.
fn to(access: &Access, recipient: &Address, local: bool) -> Option<Hit> {
    let domain = recipient.domain_key();
    let whole = access.mailbox(Tag::To, recipient.local(), &domain);
    let user = || local.then(|| access.user(Tag::To, recipient.local())).flatten();
    whole.or_else(user).or_else(|| access.domain(Tag::To, &domain))
}

/// One without a domain is looked up as `user@` alone.
pub(crate) fn from(access: &Access, sending: &Sending<'_>) -> Option<Hit> {
    // RFC 5321 §4.5.5: a bounce is never refused for its reverse-path.
    let from = sending.reverse_path.0.as_ref()?;
    if sending.unqualified {
        return access.user(Tag::From, from.local());
    }
    let domain = from.domain_key();
    access
        .mailbox(Tag::From, from.local(), &domain)
        .or_else(|| access.user(Tag::From, from.local()))
        .or_else(|| access.domain(Tag::From, &domain))
}

/// The name, then the address. A client without a name is called by its address in brackets.
fn connect(access: &Access, client: Client<'_>) -> Option<Hit> {
    let Client::Network { address, name } = client else { return None };
    let named = match name {
        ClientName::Confirmed(name) => access.domain(Tag::Connect, name),
        ClientName::None | ClientName::Unknown => {
            access.domain(Tag::Connect, &literal(address.to_canonical()))
        }
        ClientName::NotAsked => None,
    };
    let skipped = |hit: &Hit| hit.value == Value::Skip;
    // Even then the address is asked: SKIP is about the name.
    named.filter(|hit| !skipped(hit)).or_else(|| access.address(Tag::Connect, address))
}

pub(crate) fn literal(address: IpAddr) -> String {
    match address {
        IpAddr::V4(four) => format!("[{four}]"),
        IpAddr::V6(six) => format!("[ipv6:{six}]"),
    }
}

impl Policy {
    /// The access table as a rule.
    pub(crate) fn listed(
        &self,
        sending: &Sending<'_>,
        recipient: &Address,
        (local, checked): (bool, bool),
        trace: &mut Vec<Step>,
    ) -> Result<Option<Disposition>, Verdict> {
        let said = of_recipient(&self.access, recipient, local, trace)?;
        if said.is_some() || !checked {
            return Ok(said);
        }
        of_sending(&self.access, sending, recipient, trace)
    }

    /// Is this a recipient for whom nobody looks at who sends (FEATURE(`delay_checks') with
    /// `friend` or `hater`)?
    pub(crate) fn spares(&self, recipient: &Address, local: bool, trace: &mut Vec<Step>) -> bool {
        let Some(wish) = self.access.wish().filter(|_| self.has(Rule::Access)) else {
            return false;
        };
        let domain = recipient.domain_key();
        let hit = self.access.wish_of(recipient.local(), &domain, local);
        if let Some(hit) = &hit {
            trace.push(Step::access(hit));
        }
        let spared = match wish {
            Wish::Friend => hit.is_some(),
            Wish::Hater => hit.is_none(),
        };
        if spared {
            trace.push(Step::Spared);
        }
        spared
    }

    /// What the table says of the reverse-path and the recipient together
    /// (FEATURE(`compat_check')), whatever it said of each.
    pub(crate) fn together(
        &self,
        sending: &Sending<'_>,
        recipient: &Address,
        trace: &mut Vec<Step>,
    ) -> Result<Option<Disposition>, Verdict> {
        let from = sending.reverse_path.0.as_ref().filter(|_| self.has(Rule::Access));
        let Some(from) = from else { return Ok(None) };
        let (sender, receiver) = (from.domain_key(), recipient.domain_key());
        let hit = self.access.pair((from.local(), &sender), (recipient.local(), &receiver));
        let said = decide(hit, Verdict::access_denied, recipient, trace)?;
        // Of this recipient only.
        Ok(said.map(|_| Disposition::Omit))
    }
}
