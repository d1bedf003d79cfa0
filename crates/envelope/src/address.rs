//! Mailboxes and paths (RFC 5321 §4.1.2, RFC 6531 §3.3).

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A mailbox: `local-part@domain`.
///
/// The local part is held without quotes and backslashes (`"a b"@x` is `a b`), the domain as
/// written: a name, or an address literal with its brackets. Shown with quotes where the local
/// part needs them. Equality ignores the case of the domain only (RFC 5321 §2.4).
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(try_from = "Parts")]
pub struct Address {
    local: String,
    domain: String,
}

/// An address as another process sent it: not yet to be believed.
#[derive(Deserialize)]
struct Parts {
    local: String,
    domain: String,
}

impl TryFrom<Parts> for Address {
    type Error = AddressError;

    fn try_from(Parts { local, domain }: Parts) -> Result<Self, AddressError> {
        Self::check(&local, &domain)?;
        Ok(Self { local, domain })
    }
}

/// Why a text is not a mailbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddressError {
    /// Nothing before or after the `@`, or no `@`.
    Incomplete,
    /// A character that has no place there.
    Character(char),
    /// A quote or a bracket is not closed, or something follows it.
    Unbalanced,
    /// Dots at an end or doubled, or a label that no name may have.
    Dots,
    /// The address literal is none that RFC 5321 §4.1.3 knows.
    Literal,
    /// Local part over 64, domain over 255 or all over 254 bytes (RFC 5321 §4.5.3.1).
    TooLong,
}

impl fmt::Display for AddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Incomplete => f.write_str("an address is user@domain"),
            Self::Character(c) => write!(f, "{c:?} needs quotes or has no place in an address"),
            Self::Unbalanced => f.write_str("a quote or bracket is not closed"),
            Self::Dots => f.write_str("a dot stands at an end or is doubled"),
            Self::Literal => f.write_str("the address literal is not an IP address"),
            Self::TooLong => f.write_str("the address is too long"),
        }
    }
}

impl std::error::Error for AddressError {}

impl Address {
    /// RFC 5321 §4.5.3.1.1 asks for 64 at least.
    pub const MAX_LOCAL: usize = 64;
    /// RFC 5321 §4.5.3.1.2 asks for 255 at least.
    pub const MAX_DOMAIN: usize = 255;

    /// An address from its parts: `local` without quoting, `domain` a name or a bracketed literal.
    ///
    /// # Errors
    /// As for parsing.
    pub fn new(local: &str, domain: &str) -> Result<Self, AddressError> {
        Self::check(local, domain)?;
        Ok(Self { local: local.to_owned(), domain: domain.to_owned() })
    }

    fn check(local: &str, domain: &str) -> Result<(), AddressError> {
        if local.is_empty() {
            return Err(AddressError::Incomplete);
        }
        if local.len() > Self::MAX_LOCAL {
            return Err(AddressError::TooLong);
        }
        if let Some(c) = local.chars().find(|c| c.is_control()) {
            return Err(AddressError::Character(c));
        }
        check_domain(domain)
    }

    /// The local part, without quotes.
    #[must_use]
    pub fn local(&self) -> &str {
        &self.local
    }

    /// The domain as written: a name, or a literal with brackets.
    #[must_use]
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// The domain as a key: see [`domain_key`].
    #[must_use]
    pub fn domain_key(&self) -> String {
        domain_key(&self.domain)
    }

    /// Needs SMTPUTF8 (RFC 6531): some character is not ASCII.
    #[must_use]
    pub fn needs_utf8(&self) -> bool {
        !self.local.is_ascii() || !self.domain.is_ascii()
    }

    /// Reads one mailbox at the start of `text`, and returns it with what follows.
    ///
    /// # Errors
    /// [`AddressError`], where `text` does not begin with a mailbox.
    pub fn read(text: &str) -> Result<(Self, &str), AddressError> {
        let (local, rest) = read_local(text)?;
        let rest = rest.strip_prefix('@').ok_or(AddressError::Incomplete)?;
        let (domain, rest) = read_domain(rest)?;
        Ok((Self::new(&local, domain)?, rest))
    }
}

