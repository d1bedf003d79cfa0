//! `relay-domains`: for whom mail is passed on (sendmail's class R).

use std::io::{self, Read as Source};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use envelope::{Address, domain_key};
use ipnet::IpNet;

use crate::access::{Group, groups};
use crate::index::Index;
use crate::lines::{Continuation, Line, Wrong, each};
use crate::networks::Networks;
use crate::{Kind, Place, Read};

/// Domains with all that is below them, and networks.
#[derive(Debug, Clone, Default)]
pub struct RelayDomains {
    names: Index,
    networks: Networks<()>,
}

impl RelayDomains {
    /// Reads one domain, network or address a line.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn read(file: &str, source: impl Source) -> io::Result<Read<Self>> {
        let mut table = Self::default();
        let take = |line: &Line| {
            let text = line.name();
            match network(text)? {
                Some(network) => table.networks.insert((), network, "", line),
                None if line.kind == Kind::Cidr => {
                    return Err(Wrong::line(format!(
                        "{text} is not a network: write 192.0.2.0/24"
                    )));
                }
                // The same name once more says the same.
                None => drop(table.names.insert(&name(text)?, "", line)),
            }
            Ok(())
        };
        let findings = each(file, source, Continuation::None, take)?;
        let Self { names, networks } = table;
        Ok(Read { table: Self { names: names.finished(), networks }, findings })
    }

    /// The line that has `domain` (see [`domain_key`]) or one above it.
    #[must_use]
    pub fn domain(&self, domain: &str) -> Option<Place> {
        if self.names.len() == 0 {
            return None;
        }
        let above = domain.match_indices('.').filter_map(|(at, _)| domain.get(at + 1..));
        let mut names = std::iter::once(domain).chain(above);
        names.find_map(|name| self.names.get(name)).map(|found| found.place())
    }

    /// The line that has the address of a client.
    #[must_use]
    pub fn address(&self, address: IpAddr) -> Option<Place> {
        self.networks.find((), address).map(|(_, found)| found.place())
    }

    /// Is there a line for which a client's name matters?
    #[must_use]
    pub fn asks_for_names(&self) -> bool {
        self.names.len() > 0
    }
}

fn name(text: &str) -> Result<String, Wrong> {
    if text.starts_with('[') || Address::new("x", text).is_err() {
        return Err(Wrong::line(format!("{text} is not a domain or a network")));
    }
    Ok(domain_key(text))
}

/// `128.32`, `IPv6:2001:db8`, or the same with a length: `128.32.0.0/16`.
fn network(text: &str) -> Result<Option<IpNet>, Wrong> {
    let plain = text.get(..5).filter(|tag| tag.eq_ignore_ascii_case("ipv6:"));
    let plain = plain.and_then(|tag| text.get(tag.len()..)).unwrap_or(text);
    if plain.contains('/') {
        let network = plain.parse::<IpNet>().map(|network| network.trunc());
        let wrong = |_| Wrong::line(format!("{text} is not a network: write 192.0.2.0/24"));
        return network.map(Some).map_err(wrong);
    }
    let Some((kind, numbers)) = groups(text).transpose()? else { return Ok(None) };
    let number = |at: usize| numbers.get(at).copied().unwrap_or_default();
    let (address, bits) = match kind {
        Group::Four => {
            let octets = [0, 1, 2, 3].map(|at| u8::try_from(number(at)).unwrap_or_default());
            (IpAddr::V4(Ipv4Addr::from(octets)), 8)
        }
        Group::Six => {
            let groups = [0, 1, 2, 3, 4, 5, 6, 7].map(number);
            (IpAddr::V6(Ipv6Addr::from(groups)), 16)
        }
    };
    let length = u8::try_from(numbers.len() * bits).unwrap_or(u8::MAX);
    let wrong = |_| Wrong::line(format!("{text} is not a network"));
    IpNet::new(address, length).map(Some).map_err(wrong)
}

#[cfg(test)]
mod tests {
    use super::RelayDomains;

    #[test]
    fn domains_with_all_below_them_and_networks() {
        // cf/README 2421–2426, and lengths.
        let text = "sendmail.org # us\n128.32 # and our net\nIPv6:2002:c0a8:02c7\nIPv6:2002:c0a8:51d2::23f4\n\
                    Host.MyDomain.com.\n10.0.0.0/9\n2001:db8::/33\nIPv6:2001:db9::/32\n192.0.2.1\n";
        let read = RelayDomains::read("relay-domains", text.as_bytes()).unwrap();
        assert_eq!(read.findings, []);
        let table = read.table;
        for (domain, line) in [
            ("sendmail.org", Some(1)),
            ("a.b.sendmail.org", Some(1)),
            ("notsendmail.org", None),
            ("org", None),
            ("host.mydomain.com", Some(5)),
            ("mydomain.com", None),
            ("[128.32.1.1]", None),
        ] {
            assert_eq!(table.domain(domain).map(|place| place.line), line, "{domain}");
        }
        for (address, line) in [
            ("128.32.0.1", Some(2)),
            ("128.33.0.1", None),
            ("::ffff:128.32.0.1", Some(2)),
            ("2002:c0a8:2c7:1::1", Some(3)),
            ("2002:c0a8:2c8::1", None),
            ("2002:c0a8:51d2::23f4", Some(4)),
            ("2002:c0a8:51d2::23f5", None),
            ("10.127.255.255", Some(6)),
            ("10.128.0.0", None),
            ("2001:db8:7fff::1", Some(7)),
            ("2001:db8:8000::1", None),
            ("2001:db9:ffff::", Some(8)),
            ("192.0.2.1", Some(9)),
            ("192.0.2.2", None),
        ] {
            let found = table.address(address.parse().unwrap());
            assert_eq!(found.map(|place| place.line), line, "{address}");
        }
        assert!(table.asks_for_names() && !RelayDomains::default().asks_for_names());
    }

    #[test]
    fn what_is_neither_is_told() {
        let text = "128.32.\n1.2.3.4.5\n10.0.0.0/33\na b\n[10.1]\n[UNIX:localhost]\n\
                    IPv6:2001:db8::\nIPv6:x\n300.1\nuser@a.test\nok.test\n";
        let read = RelayDomains::read("relay-domains", text.as_bytes()).unwrap();
        let lines: Vec<_> = read.findings.iter().map(|finding| finding.line).collect();
        assert_eq!(lines, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
        assert!(read.findings.iter().all(|finding| !finding.unsupported));
        assert_eq!(read.table.domain("ok.test").unwrap().line, 11);
    }
}
