//! Which domains are this host (sendmail's class w), or have their mail here (VirtHost).

use std::net::{IpAddr, Ipv6Addr};

use envelope::Address;

use crate::{Names, Place};

/// The host's own name, `localhost`, the names in `local-host-names` and `virtuser-domains`, and its
/// own addresses as literals.
#[derive(Debug, Clone, Default)]
pub struct LocalDomains {
    /// Lower case.
    pub hostname: String,
    pub names: Names,
    pub addresses: Vec<IpAddr>,
    /// `virtuser-domains` (sendmail's class VirtHost): who gets mail there is in `virtusertable`
    /// alone.
    pub virtual_names: Names,
}

/// Why a domain is local.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Because {
    /// It is the host's own name or address.
    Own,
    /// This line of `local-host-names` says so.
    Line(Place),
    /// This line of `virtuser-domains` says so: no user of this machine has mail there as such.
    Virtual(Place),
}

impl LocalDomains {
    /// Is mail for `address` for this host?
    #[must_use]
    pub fn find(&self, address: &Address) -> Option<Because> {
        let domain = address.domain_key();
        if domain == self.hostname || domain == "localhost" {
            return Some(Because::Own);
        }
        if let Some(place) = self.names.line(&domain) {
            return Some(Because::Line(place));
        }
        if let Some(place) = self.virtual_names.line(&domain) {
            return Some(Because::Virtual(place));
        }
        let literal = literal(&domain)?;
        (literal.is_loopback() || self.addresses.contains(&literal)).then_some(Because::Own)
    }
}

/// The address in a literal (RFC 5321 §4.1.3), in lower case.
#[must_use]
pub fn literal(domain: &str) -> Option<IpAddr> {
    let inner = domain.strip_prefix('[')?.strip_suffix(']')?;
    match inner.strip_prefix("ipv6:") {
        Some(six) => six.parse::<Ipv6Addr>().ok().map(|six| six.to_canonical()),
        None => inner.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_names_and_addresses() {
        let names = Names::read("local-host-names", "example.org\n".as_bytes()).unwrap().table;
        let addresses = vec!["192.0.2.1".parse().unwrap(), "2001:db8::1".parse().unwrap()];
        let local = LocalDomains {
            hostname: "mx.example.org".into(),
            names,
            addresses,
            virtual_names: Names::read("virtuser-domains", "example.org\nv.test\n".as_bytes())
                .unwrap()
                .table,
        };
        let find = |domain: &str| local.find(&Address::new("x", domain).unwrap());
        for own in
            ["MX.example.org.", "localhost", "[192.0.2.1]", "[IPv6:2001:DB8::1]", "[127.0.0.1]"]
        {
            assert_eq!(find(own), Some(Because::Own), "{own}");
        }
        let place = |file: &str, line| Place { file: file.into(), line };
        assert_eq!(find("Example.ORG"), Some(Because::Line(place("local-host-names", 1))));
        assert_eq!(find("V.test."), Some(Because::Virtual(place("virtuser-domains", 2))));
        for other in ["a.example.org", "example.net", "[192.0.2.2]", "[IPv6:2001:db8::2]"] {
            assert_eq!(find(other), None, "{other}");
        }
    }
}