/// A domain as a key: lower case, no trailing dot, and in A-labels, which name the same domain as
/// the U-labels that they stand for (RFC 5890 §2.3.2.1) and are what the DNS knows. A name beyond
/// ASCII that has no A-labels is in lower case only: no domain has it.
#[must_use]
pub fn domain_key(domain: &str) -> String {
    let name = domain.strip_suffix('.').unwrap_or(domain);
    if name.is_ascii() {
        return name.to_ascii_lowercase();
    }
    let labels = idna::domain_to_ascii_cow(name.as_bytes(), idna::AsciiDenyList::STD3);
    labels.map_or_else(|_| name.to_lowercase(), Cow::into_owned)
}

impl PartialEq for Address {
    fn eq(&self, other: &Self) -> bool {
        self.local == other.local && self.domain_key() == other.domain_key()
    }
}

impl Eq for Address {}

impl std::hash::Hash for Address {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.local.hash(state);
        self.domain_key().hash(state);
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let (address, rest) = Self::read(text)?;
        match rest.chars().next() {
            None => Ok(address),
            Some(c) => Err(AddressError::Character(c)),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if is_dot_string(&self.local) {
            return write!(f, "{}@{}", self.local, self.domain);
        }
        f.write_str("\"")?;
        for c in self.local.chars() {
            if matches!(c, '"' | '\\') {
                f.write_str("\\")?;
            }
            write!(f, "{c}")?;
        }
        write!(f, "\"@{}", self.domain)
    }
}

/// The reverse-path: whom to tell about failures, or nobody (`<>`, RFC 5321 §4.5.5).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ReversePath(pub Option<Address>);

impl ReversePath {
    /// `<>`
    pub const NULL: Self = Self(None);
}

impl fmt::Display for ReversePath {
    /// Without angle brackets; the null reverse-path is empty.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_ref().map_or(Ok(()), |address| write!(f, "{address}"))
    }
}

/// RFC 5321 §4.1.2 `atext`, and any character beyond ASCII (RFC 6531 §3.3).
fn is_atext(c: char) -> bool {
    c.is_ascii_alphanumeric()
        || "!#$%&'*+-/=?^_`{|}~".contains(c)
        || (!c.is_ascii() && !c.is_control())
}

fn is_dot_string(local: &str) -> bool {
    local.split('.').all(|atom| !atom.is_empty() && atom.chars().all(is_atext))
}

fn read_local(text: &str) -> Result<(String, &str), AddressError> {
    if let Some(quoted) = text.strip_prefix('"') {
        return read_quoted(quoted);
    }
    let end = text.find(|c| !is_atext(c) && c != '.').unwrap_or(text.len());
    let (local, rest) = text.split_at(end);
    if local.is_empty() {
        return Err(rest.chars().next().map_or(AddressError::Incomplete, |c| match c {
            '@' => AddressError::Incomplete,
            c => AddressError::Character(c),
        }));
    }
    if !is_dot_string(local) {
        return Err(AddressError::Dots);
    }
    match rest.chars().next() {
        None => Err(AddressError::Incomplete),
        Some('@') => Ok((local.to_owned(), rest)),
        Some(c) => Err(AddressError::Character(c)),
    }
}

fn read_quoted(text: &str) -> Result<(String, &str), AddressError> {
    let mut local = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        let taken = match c {
            '"' => {
                let (_, rest) = text.split_at(at + 1);
                return Ok((local, rest));
            }
            '\\' => chars.next().ok_or(AddressError::Unbalanced)?.1,
            c => c,
        };
        if taken.is_control() {
            return Err(AddressError::Character(taken));
        }
        local.push(taken);
    }
    Err(AddressError::Unbalanced)
}

fn read_domain(text: &str) -> Result<(&str, &str), AddressError> {
    if text.starts_with('[') {
        let end = text.find(']').ok_or(AddressError::Unbalanced)?;
        return Ok(text.split_at(end + 1));
    }
    let end = text.find(|c| !is_domain_char(c)).unwrap_or(text.len());
    Ok(text.split_at(end))
}

/// Letters, digits and `-` (RFC 5321 §4.1.2), `_` because it is met, and UTF-8 (RFC 6531 §3.3).
fn is_domain_char(c: char) -> bool {
    c.is_ascii_alphanumeric()
        || matches!(c, '-' | '_' | '.')
        || (!c.is_ascii() && c.is_alphanumeric())
}

