//! Questions to the DNS, and what its answers mean for mail.
//!
//! **Invariant:** only an answer that says so makes a name unknown; trouble on the way is
//! [`Failure::NoAnswer`], which defers.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Instant;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig};
use hickory_resolver::lookup::Lookup;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::{Name, RData, RecordType};

use crate::Lookups;

/// Names of one address that are looked at; who has more has them for no good.
const MAX_NAMES: usize = 4;

/// Whom to ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Servers {
    /// Those of `/etc/resolv.conf`; without that file, one on this machine (resolv.conf(5)).
    System,
    Listed(Vec<SocketAddr>),
}

/// Which addresses of a host we can reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Families {
    Ipv4,
    Ipv6,
    Both,
}

/// Asks and remembers answers for as long as they live. Built once for a process.
#[derive(Clone)]
pub struct Resolver {
    hickory: TokioResolver,
    families: Families,
    /// `None`: nobody wants to know.
    lookups: Option<Lookups>,
}

/// One MX record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exchange {
    pub preference: u16,
    /// Lower case, without the last dot; empty in a null MX (RFC 7505).
    pub host: String,
}

/// Why there is no record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// No name can look like this, or the DNS says that there is none (NXDOMAIN).
    NoSuchName,
    /// The name exists, without records of this type.
    NoRecords,
    /// Nobody knows: no answer in time, or SERVFAIL and the like. What was seen, for a person.
    NoAnswer(String),
}

impl Resolver {
    /// # Errors
    /// The configuration of the system cannot be understood.
    pub fn new(servers: &Servers, families: Families) -> Result<Self, String> {
        let builder = match servers {
            Servers::Listed(addresses) => listed(addresses),
            Servers::System => TokioResolver::builder_tokio().unwrap_or_else(|error| {
                tracing::warn!("/etc/resolv.conf: {error}; asking 127.0.0.1 instead");
                listed(&[(Ipv4Addr::LOCALHOST, 53).into()])
            }),
        };
        let hickory = builder.build().map_err(|error| error.to_string())?;
        Ok(Self { hickory, families, lookups: None })
    }

    /// The same, with what it remembers, for hosts that can be reached otherwise.
    #[must_use]
    pub fn reaching(&self, families: Families) -> Self {
        Self { families, ..self.clone() }
    }

    /// The same, with what it remembers; what is asked of it and answered is noted there.
    #[must_use]
    pub fn noting(&self, lookups: &Lookups) -> Self {
        Self { lookups: Some(lookups.clone()), ..self.clone() }
    }

    /// The MX records of a domain, in no order.
    ///
    /// # Errors
    /// [`Failure`]
    pub async fn exchanges(&self, domain: &str) -> Result<Vec<Exchange>, Failure> {
        let answer = self.ask(domain, RecordType::MX).await?;
        let exchanges = answer.answers().iter().filter_map(|record| {
            let RData::MX(mx) = &record.data else { return None };
            Some(Exchange { preference: mx.preference, host: host(&mx.exchange) })
        });
        non_empty(exchanges.collect())
    }

    /// The addresses of a host, in the order in which they are to be tried: both families by
    /// turns, IPv6 first (RFC 8305 §4), so that a family without a way out costs little.
    ///
    /// # Errors
    /// [`Failure`]; while one family has addresses, trouble with the other does not count.
    pub async fn addresses(&self, host: &str) -> Result<Vec<IpAddr>, Failure> {
        let (six, four) = match self.families {
            Families::Ipv4 => (Ok(Vec::new()), self.family(host, RecordType::A).await),
            Families::Ipv6 => (self.family(host, RecordType::AAAA).await, Ok(Vec::new())),
            Families::Both => {
                tokio::join!(self.family(host, RecordType::AAAA), self.family(host, RecordType::A))
            }
        };
        let found =
            by_turns(six.as_deref().unwrap_or_default(), four.as_deref().unwrap_or_default());
        if !found.is_empty() {
            return Ok(found);
        }
        match (six.err(), four.err()) {
            (Some(Failure::NoAnswer(why)), _) | (_, Some(Failure::NoAnswer(why))) => {
                Err(Failure::NoAnswer(why))
            }
            (Some(Failure::NoSuchName), _) | (_, Some(Failure::NoSuchName)) => {
                Err(Failure::NoSuchName)
            }
            (Some(Failure::NoRecords) | None, Some(Failure::NoRecords) | None) => {
                Err(Failure::NoRecords)
            }
        }
    }

    /// Could mail be sent there? A domain has an MX record or an address, an address literal (in
    /// brackets, lower case) a confirmed name: what sendmail asks of a reverse-path.
    ///
    /// # Errors
    /// Nobody knows; what was seen, for a person.
    pub async fn takes_mail(&self, domain: &str) -> Result<bool, String> {
        if let Some(inner) = domain.strip_prefix('[').and_then(|it| it.strip_suffix(']')) {
            return match inner.strip_prefix("ipv6:").unwrap_or(inner).parse() {
                Ok(address) => Ok(self.confirmed_name(address).await?.is_some()),
                Err(_) => Ok(false),
            };
        }
        let found = match self.exchanges(domain).await {
            Ok(_) => Ok(()),
            Err(Failure::NoRecords) => self.addresses(domain).await.map(drop),
            Err(failure) => Err(failure),
        };
        match found {
            Ok(()) => Ok(true),
            Err(Failure::NoSuchName | Failure::NoRecords) => Ok(false),
            Err(Failure::NoAnswer(why)) => Err(why),
        }
    }

