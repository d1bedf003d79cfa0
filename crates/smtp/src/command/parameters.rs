//! Parameters of MAIL and RCPT: SIZE (RFC 1870), BODY (RFC 6152), SMTPUTF8 (RFC 6531), and RET,
//! ENVID, NOTIFY and ORCPT (RFC 3461).

use envelope::{Body, Extension, Extensions, Notify, OriginalRecipient, Return, Submission};

use super::{CommandError, Mail, Path, Rcpt};
use crate::{submission, xtext};

/// RFC 3461 §4.4, decoded.
const MAX_ENVID: usize = 100;
/// RFC 3461 §4.2, as written.
const MAX_ORCPT: usize = 500;
/// RFC 1870 §5 allows as many.
const MAX_DIGITS: usize = 20;

pub(super) fn mail(path: Path, text: &str, withheld: Extensions) -> Result<Mail, CommandError> {
    let submission = Submission::default();
    let mut mail =
        Mail { path, size: None, body: None, smtputf8: false, ret: None, envid: None, submission };
    for (name, value) in each(text)? {
        match known(name, withheld)?.as_str() {
            "SIZE" => once(&mut mail.size, "SIZE", digits(value))?,
            "BODY" => once(&mut mail.body, "BODY", body(value))?,
            "RET" => once(&mut mail.ret, "RET", ret(value))?,
            "ENVID" => once(&mut mail.envid, "ENVID", envid(value))?,
            "SMTPUTF8" if value.is_empty() && !mail.smtputf8 => mail.smtputf8 = true,
            "SMTPUTF8" => return Err(CommandError::BadParameter("SMTPUTF8")),
            _ => submission::read(&mut mail.submission, name, value)?,
        }
    }
    Ok(mail)
}

pub(super) fn rcpt(path: Path, text: &str, withheld: Extensions) -> Result<Rcpt, CommandError> {
    let mut notify = None;
    let mut orcpt = None;
    for (name, value) in each(text)? {
        match known(name, withheld)?.as_str() {
            "NOTIFY" => once(&mut notify, "NOTIFY", self::notify(value))?,
            "ORCPT" => once(&mut orcpt, "ORCPT", self::orcpt(value))?,
            _ => return Err(CommandError::UnknownParameter(name.to_owned())),
        }
    }
    Ok(Rcpt { path, notify: notify.unwrap_or(Notify::DEFAULT), orcpt })
}

/// The name in capitals, if its extension is offered.
fn known(name: &str, withheld: Extensions) -> Result<String, CommandError> {
    let upper = name.to_ascii_uppercase();
    let extension = match upper.as_str() {
        "SIZE" => Some(Extension::Size),
        "BODY" => Some(Extension::EightBitMime),
        "SMTPUTF8" => Some(Extension::SmtpUtf8),
        "RET" | "ENVID" | "NOTIFY" | "ORCPT" => Some(Extension::Dsn),
        _ => None,
    };
    match extension {
        Some(extension) if withheld.has(extension) => {
            Err(CommandError::UnknownParameter(name.to_owned()))
        }
        Some(_) | None => Ok(upper),
    }
}

/// `name=value` and `name` words; a missing value is empty.
fn each(text: &str) -> Result<impl Iterator<Item = (&str, &str)>, CommandError> {
    if !text.is_empty() && !text.starts_with([' ', '\t']) {
        return Err(CommandError::Syntax("a space before each parameter"));
    }
    Ok(text.split_ascii_whitespace().map(|word| word.split_once('=').unwrap_or((word, ""))))
}

pub(crate) fn once<T>(
    slot: &mut Option<T>,
    name: &'static str,
    value: Option<T>,
) -> Result<(), CommandError> {
    let bad = CommandError::BadParameter(name);
    match (value, &slot) {
        (Some(value), None) => {
            *slot = Some(value);
            Ok(())
        }
        (None, _) | (_, Some(_)) => Err(bad),
    }
}

/// A number too large for us is the largest there is: it is over any limit alike.
pub(super) fn digits(text: &str) -> Option<u64> {
    let plain = (1..=MAX_DIGITS).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    plain.then(|| text.parse().unwrap_or(u64::MAX))
}

fn body(value: &str) -> Option<Body> {
    match value.to_ascii_uppercase().as_str() {
        "7BIT" => Some(Body::SevenBit),
        "8BITMIME" => Some(Body::EightBitMime),
        _ => None,
    }
}

fn ret(value: &str) -> Option<Return> {
    match value.to_ascii_uppercase().as_str() {
        "FULL" => Some(Return::Full),
        "HDRS" => Some(Return::Headers),
        _ => None,
    }
}

fn envid(value: &str) -> Option<String> {
    xtext::decode(value).filter(|id| (1..=MAX_ENVID).contains(&id.len()))
}

/// RFC 3461 §4.1: NEVER alone, or any of the others.
fn notify(value: &str) -> Option<Notify> {
    if value.eq_ignore_ascii_case("NEVER") {
        return Some(Notify::NEVER);
    }
    let mut notify = Notify::NEVER;
    for word in value.split(',') {
        match word.to_ascii_uppercase().as_str() {
            "SUCCESS" => notify.success = true,
            "FAILURE" => notify.failure = true,
            "DELAY" => notify.delay = true,
            _ => return None,
        }
    }
    Some(notify)
}

/// RFC 3461 §4.2, and RFC 6533 §3 for the type `utf-8`.
fn orcpt(value: &str) -> Option<OriginalRecipient> {
    if value.len() > MAX_ORCPT {
        return None;
    }
    let (kind, address) = value.split_once(';')?;
    let atom = |c: char| c.is_ascii_alphanumeric() || c == '-';
    if kind.is_empty() || !kind.chars().all(atom) {
        return None;
    }
    let address = if kind.eq_ignore_ascii_case("utf-8") {
        utf8_address(address)
    } else {
        xtext::decode(address)
    };
    let address = address.filter(|address| !address.is_empty())?;
    Some(OriginalRecipient { kind: kind.to_owned(), address })
}

/// `utf-8-addr-xtext` and `utf-8-addr-unitext` (RFC 6533 §3): `\x{E4}` stands for a character,
/// others for themselves.
fn utf8_address(text: &str) -> Option<String> {
    let mut parts = text.split("\\x{");
    let mut out = parts.next()?.to_owned();
    for part in parts {
        let (hex, rest) = part.split_once('}')?;
        let plain = (2..=6).contains(&hex.len()) && hex.bytes().all(|b| b.is_ascii_hexdigit());
        let number = u32::from_str_radix(hex, 16).ok().filter(|_| plain)?;
        out.push(char::from_u32(number)?);
        out.push_str(rest);
    }
    (!out.contains(|c: char| c.is_control() || c == '\u{7f}')).then_some(out)
}
