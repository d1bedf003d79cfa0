//! The access table as a rule: To:, From:, Connect:, in the order of sendmail's check_rcpt with
//! FEATURE(`delay_checks') and FEATURE(`blocklist_recipients').

use envelope::Address;
use tables::{Access, Hit, Tag, Value};

use crate::verdict::{Step, Verdict};
use crate::{Client, ClientName, Sending};

/// `true`: the table accepts, and no further rule is asked.
///
/// # Errors
/// The table refuses.
pub(crate) fn rule(
    access: &Access,
    sending: &Sending<'_>,
    recipient: &Address,
    local: bool,
    trace: &mut Vec<Step>,
) -> Result<bool, Verdict> {
    // Whatever accepts a recipient says nothing about who sends.
    decide(to(access, recipient, local), Verdict::mailbox_disabled, recipient, trace)?;
    if decide(from(access, sending), Verdict::access_denied, recipient, trace)? {
        return Ok(true);
    }
    decide(connect(access, sending.client), Verdict::access_denied, recipient, trace)
}

/// What a line says; no line and SKIP say nothing.
fn decide(
    hit: Option<Hit>,
    rejected: fn(&Address) -> Verdict,
    recipient: &Address,
    trace: &mut Vec<Step>,
) -> Result<bool, Verdict> {
    let Some(hit) = hit else { return Ok(false) };
    trace.push(Step::access(&hit));
    match hit.value {
        Value::Ok | Value::Relay => Ok(true),
        Value::Skip => Ok(false),
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

fn from(access: &Access, sending: &Sending<'_>) -> Option<Hit> {
    // RFC 5321 §4.5.5: a bounce is never refused for its reverse-path.
    let from = sending.reverse_path.0.as_ref()?;
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

fn literal(address: std::net::IpAddr) -> String {
    match address {
        std::net::IpAddr::V4(four) => format!("[{four}]"),
        std::net::IpAddr::V6(six) => format!("[ipv6:{six}]"),
    }
}
