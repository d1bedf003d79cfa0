//! Where a message goes next.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The host of a [`NextHop`].
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Host {
    /// `example.net`: its MX records, or else its addresses (RFC 5321 §5.1).
    Domain(String),
    /// `[mx.example.net]` or `[192.0.2.1]`: the addresses of this very host. Without the brackets;
    /// an IPv6 literal without its `IPv6:` tag.
    Exact(String),
}

/// A destination of `remote`. Two recipients with equal next hops share a transaction and a
/// connection. Names are lower case, without a trailing dot.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct NextHop {
    pub host: Host,
    pub port: u16,
}

impl NextHop {
    /// The port of SMTP (RFC 5321 §4.5.4.2).
    pub const SMTP: u16 = 25;
    /// Bytes of a next hop as text: a domain name of 253, brackets, colon and port.
    pub const MAX: usize = 270;

    /// Reads `domain`, `domain:port`, `[host]` or `[host]:port`, as mailertable and `smarthost`
    /// write it. `None` if it is none of these.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        if text.len() > Self::MAX {
            return None;
        }
        if let Some(rest) = text.strip_prefix('[') {
            let (host, after) = rest.split_once(']')?;
            let port = if after.is_empty() { Self::SMTP } else { port(after.strip_prefix(':')?)? };
            let host = strip_ipv6_tag(host);
            let literal = host.parse::<std::net::IpAddr>().is_ok();
            return (literal || is_host_name(host))
                .then(|| Self { host: Host::Exact(name(host)), port });
        }
        let (host, port) = match text.split_once(':') {
            Some((host, digits)) => (host, port(digits)?),
            None => (text, Self::SMTP),
        };
        is_host_name(host).then(|| Self { host: Host::Domain(name(host)), port })
    }
}

fn port(digits: &str) -> Option<u16> {
    digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse().ok()).flatten()
}

fn name(host: &str) -> String {
    host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase()
}

fn strip_ipv6_tag(host: &str) -> &str {
    match host.split_at_checked(5) {
        Some((tag, rest)) if tag.eq_ignore_ascii_case("IPv6:") => rest,
        _ => host,
    }
}

/// Letters, digits, `-`, `_`, dots and UTF-8: what a resolver can be asked for.
fn is_host_name(host: &str) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host);
    !host.is_empty()
        && host.len() <= 253
        && host.split('.').all(|label| !label.is_empty() && label.len() <= 63)
        && host.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c) || !c.is_ascii())
}

impl fmt::Display for NextHop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Host::Domain(name) => write!(f, "{name}")?,
            Host::Exact(name) => write!(f, "[{name}]")?,
        }
        if self.port == Self::SMTP { Ok(()) } else { write!(f, ":{}", self.port) }
    }
}

#[cfg(test)]
mod tests {
    use super::NextHop;

    #[test]
    fn reads_what_it_writes() {
        for text in [
            "example.net",
            "example.net:26",
            "[mx.example.net]:587",
            "[192.0.2.1]",
            "[2001:db8::1]:26",
        ] {
            assert_eq!(NextHop::parse(text).unwrap().to_string(), text);
        }
        assert_eq!(NextHop::parse("[IPv6:2001:DB8::1]").unwrap().to_string(), "[2001:db8::1]");
        assert_eq!(NextHop::parse("Example.NET.").unwrap().to_string(), "example.net");
    }

    #[test]
    fn other_text_is_refused() {
        for text in
            ["", "[", "[]", "[a b]", "a..b", "host:", "host:99999", "[host]x", "[host]:+1", "a b"]
        {
            assert_eq!(NextHop::parse(text), None, "{text}");
        }
    }
}