    /// What a host is called where its aliases (CNAME) end. Without the last dot.
    ///
    /// # Errors
    /// [`Failure`]: it has neither address nor MX.
    pub async fn canonical(&self, name: &str) -> Result<String, Failure> {
        let mut failure = Failure::NoSuchName;
        for kind in [RecordType::A, RecordType::AAAA, RecordType::MX] {
            match self.ask(name, kind).await {
                Ok(answer) => {
                    let mut records = answer.answers().iter();
                    let found = records.find(|record| record.record_type() == kind);
                    return Ok(found.map_or_else(|| name.to_owned(), |record| host(&record.name)));
                }
                Err(Failure::NoRecords) => failure = Failure::NoRecords,
                Err(other) => return Err(other),
            }
        }
        Err(failure)
    }

    /// What the owner of an address calls it, if that name has the address (RFC 8601 §3): anybody
    /// may call his addresses as he likes. Lower case, without the last dot.
    ///
    /// # Errors
    /// Nobody knows; what was seen, for a person.
    pub async fn confirmed_name(&self, address: IpAddr) -> Result<Option<String>, String> {
        // The DNS seldom knows, and /etc/hosts always does.
        if [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)].contains(&address) {
            return Ok(Some("localhost".to_owned()));
        }
        let family = if address.is_ipv4() { RecordType::A } else { RecordType::AAAA };
        let reverse = Name::from(address).to_ascii();
        let pointers = match self.ask(&reverse, RecordType::PTR).await {
            Ok(pointers) => pointers,
            Err(Failure::NoSuchName | Failure::NoRecords) => return Ok(None),
            Err(Failure::NoAnswer(why)) => return Err(why),
        };
        let names = pointers.answers().iter().filter_map(|record| {
            let RData::PTR(name) = &record.data else { return None };
            Some(host(&name.0))
        });
        let mut trouble = None;
        for name in names.take(MAX_NAMES) {
            match self.family(&name, family).await {
                Ok(addresses) if addresses.contains(&address) => return Ok(Some(name)),
                Ok(_) | Err(Failure::NoSuchName | Failure::NoRecords) => {}
                Err(Failure::NoAnswer(why)) => trouble = Some(why),
            }
        }
        trouble.map_or(Ok(None), Err)
    }

    async fn family(&self, host: &str, family: RecordType) -> Result<Vec<IpAddr>, Failure> {
        let answer = self.ask(host, family).await?;
        let addresses = answer.answers().iter().filter_map(|record| record.data.ip_addr());
        non_empty(addresses.collect())
    }

    async fn ask(&self, name: &str, kind: RecordType) -> Result<Lookup, Failure> {
        let begin = Instant::now();
        let answer = self.look_up(name, kind).await;
        if let Some(lookups) = &self.lookups {
            lookups.note((name, kind), &answer, begin.elapsed());
        }
        answer
    }

    /// Names are always asked with a trailing dot: no search list may lead mail elsewhere.
    async fn look_up(&self, name: &str, kind: RecordType) -> Result<Lookup, Failure> {
        let mut name = Name::from_str_relaxed(name).map_err(|_| Failure::NoSuchName)?;
        name.set_fqdn(true);
        self.hickory.lookup(name, kind).await.map_err(|error| {
            if error.is_nx_domain() {
                Failure::NoSuchName
            } else if error.is_no_records_found() {
                Failure::NoRecords
            } else {
                Failure::NoAnswer(error.to_string())
            }
        })
    }
}

type Builder = hickory_resolver::ResolverBuilder<TokioRuntimeProvider>;

fn listed(addresses: &[SocketAddr]) -> Builder {
    let servers = addresses.iter().map(|address| {
        let mut server = NameServerConfig::udp_and_tcp(address.ip());
        server.connections.iter_mut().for_each(|c: &mut ConnectionConfig| c.port = address.port());
        server
    });
    let config = ResolverConfig::from_name_servers(servers.collect());
    TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
}

fn host(name: &Name) -> String {
    let text = name.to_ascii().to_ascii_lowercase();
    text.strip_suffix('.').unwrap_or(&text).to_owned()
}

/// An answer that holds only aliases has no records either.
fn non_empty<T>(records: Vec<T>) -> Result<Vec<T>, Failure> {
    if records.is_empty() { Err(Failure::NoRecords) } else { Ok(records) }
}

fn by_turns(first: &[IpAddr], second: &[IpAddr]) -> Vec<IpAddr> {
    let longest = first.len().max(second.len());
    (0..longest)
        .flat_map(|turn| first.get(turn).into_iter().chain(second.get(turn)))
        .copied()
        .collect()
}

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resolver").field("families", &self.families).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_take_turns() {
        let [a, b, c] = ["::1", "::2", "192.0.2.1"].map(|ip| ip.parse().unwrap());
        assert_eq!(by_turns(&[a, b], &[c]), [a, c, b]);
        assert_eq!(by_turns(&[], &[c]), [c]);
    }
}
