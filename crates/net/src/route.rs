//! The way to a next hop: its hosts and their addresses in order (RFC 5321 §5.1).

use std::collections::VecDeque;
use std::fmt;
use std::net::{IpAddr, SocketAddr};

use envelope::{Detail, Enhanced, Host, NextHop, Ourselves, Server, Status};

use crate::{Exchange, Failure, Place, Resolver};

/// Hosts of one domain that are looked at; RFC 5321 §5.1 asks for two at least.
pub const MAX_HOSTS: usize = 10;
/// Addresses of one server that an attempt tries.
pub const MAX_ADDRESSES: usize = 10;

/// One place to try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The name of the host, or its address where it has no name.
    pub host: String,
    pub place: Place,
}

impl fmt::Display for Target {
    /// `host [address]:port`, for the log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, place } = self;
        match place {
            Place::Address(at) if host.parse() == Ok(at.ip()) => {
                write!(f, "[{}]:{}", at.ip(), at.port())
            }
            Place::Address(at) => write!(f, "{host} [{}]:{}", at.ip(), at.port()),
            Place::Socket(path) => write!(f, "{host} [{}]", path.display()),
        }
    }
}

/// The addresses of a next hop, best first. Each server and each of its hosts is looked up when its
/// turn comes.
#[derive(Debug)]
pub struct Route<'a> {
    resolver: &'a Resolver,
    ourselves: &'a Ourselves,
    hop: &'a NextHop,
    servers: VecDeque<&'a Server>,
    hosts: VecDeque<String>,
    /// Of these hosts.
    port: u16,
    ready: VecDeque<Target>,
    /// Addresses of this server.
    given: usize,
    trouble: Option<Status>,
}

impl<'a> Route<'a> {
    /// Looks up the hosts of `hop`.
    ///
    /// # Errors
    /// There is no way: the status for all recipients.
    pub async fn find(
        resolver: &'a Resolver,
        ourselves: &'a Ourselves,
        hop: &'a NextHop,
    ) -> Result<Self, Status> {
        let mut route = Self {
            resolver,
            ourselves,
            hop,
            servers: hop.servers().collect(),
            hosts: VecDeque::new(),
            port: NextHop::SMTP,
            ready: VecDeque::new(),
            given: 0,
            trouble: None,
        };
        while route.hosts.is_empty() && route.ready.is_empty() {
            let Some(server) = route.servers.pop_front() else { return Err(route.trouble()) };
            route.turn_to(server).await;
        }
        Ok(route)
    }

    /// The next address to try; `None` when there are no more or enough were tried.
    pub async fn next(&mut self) -> Option<Target> {
        loop {
            if self.given == MAX_ADDRESSES {
                self.ready.clear();
                self.hosts.clear();
            }
            if let Some(target) = self.ready.pop_front() {
                self.given += 1;
                return Some(target);
            }
            match self.hosts.pop_front() {
                Some(host) => self.look_up(host).await,
                None => {
                    let server = self.servers.pop_front()?;
                    self.turn_to(server).await;
                }
            }
        }
    }

    /// Why no address was found, once there are no more and none was given.
    #[must_use]
    pub fn trouble(self) -> Status {
        self.trouble.unwrap_or_else(|| Status::fault(format!("{} leads nowhere", self.hop)))
    }

    /// Looks up the hosts of a server.
    async fn turn_to(&mut self, server: &Server) {
        self.port = server.port;
        self.given = 0;
        if let Host::Socket(path) = &server.host {
            let place = Place::Socket(self.ourselves.socket(path));
            return self.ready.push_back(Target { host: self.ourselves.hostname.clone(), place });
        }
        match self.hosts_of(server).await {
            Ok(hosts) => self.hosts = hosts.into_iter().take(MAX_HOSTS).collect(),
            Err(status) => self.note(status),
        }
    }

    async fn hosts_of(&mut self, server: &Server) -> Result<Vec<String>, Status> {
        let domain = match &server.host {
            Host::Exact(host) | Host::Socket(host) => return Ok(vec![host.clone()]),
            Host::Domain(domain) => domain,
        };
        match self.resolver.exchanges(domain).await {
            Ok(exchanges) => self.hosts_in(domain, server.port, exchanges),
            // RFC 5321 §5.1: without MX records the domain is its own host.
            Err(Failure::NoRecords) => Ok(vec![domain.clone()]),
            Err(failure) => Err(unknown(self.hop, domain, &failure)),
        }
    }

    fn hosts_in(
        &mut self,
        domain: &str,
        port: u16,
        exchanges: Vec<Exchange>,
    ) -> Result<Vec<String>, Status> {
        let ourselves = self.ourselves;
        let is_us = |host: &str| ourselves.are_called(host, port);
        let last = exchanges.iter().any(|mx| is_us(&mx.host));
        let hosts = match in_order(exchanges, is_us) {
            Err(Nobody::Ourselves) if ourselves.try_null_mx => Ok(vec![domain.to_owned()]),
            Err(Nobody::Ourselves) => Err(loops_back(&domain)),
            Err(Nobody::Nowhere) => {
                let text = format!("{domain} takes no mail (null MX)");
                Err(Status::Failed(Detail::ours(Enhanced::NULL_MX, text)))
            }
            Ok(hosts) => Ok(hosts),
        };
        // After what the domain says of itself no other server is asked: it would ask us.
        if last || hosts.is_err() {
            self.servers.clear();
        }
        hosts
    }

