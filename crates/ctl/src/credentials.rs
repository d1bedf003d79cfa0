//! With which credentials mail would go. They are shown, and used nowhere yet: without TLS they are
//! never sent.
//!
//! **Invariant:** no secret is shown: [`tables::Credentials`] mask it.

use std::net::IpAddr;
use std::time::Duration;

use config::{Config, OnDisk};
use envelope::{Host, NextHop, Ourselves, Protocol, Server};
use net::{Families, Place, Resolver, Route, Servers};
use tables::{Authinfo, Finding, SECRET, Source, Step};

use crate::control::wait;
use crate::{Exit, Failure};

/// How long the DNS has to tell which servers there are.
const PATIENCE: Duration = Duration::from_secs(10);

/// The table `authinfo`, or why it cannot be read.
#[derive(Debug)]
pub(crate) struct Keyring<'a> {
    config: &'a Config,
    authinfo: Result<Authinfo, Finding>,
}

impl<'a> Keyring<'a> {
    pub(crate) fn read(config: &'a Config) -> Self {
        let authinfo = OnDisk(config).table(SECRET, |file, source| Authinfo::read(file, source));
        Self { config, authinfo }
    }

    /// What each server of a next hop would be shown, by which line.
    pub(crate) fn of(&self, hop: &NextHop) -> Vec<Step> {
        let authinfo = match (&self.authinfo, hop.protocol) {
            (_, Protocol::Lmtp) => return Vec::new(),
            (Ok(authinfo), Protocol::Smtp) => authinfo,
            (Err(finding), Protocol::Smtp) => return vec![Step::by(SECRET, finding.text.as_str())],
        };
        if authinfo.entries().next().is_none() {
            return Vec::new();
        }
        let mut steps: Vec<Step> = Vec::new();
        for server in hop.servers() {
            steps.extend(self.of_server(authinfo, server));
        }
        steps
    }

    fn of_server(&self, authinfo: &Authinfo, server: &Server) -> Vec<Step> {
        let only_default = authinfo.entries().all(|(server, _)| server.is_empty());
        let named = match &server.host {
            // Its name says it all.
            Host::Exact(name) => authinfo.named(name),
            Host::Domain(_) | Host::Socket(_) => None,
        };
        let default = || authinfo.find("", None).filter(|_| only_default);
        if let Some((credentials, place)) = named.or_else(default) {
            return vec![Step::at(&place, unused(&server.to_string(), &credentials))];
        }
        match wait(self.hosts(server)) {
            Err(failure) => {
                let text = format!("the hosts of {server} are not known: {}", failure.text);
                vec![Step::by(SECRET, text)]
            }
            Ok(hosts) => {
                let found = hosts.iter().filter_map(|(name, address)| {
                    let (credentials, place) = authinfo.find(name, *address)?;
                    Some(Step::at(&place, unused(name, &credentials)))
                });
                let mut steps: Vec<_> = found.collect();
                steps.dedup();
                steps
            }
        }
    }

    /// The hosts of a server with their addresses.
    async fn hosts(&self, server: &Server) -> Result<Vec<(String, Option<IpAddr>)>, Failure> {
        let hop = NextHop::from(server.clone());
        let unknown = |why: String| Failure::new(Exit::NoHost, why);
        let servers = match &self.config.remote.resolver {
            config::Resolver::System => Servers::System,
            config::Resolver::Servers(addresses) => Servers::Listed(addresses.clone()),
        };
        let resolver = Resolver::new(&servers, Families::Both).map_err(unknown)?;
        // Whoever asks for himself is no server of ours, either.
        let ourselves = Ourselves::default();
        let hosts = async {
            let mut route = Route::find(&resolver, &ourselves, &hop).await?;
            let mut hosts = Vec::new();
            while let Some(target) = route.next().await {
                let address = match target.place {
                    Place::Address(address) => Some(address.ip()),
                    Place::Socket(_) => None,
                };
                hosts.push((target.host, address));
            }
            if hosts.is_empty() { Err(route.trouble()) } else { Ok(hosts) }
        };
        let found = tokio::time::timeout(PATIENCE, hosts).await;
        let found = found.map_err(|_| unknown("the DNS does not answer".to_owned()))?;
        found.map_err(|status| unknown(status.detail().text.clone()))
    }
}

fn unused(server: &str, credentials: &tables::Credentials) -> String {
    format!("for {server}: {credentials}; not used yet, and never without TLS")
}
