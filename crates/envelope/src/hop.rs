//! Where a message goes next.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What is spoken to a [`NextHop`].
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
pub enum Protocol {
    #[default]
    Smtp,
    /// To a store of mailboxes (RFC 2033).
    Lmtp,
}

/// The host of a [`NextHop`].
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Host {
    /// `example.net`: its MX records, or else its addresses (RFC 5321 §5.1).
    Domain(String),
    /// `[mx.example.net]` or `[192.0.2.1]`: the addresses of this very host. Without the brackets;
    /// an IPv6 literal without its `IPv6:` tag.
    Exact(String),
    /// A Unix socket of this machine, by its absolute path as the administrator wrote it. LMTP only;
    /// it has no port.
    Socket(String),
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
    pub protocol: Protocol,
    pub first: Server,
    /// Asked in this order when the ones before decide nothing; at most [`NextHop::MAX_OTHERS`] as one
    /// text has them, and one more.
    pub others: Vec<Server>,
}

impl NextHop {
    /// The port of SMTP (RFC 5321 §4.5.4.2).
    pub const SMTP: u16 = 25;
    /// The port of LMTP where none is named: the one for private mail systems (RFC 2033 §5 forbids 25).
    pub const LMTP: u16 = 24;
    /// Bytes of the path of a Unix socket (unix(7)).
    pub const MAX_PATH: usize = 107;
    /// Servers beside the first.
    pub const MAX_OTHERS: usize = 9;

    /// Reads `domain`, `domain:port`, `[host]` or `[host]:port`, as mailertable and `smarthost`
    /// write it, or several of them with `:` or `,` between. `None` if it is none of these.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (first, mut rest) = server(text, Self::SMTP)?;
        let mut others = Vec::new();
        while let Some(more) =
            rest.strip_prefix([':', ',']).filter(|_| others.len() < Self::MAX_OTHERS)
        {
            let (server, after) = server(more, Self::SMTP)?;
            others.push(server);
            rest = after;
        }
        rest.is_empty().then_some(Self { protocol: Protocol::Smtp, first, others })
    }

    /// Reads `unix:/run/dovecot/lmtp`, `inet:host`, `inet:host:port` or `inet:[2001:db8::1]:port`, as
    /// `local.mailbox` and mailertable write it behind `lmtp:`. `None` if it is none of these.
    #[must_use]
    pub fn lmtp(text: &str) -> Option<Self> {
        let first = match text.split_once(':')? {
            ("unix", path) => {
                is_socket(path).then(|| Server { host: Host::Socket(path.to_owned()), port: 0 })?
            }
            ("inet", address) => lmtp_server(address)?,
            _ => return None,
        };
        Some(Self { protocol: Protocol::Lmtp, first, others: Vec::new() })
    }

    /// What the first host is called in an address: `hub.example`, `[192.0.2.1]`, `[IPv6:2001:db8::1]`.
    #[must_use]
    pub fn domain(&self) -> String {
        match &self.first.host {
            Host::Exact(host) if host.contains(':') => format!("[IPv6:{host}]"),
            Host::Exact(host) if host.parse::<std::net::Ipv4Addr>().is_ok() => format!("[{host}]"),
            Host::Domain(host) | Host::Exact(host) | Host::Socket(host) => host.clone(),
        }
    }

    /// The path of its Unix socket, as the administrator wrote it.
    #[must_use]
    pub const fn socket(&self) -> Option<&String> {
        match &self.first.host {
            Host::Socket(path) => Some(path),
            Host::Domain(_) | Host::Exact(_) => None,
        }
    }

    /// All servers, in order.
    pub fn servers(&self) -> impl Iterator<Item = &Server> {
        std::iter::once(&self.first).chain(&self.others)
    }
}

impl From<Server> for NextHop {
    fn from(first: Server) -> Self {
        Self { protocol: Protocol::Smtp, first, others: Vec::new() }
    }
}

fn is_socket(path: &str) -> bool {
    path.starts_with('/') && path.len() <= NextHop::MAX_PATH && !path.contains(char::is_control)
}

/// One host, whose MX nobody asks for.
fn lmtp_server(text: &str) -> Option<Server> {
    let (server, rest) = server(text, NextHop::LMTP)?;
    let host = match server.host {
        Host::Domain(host) | Host::Exact(host) => Host::Exact(host),
        Host::Socket(_) => return None,
    };
    // RFC 2033 §5: never on the port of SMTP.
    let fits = rest.is_empty() && server.port != NextHop::SMTP;
    fits.then_some(Server { host, port: server.port })
}

/// The server at the start of `text`, and what follows it. Digits behind a colon are its port.
fn server(text: &str, default_port: u16) -> Option<(Server, &str)> {
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
        None => Some((Server { host, port: default_port }, rest)),
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
    /// As [`NextHop::parse`] reads it; with `lmtp:` in front, as [`NextHop::lmtp`] does.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Server { host, port } = &self.first;
        match (self.protocol, host) {
            (Protocol::Smtp, _) => self.first.fmt(f)?,
            (Protocol::Lmtp, Host::Socket(path)) => write!(f, "lmtp:unix:{path}")?,
            (Protocol::Lmtp, Host::Domain(name) | Host::Exact(name)) if name.contains(':') => {
                write!(f, "lmtp:inet:[{name}]:{port}")?;
            }
            (Protocol::Lmtp, Host::Domain(name) | Host::Exact(name)) => {
                write!(f, "lmtp:inet:{name}:{port}")?;
            }
        }
        self.others.iter().try_for_each(|server| write!(f, ",{server}"))
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Host::Domain(name) => write!(f, "{name}")?,
            Host::Exact(name) => write!(f, "[{name}]")?,
            Host::Socket(path) => return f.write_str(path),
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
    fn lmtp_is_by_socket_or_by_host() {
        let lmtp = |text| NextHop::lmtp(text).map(|hop| hop.to_string());
        for (text, shown) in [
            ("unix:/run/dovecot/lmtp", "lmtp:unix:/run/dovecot/lmtp"),
            ("inet:127.0.0.1:2003", "lmtp:inet:127.0.0.1:2003"),
            ("inet:Mail.Example.net", "lmtp:inet:mail.example.net:24"),
            ("inet:[IPv6:2001:DB8::1]:26", "lmtp:inet:[2001:db8::1]:26"),
            ("inet:[2001:db8::1]", "lmtp:inet:[2001:db8::1]:24"),
        ] {
            assert_eq!(lmtp(text).as_deref(), Some(shown));
        }
        let long = format!("unix:/{}", "x".repeat(NextHop::MAX_PATH));
        for text in [
            "",
            "unix:",
            "unix:run/x",
            "unix:/a\nb",
            &long,
            "inet:",
            "inet:a:25",
            "x:/a",
            "inet:a:b",
        ] {
            assert_eq!(lmtp(text), None, "{text}");
        }
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
