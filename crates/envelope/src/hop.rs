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

/// One host, or the hosts of one domain. Names are lower case, without a trailing dot.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Server {
    pub host: Host,
    pub port: u16,
}

/// A destination of `remote`. Two recipients with equal next hops share a transaction and a
/// connection.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct NextHop {
    pub first: Server,
    /// Asked in this order when the ones before decide nothing; at most [`NextHop::MAX_OTHERS`].
    pub others: Vec<Server>,
}

impl NextHop {
    /// The port of SMTP (RFC 5321 §4.5.4.2).
    pub const SMTP: u16 = 25;
    /// Servers beside the first.
    pub const MAX_OTHERS: usize = 9;

    /// Reads `domain`, `domain:port`, `[host]` or `[host]:port`, as mailertable and `smarthost`
    /// write it, or several of them with `:` or `,` between. `None` if it is none of these.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (first, mut rest) = server(text)?;
        let mut others = Vec::new();
        while let Some(more) =
            rest.strip_prefix([':', ',']).filter(|_| others.len() < Self::MAX_OTHERS)
        {
            let (server, after) = server(more)?;
            others.push(server);
            rest = after;
        }
        rest.is_empty().then_some(Self { first, others })
    }

    /// All servers, in order.
    pub fn servers(&self) -> impl Iterator<Item = &Server> {
        std::iter::once(&self.first).chain(&self.others)
    }
}

impl From<Server> for NextHop {
    fn from(first: Server) -> Self {
        Self { first, others: Vec::new() }
    }
}

/// The server at the start of `text`, and what follows it. Digits behind a colon are its port.
fn server(text: &str) -> Option<(Server, &str)> {
    let text = text.trim();
    let (host, rest) = if let Some(inner) = text.strip_prefix('[') {
        let (host, rest) = inner.split_once(']')?;
        let host = strip_ipv6_tag(host);
        let literal = host.parse::<std::net::IpAddr>().is_ok();
        (literal || is_host_name(host)).then(|| (Host::Exact(name(host)), rest))?
    } else {
        let (host, rest) = text.split_at(text.find([':', ',']).unwrap_or(text.len()));
        let host = host.trim_end();
        is_host_name(host).then(|| (Host::Domain(name(host)), rest))?
    };
    let rest = rest.trim_start();
    let stated = rest.strip_prefix(':').and_then(|rest| {
        let (digits, rest) = rest.split_at(rest.find([':', ',']).unwrap_or(rest.len()));
        let digits = digits.trim();
        (!digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit())).then_some((digits, rest))
    });
    match stated {
        Some((digits, rest)) => Some((Server { host, port: digits.parse().ok()? }, rest)),
        None => Some((Server { host, port: NextHop::SMTP }, rest)),
    }
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
    /// As [`NextHop::parse`] reads it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.first.fmt(f)?;
        self.others.iter().try_for_each(|server| write!(f, ",{server}"))
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Host::Domain(name) => write!(f, "{name}")?,
            Host::Exact(name) => write!(f, "[{name}]")?,
        }
        if self.port == NextHop::SMTP { Ok(()) } else { write!(f, ":{}", self.port) }
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
            "[a.test]:26,b.test,[192.0.2.1]",
        ] {
            assert_eq!(NextHop::parse(text).unwrap().to_string(), text);
        }
        assert_eq!(NextHop::parse("[IPv6:2001:DB8::1]").unwrap().to_string(), "[2001:db8::1]");
        assert_eq!(NextHop::parse("Example.NET.").unwrap().to_string(), "example.net");
        let several = NextHop::parse("[a.test]:[b.test]:26 , c.test:27:d.test").unwrap();
        assert_eq!(several.to_string(), "[a.test],[b.test]:26,c.test:27,d.test");
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