fn check_domain(domain: &str) -> Result<(), AddressError> {
    if domain.is_empty() {
        return Err(AddressError::Incomplete);
    }
    if domain.len() > Address::MAX_DOMAIN {
        return Err(AddressError::TooLong);
    }
    if let Some(rest) = domain.strip_prefix('[') {
        let literal = rest.strip_suffix(']').ok_or(AddressError::Unbalanced)?;
        return check_literal(literal);
    }
    if let Some(c) = domain.chars().find(|&c| !is_domain_char(c)) {
        return Err(AddressError::Character(c));
    }
    let name = domain.strip_suffix('.').unwrap_or(domain);
    let well_formed = |label: &str| {
        !label.is_empty() && label.len() <= 63 && !label.starts_with('-') && !label.ends_with('-')
    };
    if name.split('.').all(well_formed) { Ok(()) } else { Err(AddressError::Dots) }
}

/// RFC 5321 §4.1.3: IPv4, or `IPv6:` and IPv6.
fn check_literal(literal: &str) -> Result<(), AddressError> {
    let known = match literal.split_at_checked(5) {
        Some((tag, address)) if tag.eq_ignore_ascii_case("IPv6:") => {
            address.parse::<std::net::Ipv6Addr>().is_ok()
        }
        _ => literal.parse::<std::net::Ipv4Addr>().is_ok(),
    };
    if known { Ok(()) } else { Err(AddressError::Literal) }
}

#[cfg(test)]
mod tests {
    use super::{Address, AddressError};

    #[test]
    fn reads_what_it_writes() {
        let good = [
            "a@b",
            "first.last@example.org",
            "user+tag@Example.ORG",
            "\"a b\"@x.test",
            "\"a\\\"\\\\b\"@x.test",
            "postmaster@[192.0.2.1]",
            "x@[IPv6:2001:db8::1]",
            "dörte@bücher.example",
            "!#$%&'*+-/=?^_`{|}~@x",
            "a@x.test.",
        ];
        for text in good {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), text);
        }
        assert_eq!("\"plain\"@x".parse::<Address>().unwrap().to_string(), "plain@x");
    }

    #[test]
    fn says_what_is_wrong() {
        let bad = [
            ("", AddressError::Incomplete),
            ("user", AddressError::Incomplete),
            ("@x", AddressError::Incomplete),
            ("a@", AddressError::Incomplete),
            ("a b@x", AddressError::Character(' ')),
            ("a..b@x", AddressError::Dots),
            (".a@x", AddressError::Dots),
            ("a@-x.test", AddressError::Dots),
            ("\"a@x", AddressError::Unbalanced),
            ("a@[192.0.2.1", AddressError::Unbalanced),
            ("a@[192.0.2]", AddressError::Literal),
            ("a@x y", AddressError::Character(' ')),
            ("\"a\r\"@x", AddressError::Character('\r')),
        ];
        for (text, error) in bad {
            assert_eq!(text.parse::<Address>(), Err(error), "{text}");
        }
        let long = format!("{}@x", "a".repeat(65));
        assert_eq!(long.parse::<Address>(), Err(AddressError::TooLong));
    }

    #[test]
    fn an_address_from_another_process_is_checked() {
        let sent = postcard::to_allocvec(&("a\r\nDATA", "x.test")).unwrap();
        assert!(postcard::from_bytes::<Address>(&sent).is_err());
        let sent = postcard::to_allocvec(&("a", "x.test")).unwrap();
        let received: Address = postcard::from_bytes(&sent).unwrap();
        assert_eq!(received.to_string(), "a@x.test");
    }

    #[test]
    fn a_domain_has_one_key_however_it_is_written() {
        let key = |domain: &str| super::domain_key(domain);
        for same in
            ["bücher.example", "BÜCHER.Example.", "XN--bcher-kva.example", "ｂücher.example"]
        {
            assert_eq!(key(same), "xn--bcher-kva.example", "{same}");
        }
        assert_eq!(key("A_b.Test."), "a_b.test");
        assert_eq!(key("[IPv6:::1]"), "[ipv6:::1]");
        assert_eq!(key("a_b.Ü"), "a_b.ü");
    }

    #[test]
    fn only_the_domain_ignores_case() {
        let address = |text: &str| text.parse::<Address>().unwrap();
        assert_eq!(address("a@X.test"), address("a@x.TEST"));
        assert_ne!(address("A@x.test"), address("a@x.test"));
    }
}
