//! The right-hand side of an access entry.

use std::fmt;

use envelope::Enhanced;

use crate::Refusal;
use crate::lines::Wrong;

/// Bytes of the reason for which a message is held; it is kept with each.
const MAX_REASON: usize = 500;

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// Accept although other rules would refuse; it relays nothing.
    Ok,
    /// Accept, and relay.
    Relay,
    Reject,
    /// Look no further, and decide nothing.
    Skip,
    /// `ERROR:D.S.N:### text`
    Error(Refusal),
    /// Accept, and give it to nobody.
    Discard,
    /// Accept, and hold it for this reason.
    Quarantine(String),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ok => f.write_str("OK"),
            Self::Relay => f.write_str("RELAY"),
            Self::Reject => f.write_str("REJECT"),
            Self::Skip => f.write_str("SKIP"),
            Self::Error(refusal) => {
                let Refusal { code, enhanced: Enhanced(subject, detail), text } = refusal;
                write!(f, "ERROR:{}.{subject}.{detail}:{code} {text}", code / 100)
            }
            Self::Discard => f.write_str("DISCARD"),
            Self::Quarantine(reason) => write!(f, "QUARANTINE:{reason}"),
        }
    }
}

/// What a recipient wants (FEATURE(`delay_checks', `friend') or `hater').
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// No checks of who sends; everybody else has them.
    Friend,
    /// Checks of who sends; nobody else has them.
    Hater,
}

impl fmt::Display for Wish {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Friend => "FRIEND",
            Self::Hater => "HATER",
        })
    }
}

pub(super) fn wish(text: &str) -> Result<Wish, Wrong> {
    match unquoted(text).to_ascii_uppercase().as_str() {
        "FRIEND" => Ok(Wish::Friend),
        "HATER" => Ok(Wish::Hater),
        _ => Err(Wrong::line(format!("{text:?} is not understood: write FRIEND or HATER"))),
    }
}

/// What may stand after a pair (FEATURE(`compat_check')).
pub(super) fn compat(text: &str) -> Result<Value, Wrong> {
    let text = unquoted(text);
    let (keyword, code) = text.split_once(':').unwrap_or((text, ""));
    let (keyword, code) = (keyword.trim().to_ascii_uppercase(), code.trim());
    let refusal = |code: u16, text: &str| {
        Ok(Value::Error(Refusal { code, enhanced: Enhanced::UNDEFINED, text: text.to_owned() }))
    };
    match (keyword.as_str(), code.parse::<u16>().ok()) {
        ("DISCARD", _) => Ok(Value::Discard),
        ("TEMP", Some(code @ 400..500)) => {
            refusal(code, "error from check_compat. Try again later")
        }
        ("ERROR", Some(code @ 500..600)) => refusal(code, "error from check_compat"),
        _ => {
            let remedy = "write DISCARD, TEMP:450 or ERROR:550";
            Err(Wrong::line(format!("{text:?} is not understood: {remedy}")))
        }
    }
}

/// A limit, or milliseconds.
pub(super) fn number(text: &str) -> Result<u32, Wrong> {
    let text = unquoted(text);
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let number = digits.then(|| text.parse().ok()).flatten();
    number.ok_or_else(|| Wrong::line(format!("{text:?} is not understood: write a whole number")))
}

/// `for_address`: the key is no host and no network.
pub(super) fn understand(text: &str, for_address: bool) -> Result<Value, Wrong> {
    let text = unquoted(text);
    match text.to_ascii_uppercase().as_str() {
        "OK" => return Ok(Value::Ok),
        "RELAY" => return Ok(Value::Relay),
        "REJECT" => return Ok(Value::Reject),
        "SKIP" if for_address => {
            return Err(Wrong::line("SKIP is for hosts and networks only"));
        }
        "SKIP" => return Ok(Value::Skip),
        "DISCARD" => return Ok(Value::Discard),
        _ => {}
    }
    if let Some(rest) = after(text, "ERROR:") {
        return Ok(Value::Error(Refusal::read(rest)));
    }
    if let Some(reason) = after(text, "QUARANTINE:").map(unquoted) {
        if !(1..=MAX_REASON).contains(&reason.len()) {
            let text =
                format!("after QUARANTINE: a reason of at most {MAX_REASON} bytes is wanted");
            return Err(Wrong::line(text));
        }
        return Ok(Value::Quarantine(reason.to_owned()));
    }
    // Deprecated, but what old tables hold: `550 text`.
    if begins_with_code(text) {
        return Ok(Value::Error(Refusal::read(text)));
    }
    let remedy =
        "write OK, RELAY, REJECT, DISCARD, SKIP, QUARANTINE:reason or ERROR:5.7.1:550 text";
    Err(Wrong::line(format!("{text:?} is not understood: {remedy}")))
}

fn after<'a>(text: &'a str, keyword: &str) -> Option<&'a str> {
    let (start, rest) = text.split_at_checked(keyword.len())?;
    start.eq_ignore_ascii_case(keyword).then_some(rest)
}

pub(super) fn unquoted(text: &str) -> &str {
    text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text).trim()
}

/// `550 text`
fn begins_with_code(text: &str) -> bool {
    let code = text.split(char::is_whitespace).next().unwrap_or_default();
    let plain = code.len() == 3 && code.bytes().all(|byte| byte.is_ascii_digit());
    plain && code.starts_with(['4', '5'])
}
