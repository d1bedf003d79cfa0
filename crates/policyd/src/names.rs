//! What the DNS says of clients and of reverse-paths.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use config::{Config, Resolver as Servers};
use envelope::printable;
use net::{Families, Resolver};
use policy::{ClientName, SenderDomain};
use tokio::time::timeout;

/// How long the DNS may take, over both questions; `smtpd` waits longer.
const PATIENCE: Duration = Duration::from_secs(20);

/// Asks, and remembers answers for as long as they live.
#[derive(Debug, Clone)]
pub(crate) struct ClientNames {
    /// `/etc/resolv.conf` as it was at the start: later there is no way to the file.
    system: Arc<Resolver>,
    listed: Option<Arc<Resolver>>,
}

impl ClientNames {
    pub(crate) fn new(config: &Config) -> Result<Self, daemon::Error> {
        let system = Resolver::new(&net::Servers::System, Families::Both)?;
        Self { system: Arc::new(system), listed: None }.under(config)
    }

    /// The same with the servers of another configuration.
    pub(crate) fn under(&self, config: &Config) -> Result<Self, daemon::Error> {
        let listed = match &config.remote.resolver {
            Servers::System => None,
            Servers::Servers(addresses) => {
                let servers = net::Servers::Listed(addresses.clone());
                Some(Arc::new(Resolver::new(&servers, Families::Both)?))
            }
        };
        Ok(Self { system: Arc::clone(&self.system), listed })
    }

    /// Could mail to this domain, or to this literal, be answered?
    pub(crate) async fn domain(&self, domain: &str) -> SenderDomain {
        match timeout(PATIENCE, self.resolver().takes_mail(domain)).await {
            Ok(Ok(true)) => SenderDomain::Exists,
            Ok(Ok(false)) => SenderDomain::Unknown,
            Ok(Err(why)) => {
                tracing::warn!("the DNS does not tell of {}: {why}", printable(domain));
                SenderDomain::InDoubt
            }
            Err(_) => {
                tracing::warn!("the DNS does not tell of {} in time", printable(domain));
                SenderDomain::InDoubt
            }
        }
    }

    pub(crate) fn resolver(&self) -> &Resolver {
        self.listed.as_ref().unwrap_or(&self.system)
    }

    pub(crate) async fn of(&self, address: IpAddr) -> ClientName {
        match timeout(PATIENCE, self.resolver().confirmed_name(address)).await {
            Ok(Ok(Some(name))) => ClientName::Confirmed(name),
            Ok(Ok(None)) => ClientName::None,
            Ok(Err(why)) => {
                tracing::warn!("the DNS does not tell the name of {address}: {why}");
                ClientName::Unknown
            }
            Err(_) => {
                tracing::warn!("the DNS does not tell the name of {address} in time");
                ClientName::Unknown
            }
        }
    }
}
