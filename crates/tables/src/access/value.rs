//! The right-hand side of an access entry.

use std::fmt;

use envelope::Enhanced;

use crate::Refusal;
use crate::lines::Wrong;

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
        }
    }
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
        "DISCARD" => return Err(Wrong::unsupported("DISCARD")),
        _ => {}
    }
    if let Some(rest) = after(text, "ERROR:") {
        return Ok(Value::Error(Refusal::read(rest)));
    }
    if after(text, "QUARANTINE:").is_some() {
        return Err(Wrong::unsupported("QUARANTINE:"));
    }
    // Deprecated, but what old tables hold: `550 text`.
    if begins_with_code(text) {
        return Ok(Value::Error(Refusal::read(text)));
    }
    let remedy = "write OK, RELAY, REJECT, SKIP or ERROR:5.7.1:550 text";
    Err(Wrong::line(format!("{text:?} is not understood: {remedy}")))
}

fn after<'a>(text: &'a str, keyword: &str) -> Option<&'a str> {
    let (start, rest) = text.split_at_checked(keyword.len())?;
    start.eq_ignore_ascii_case(keyword).then_some(rest)
}

fn unquoted(text: &str) -> &str {
    text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text).trim()
}

/// `550 text`
fn begins_with_code(text: &str) -> bool {
    let code = text.split(char::is_whitespace).next().unwrap_or_default();
    let plain = code.len() == 3 && code.bytes().all(|byte| byte.is_ascii_digit());
    plain && code.starts_with(['4', '5'])
}