    async fn look_up(&mut self, host: String) {
        let found = match host.parse::<IpAddr>() {
            Ok(address) => Ok(vec![address]),
            Err(_) => self.resolver.addresses(&host).await,
        };
        let addresses = match found {
            Ok(addresses) => addresses,
            Err(failure) => return self.note(unknown(self.hop, &host, &failure)),
        };
        let port = self.port;
        let addresses: Vec<_> = addresses.into_iter().map(|ip| SocketAddr::new(ip, port)).collect();
        if addresses.iter().any(|&address| self.ourselves.listen_at(address)) {
            // RFC 5321 §5.1: from ourselves on, no host is better than we are.
            self.hosts.clear();
            self.servers.clear();
            return self.note(loops_back(self.hop));
        }
        let target = |address| Target { host: host.clone(), place: Place::Address(address) };
        self.ready.extend(addresses.into_iter().map(target));
    }

    /// What may pass weighs more than what will not.
    fn note(&mut self, status: Status) {
        if matches!(self.trouble, None | Some(Status::Failed(_))) {
            self.trouble = Some(status);
        }
    }
}

/// Why MX records lead to no host.
#[derive(Debug, PartialEq, Eq)]
enum Nobody {
    /// None is better than we are.
    Ourselves,
    /// A null MX (RFC 7505).
    Nowhere,
}

/// The hosts by preference, equal ones shuffled, up to where we are ourselves.
fn in_order(
    mut exchanges: Vec<Exchange>,
    is_us: impl Fn(&str) -> bool,
) -> Result<Vec<String>, Nobody> {
    let ours = exchanges.iter().filter(|mx| is_us(&mx.host)).map(|mx| mx.preference).min();
    // RFC 7505 §3: only a null MX that stands alone means something.
    exchanges.retain(|mx| !mx.host.is_empty());
    if exchanges.is_empty() {
        return Err(Nobody::Nowhere);
    }
    exchanges.retain(|mx| ours.is_none_or(|ours| mx.preference < ours));
    if exchanges.is_empty() {
        return Err(Nobody::Ourselves);
    }
    fastrand::shuffle(&mut exchanges);
    exchanges.sort_by_key(|mx| mx.preference);
    Ok(exchanges.into_iter().map(|mx| mx.host).collect())
}

/// sendmail bounces this as a "local configuration error" (5.3.5); but a fault of ours is to be
/// mended, and then the queued mail goes its way.
fn loops_back(hop: &dyn fmt::Display) -> Status {
    let text = format!(
        "mail for {hop} loops back to this system: add the domain to local-host-names, or correct \
         its MX records or the mailertable"
    );
    tracing::warn!("{text}");
    Status::Deferred(Detail::ours(Enhanced::LOOP, text))
}

fn unknown(hop: &NextHop, name: &str, failure: &Failure) -> Status {
    let why = match failure {
        Failure::NoAnswer(why) => {
            let text = format!("{name}: no answer from the DNS: {why}");
            return Status::Deferred(Detail::ours(Enhanced::DIRECTORY, text));
        }
        Failure::NoSuchName => "the DNS knows no such name",
        Failure::NoRecords => "the DNS has no address for this host",
    };
    let text = format!("{name}: {why}");
    // RFC 5321 §5.1: MX records of which none can be used are an error too.
    let is_exchange = hop.servers().all(|server| match &server.host {
        Host::Domain(domain) => domain != name,
        Host::Exact(_) | Host::Socket(_) => false,
    });
    let enhanced = if is_exchange { Enhanced::UNROUTABLE } else { Enhanced::BAD_SYSTEM };
    Status::Failed(Detail::ours(enhanced, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(list: &[(u16, &str)]) -> Result<Vec<String>, Nobody> {
        let exchange =
            |&(preference, host): &(u16, &str)| Exchange { preference, host: host.into() };
        let exchanges = list.iter().map(exchange).collect();
        in_order(exchanges, |host| host == "us")
    }

    #[test]
    fn better_hosts_come_first() {
        assert_eq!(order(&[(20, "b"), (10, "a"), (30, "c")]).unwrap(), ["a", "b", "c"]);
        assert_eq!(order(&[(0, ""), (10, "a")]).unwrap(), ["a"]);
    }

    #[test]
    fn equal_hosts_take_turns() {
        let firsts = (0..200).map(|_| order(&[(10, "a"), (10, "b")]).unwrap().swap_remove(0));
        let firsts = firsts.collect::<std::collections::BTreeSet<_>>();
        assert_eq!(firsts.len(), 2);
    }

    #[test]
    fn nothing_goes_to_ourselves_or_behind_us() {
        assert_eq!(order(&[(10, "a"), (20, "us"), (20, "b"), (30, "c")]).unwrap(), ["a"]);
        assert_eq!(order(&[(10, "us"), (20, "a")]), Err(Nobody::Ourselves));
    }

    #[test]
    fn a_null_mx_takes_no_mail() {
        assert_eq!(order(&[(0, "")]), Err(Nobody::Nowhere));
    }
}
