//! What `policyd` would say, by the files as they are on disk.

use std::net::IpAddr;
use std::time::Duration;

use config::{Config, Role};
use envelope::{Address, Detail, Enhanced, Heard};
use net::{Families, Inquiry};
use nix::unistd::User;
use policy::{
    Account, Asked, Client, ClientName, Policy, Ruling, SenderDomain, Sending, Step, Terms,
    Verdict, conclude,
};
use smtp::server::Question;
use tables::Users;
use tokio::time::timeout;

use super::policy;
use crate::Failure;
use crate::control::wait;
use crate::dns::resolver;
use crate::routes::users;

/// How long another host may take to say whether it knows a recipient.
const PATIENCE: Duration = Duration::from_secs(20);

/// Everything that decides, and the client.
pub(super) struct Desk<'a> {
    config: &'a Config,
    policy: Policy,
    users: Users,
    client: Option<IpAddr>,
    pub(super) name: ClientName,
}

/// The decision on one recipient.
pub(super) struct Decision {
    pub(super) steps: Vec<Step>,
    pub(super) verdict: Verdict,
}

impl<'a> Desk<'a> {
    pub(super) fn open(config: &'a Config, client: Option<IpAddr>) -> Result<Self, Failure> {
        let (policy, users) = (policy(config)?, users(config)?);
        let name = match client {
            Some(address) if policy.asks_for_names() || policy.greets_by_name() => {
                wait(name_of(config, address.to_canonical()))?
            }
            Some(_) | None => ClientName::NotAsked,
        };
        Ok(Self { config, policy, users, client, name })
    }

    /// On what terms the client is served, and by which lines.
    pub(super) fn terms(&self, steps: &mut Vec<Step>) -> Option<Terms> {
        self.client.map(|address| self.policy.terms(address, &self.name, steps))
    }

    /// One decision for each recipient. `helo`: what the client called itself; empty: not known.
    pub(super) fn decide(&self, helo: &str, question: &Question) -> Result<Vec<Decision>, Failure> {
        let asked = Sending {
            client: match self.client {
                Some(address) => Client::Network { address, name: &self.name },
                None => Client::User,
            },
            helo,
            reverse_path: &question.reverse_path,
            unqualified: question.unqualified,
            domain: SenderDomain::NotAsked,
            aliasing: question.aliasing,
        };
        let domain = match self.policy.asks_for_domain(&asked) {
            Some(from) => wait(domain(self.config, &from.domain_key()))?,
            None => SenderDomain::NotAsked,
        };
        let sending = Sending { domain, ..asked };
        question.recipients.iter().map(|recipient| self.one(&sending, recipient)).collect()
    }

    fn one(&self, sending: &Sending<'_>, recipient: &Address) -> Result<Decision, Failure> {
        let mut steps = Vec::new();
        let verdict = match self.policy.recipient(sending, recipient, &mut steps) {
            Ruling::Decided(verdict) => verdict,
            Ruling::Depends { user, then } => {
                let catches_all = self.config.local.catch_all.is_some();
                let account = self.account(&user).caught(catches_all);
                conclude(recipient, account, then, &mut steps)
            }
            Ruling::Asks(asked) => {
                let heard = wait(heard(self.config, &asked))?;
                asked.conclude(recipient, &heard, &mut steps)
            }
        };
        Ok(Decision { steps: each_once(steps), verdict })
    }

    /// As `policyd` looks users up.
    fn account(&self, name: &str) -> Account {
        if self.config.rooted {
            return if self.users.contains(name) { Account::Exists } else { Account::Unknown };
        }
        let minimum = self.config.local.minimum_uid;
        let has_mailbox =
            |user: &User| user.name == name && (user.uid.is_root() || user.uid.as_raw() >= minimum);
        match User::from_name(name) {
            Ok(Some(user)) if has_mailbox(&user) => Account::Exists,
            Ok(_) => Account::Unknown,
            Err(_) => Account::Unavailable,
        }
    }
}

/// A line that lets a client relay is asked again as a rule, and has been told.
fn each_once(steps: Vec<Step>) -> Vec<Step> {
    steps.into_iter().fold(Vec::new(), |mut told, step| {
        if !told.contains(&step) {
            told.push(step);
        }
        told
    })
}

/// As `policyd` asks, without its memory.
async fn heard(config: &Config, asked: &Asked) -> Result<Heard, Failure> {
    let resolver = resolver(config, Families::Both)?;
    let ourselves = config.ourselves(&[Role::Mx, Role::Submission]);
    let mut inquiry = Inquiry::new(&resolver, &ourselves);
    let heard = timeout(PATIENCE, inquiry.ask(&asked.hop, &asked.address)).await;
    let silence = || Detail::ours(Enhanced::NO_ANSWER, "no answer in time");
    Ok(heard.unwrap_or_else(|_| Heard::Unclear(silence())))
}

async fn domain(config: &Config, domain: &str) -> Result<SenderDomain, Failure> {
    Ok(match resolver(config, Families::Both)?.takes_mail(domain).await {
        Ok(true) => SenderDomain::Exists,
        Ok(false) => SenderDomain::Unknown,
        Err(_) => SenderDomain::InDoubt,
    })
}

async fn name_of(config: &Config, address: IpAddr) -> Result<ClientName, Failure> {
    Ok(match resolver(config, Families::Both)?.confirmed_name(address).await {
        Ok(Some(name)) => ClientName::Confirmed(name),
        Ok(None) => ClientName::None,
        Err(_) => ClientName::Unknown,
    })
}
