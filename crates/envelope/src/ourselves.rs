//! Who we are, so that mail for others never comes back to us (RFC 5321 §5.1).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};

use crate::NextHop;

/// This mail system as others see it.
#[derive(Debug, Clone, Default)]
pub struct Ourselves {
    /// The name in our greeting, lower case.
    pub hostname: String,
    /// Of the interfaces of this machine, loopback aside.
    pub addresses: Vec<IpAddr>,
    /// Where we take mail from other systems.
    pub listeners: Vec<SocketAddr>,
    /// What `--root` said: the paths of Unix sockets lie below it.
    pub root: PathBuf,
    /// sendmail's TryNullMXList: a domain whose best MX we are, though it is not ours, has its own
    /// address tried.
    pub try_null_mx: bool,
}

impl Ourselves {
    /// Where the Unix socket of a next hop is.
    #[must_use]
    pub fn socket(&self, path: &str) -> PathBuf {
        Path::new("/").join(&self.root).join(path.strip_prefix('/').unwrap_or(path))
    }

    /// Is a host of this name, asked at this port, this system? Port 25 counts always: a router
    /// in front of us may lead it to another one.
    #[must_use]
    pub fn are_called(&self, host: &str, port: u16) -> bool {
        let ours = port == NextHop::SMTP || self.listeners.iter().any(|at| at.port() == port);
        ours && host.eq_ignore_ascii_case(&self.hostname)
    }

    /// Would a connection to this address reach one of our listeners?
    #[must_use]
    pub fn listen_at(&self, address: SocketAddr) -> bool {
        // Connecting to the unspecified address leads to this machine.
        let ip = match address.ip().to_canonical() {
            IpAddr::V4(Ipv4Addr::UNSPECIFIED) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(Ipv6Addr::UNSPECIFIED) => Ipv6Addr::LOCALHOST.into(),
            ip @ (IpAddr::V4(_) | IpAddr::V6(_)) => ip,
        };
        let same_port = self.listeners.iter().filter(|at| at.port() == address.port());
        let mut addresses = same_port.map(|at| at.ip().to_canonical());
        addresses.any(|at| at == ip || (at.is_unspecified() && self.have(ip)))
    }

    fn have(&self, ip: IpAddr) -> bool {
        ip.is_loopback() || self.addresses.contains(&ip)
    }
}

#[cfg(test)]
mod tests {
    use super::{Ourselves, Path};

    #[test]
    fn known_by_name_and_by_address() {
        let listeners = vec!["0.0.0.0:25".parse().unwrap(), "127.0.0.9:2525".parse().unwrap()];
        let addresses = vec!["192.0.2.9".parse().unwrap()];
        let hostname = "mx.test".to_owned();
        let ourselves =
            Ourselves { hostname, addresses, listeners, root: "/r".into(), try_null_mx: false };
        assert_eq!(ourselves.socket("/run/lmtp"), Path::new("/r/run/lmtp"));
        assert_eq!(Ourselves::default().socket("/run/lmtp"), Path::new("/run/lmtp"));
        assert!(ourselves.are_called("MX.test", 25));
        assert!(ourselves.are_called("mx.test", 2525));
        assert!(!ourselves.are_called("mx.test", 10025));
        assert!(!ourselves.are_called("other.test", 25));
        for (address, ours) in [
            ("127.0.0.1:25", true),
            ("[::ffff:127.0.0.1]:25", true),
            ("127.0.0.1:2525", false),
            ("127.0.0.9:2525", true),
            ("0.0.0.0:25", true),
            ("[::]:25", true),
            ("0.0.0.0:2525", false),
            ("192.0.2.1:25", false),
            ("192.0.2.9:25", true),
            ("192.0.2.9:2525", false),
        ] {
            assert_eq!(ourselves.listen_at(address.parse().unwrap()), ours, "{address}");
        }
    }
}
