//! xtext (RFC 3461 §4): how ENVID and ORCPT carry any byte in a parameter.

use std::fmt::Write as _;

/// The text as xtext: what is not printable ASCII, and `+` and `=`, becomes `+XX`.
#[must_use]
pub fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if matches!(byte, b'!'..=b'~') && !matches!(byte, b'+' | b'=') {
            out.push(char::from(byte));
        } else {
            // Writing to a String does not fail.
            let _ = write!(out, "+{byte:02X}");
        }
    }
    out
}

/// What `text` stands for; `None` if it is not xtext, or not UTF-8, or holds a control character.
#[must_use]
pub fn decode(text: &str) -> Option<String> {
    let mut bytes = text.bytes();
    let mut out = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'+' => hex(bytes.next()?)? << 4 | hex(bytes.next()?)?,
            b'=' => return None,
            b'!'..=b'~' => byte,
            _ => return None,
        });
    }
    let out = String::from_utf8(out).ok()?;
    if out.chars().any(char::is_control) { None } else { Some(out) }
}

/// RFC 3461 §4 has capital letters only.
fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{decode, encode};

    #[test]
    fn decodes_what_it_encodes() {
        for text in ["", "plain", "a+b=c d", "rfc822;dörte@x", "!~"] {
            assert_eq!(decode(&encode(text)).as_deref(), Some(text));
        }
        assert_eq!(encode("a+b"), "a+2Bb");
    }

    #[test]
    fn other_text_is_refused() {
        for text in ["a+2", "a+2b", "a=b", "a b", "+0D+0A", "+FF", "é"] {
            assert_eq!(decode(text), None, "{text}");
        }
    }
}
