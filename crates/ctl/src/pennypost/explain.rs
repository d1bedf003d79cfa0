//! `pennypost explain`: what would be answered to a client, and by which lines.
//!
//! **Invariant:** it is the policy that `policyd` asks, read from the files as they are on disk.

use std::io::{self, Write};
use std::net::IpAddr;
use std::time::Duration;

use clap::Args;
use config::{Config, OnDisk, Resolver as Servers};
use envelope::{Address, Detail, Disposition, Enhanced, Heard, ReversePath};
use net::{Families, Inquiry, Ourselves, Resolver};
use nix::unistd::User;
use policy::{
    Account, Asked, Client, ClientName, Policy, Ruling, SenderDomain, Sending, Step, Verdict,
    conclude,
};
use serde_json::json;
use tables::Users;
use tokio::time::timeout;

use crate::control::wait;
use crate::listing::json_line;
use crate::routes::{unreadable, users};
use crate::site::Site;
use crate::{Exit, Failure};

/// Show how a client would be answered, and by which lines
///
/// Runs the policy dry on the files as they are on disk: each rule that has a part in the answer with
/// its file and line, and the reply. Nothing is sent, nothing is remembered. The exit code is 0 when
/// every recipient is accepted, 77 otherwise.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  pennypost explain --client 192.0.2.7 --from spammer@example.net --to alice@example.org
  pennypost explain --to alice@example.org       from a user of this machine
  pennypost explain --client ::1 --to a@example.org --to b@example.net --json")]
pub(super) struct Explain {
    /// The address of the client [default: a user of this machine]
    #[arg(long, value_name = "IP")]
    client: Option<IpAddr>,
    /// What the client calls itself [default: not looked at]
    #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true)]
    helo: String,
    /// The reverse-path [default: none, as in a bounce]
    #[arg(long, value_name = "ADDRESS")]
    from: Option<Address>,
    /// A recipient; may be given several times
    #[arg(long, value_name = "ADDRESS", required = true)]
    to: Vec<Address>,
    /// One JSON object for each recipient
    #[arg(long)]
    json: bool,
}

/// How long another host may take to say whether it knows a recipient.
const PATIENCE: Duration = Duration::from_secs(20);

/// What is told of one recipient.
struct Explained {
    steps: Vec<Step>,
    verdict: Verdict,
}

impl Explain {
    pub(super) fn run(self, site: &Site) -> Result<Exit, Failure> {
        let config =
            config::load(site.root(), None).map_err(|report| Failure::new(Exit::Config, report.to_string()))?;
        let policy = policy(&config)?;
        let users = users(&config)?;
        let name = match self.client {
            Some(address) if policy.asks_for_names() || policy.greets_by_name() => {
                wait(name_of(&config, address.to_canonical()))?
            }
            Some(_) | None => ClientName::NotAsked,
        };
        let client = match self.client {
            Some(address) => Client::Network { address, name: &name },
            None => Client::User,
        };
        let reverse_path = ReversePath(self.from.clone());
        let asked = Sending {
            client,
            helo: &self.helo,
            reverse_path: &reverse_path,
            unqualified: false,
            domain: SenderDomain::NotAsked,
        };
        let domain = match policy.asks_for_domain(&asked) {
            Some(from) => wait(domain(&config, &from.domain_key()))?,
            None => SenderDomain::NotAsked,
        };
        let sending = Sending { domain, ..asked };
        let mut out = io::stdout().lock();
        self.introduce(&name, &mut out)?;
        self.greet(&policy, &name, &mut out)?;
        let mut all_accepted = true;
        for recipient in &self.to {
            let catches_all = config.local.catch_all.is_some();
            let account = |user: &str| account(user, &users, &config).caught(catches_all);
            let ask = |asked: &Asked| wait(heard(&config, asked));
            let explained = explain(&policy, &sending, recipient, account, ask)?;
            all_accepted &= matches!(explained.verdict, Verdict::Accept(_));
            self.show(recipient, &explained, &mut out)?;
        }
        Ok(if all_accepted { Exit::Ok } else { Exit::NoPerm })
    }

    fn introduce(&self, name: &ClientName, out: &mut impl Write) -> io::Result<()> {
        if self.json {
            return Ok(());
        }
        match self.client {
            None => writeln!(out, "a user of this machine"),
            Some(address) => writeln!(
                out,
                "client {address}{}",
                match name {
                    ClientName::Confirmed(name) => format!(" ({})", envelope::printable(name)),
                    ClientName::None => " (its name is not confirmed)".to_owned(),
                    ClientName::Unknown => " (the DNS does not tell its name)".to_owned(),
                    ClientName::NotAsked => String::new(),
                }
            ),
        }
    }

    /// On what terms the client is served, if the access table says anything of that.
    fn greet(&self, policy: &Policy, name: &ClientName, out: &mut impl Write) -> io::Result<()> {
        let Some(address) = self.client.filter(|_| !self.json) else { return Ok(()) };
        let mut steps = Vec::new();
        let terms = policy.terms(address, name, &mut steps);
        for step in &steps {
            writeln!(out, "  {step}")?;
        }
        if steps.is_empty() { Ok(()) } else { writeln!(out, "  = {terms}") }
    }

    fn show(&self, to: &Address, explained: &Explained, out: &mut impl Write) -> io::Result<()> {
        let Explained { steps, verdict } = explained;
        let (code, reply, fate) = match verdict {
            Verdict::Accept(disposition) => (250, "2.1.5 Recipient ok", fate(disposition)),
            Verdict::Refuse { code, text } => (*code, text.as_str(), None),
        };
        if self.json {
            let steps: Vec<_> = steps.iter().map(ToString::to_string).collect();
            let to = to.to_string();
            let object =
                json!({ "to": to, "steps": steps, "code": code, "reply": reply, "fate": fate });
            return json_line(&object, out);
        }
        writeln!(out, "to {}", envelope::printable(&to.to_string()))?;
        for step in steps {
            writeln!(out, "  {step}")?;
        }
        writeln!(out, "  = {code} {}", envelope::printable(reply))?;
        fate.map_or(Ok(()), |fate| writeln!(out, "    and then {}", envelope::printable(&fate)))
    }
}

/// What becomes of an accepted recipient, if it is not delivered to.
fn fate(disposition: &Disposition) -> Option<String> {
    match disposition {
        Disposition::Deliver => None,
        Disposition::Quarantine(reason) => Some(format!("the message is held: {reason}")),
        Disposition::Discard => Some("the message is discarded".to_owned()),
        Disposition::Omit => Some("it is discarded for this recipient".to_owned()),
    }
}

fn explain(
    policy: &Policy,
    sending: &Sending<'_>,
    recipient: &Address,
    account: impl FnOnce(&str) -> Account,
    ask: impl FnOnce(&Asked) -> Result<Heard, Failure>,
) -> Result<Explained, Failure> {
    let mut steps = Vec::new();
    let verdict = match policy.recipient(sending, recipient, &mut steps) {
        Ruling::Decided(verdict) => verdict,
        Ruling::Depends { user, then } => conclude(recipient, account(&user), then, &mut steps),
        Ruling::Asks(asked) => asked.conclude(recipient, &ask(&asked)?, &mut steps),
    };
    Ok(Explained { steps, verdict })
}

/// As `policyd` asks, without its memory.
async fn heard(config: &Config, asked: &Asked) -> Result<Heard, Failure> {
    let resolver = resolver(config)?;
    let listeners = config.listeners.iter();
    let ourselves = Ourselves {
        hostname: config.hostname.clone(),
        addresses: config.addresses.clone(),
        listeners: listeners.flat_map(|it| it.addresses.iter().copied()).collect(),
        root: config.paths.root.clone(),
        try_null_mx: config.remote.try_null_mx,
    };
    let mut inquiry = Inquiry::new(&resolver, &ourselves);
    let heard = timeout(PATIENCE, inquiry.ask(&asked.hop, &asked.address)).await;
    let silence = || Detail::ours(Enhanced::NO_ANSWER, "no answer in time");
    Ok(heard.unwrap_or_else(|_| Heard::Unclear(silence())))
}

/// The policy of the files as they are on disk.
pub(crate) fn policy(config: &Config) -> Result<Policy, Failure> {
    let tables = OnDisk(config);
    let policy = Policy::read(config.routing(), config.judging(), &tables);
    policy.map_err(|it| unreadable(&it))
}

async fn domain(config: &Config, domain: &str) -> Result<SenderDomain, Failure> {
    Ok(match resolver(config)?.takes_mail(domain).await {
        Ok(true) => SenderDomain::Exists,
        Ok(false) => SenderDomain::Unknown,
        Err(_) => SenderDomain::InDoubt,
    })
}

async fn name_of(config: &Config, address: IpAddr) -> Result<ClientName, Failure> {
    Ok(match resolver(config)?.confirmed_name(address).await {
        Ok(Some(name)) => ClientName::Confirmed(name),
        Ok(None) => ClientName::None,
        Err(_) => ClientName::Unknown,
    })
}

fn resolver(config: &Config) -> Result<Resolver, Failure> {
    let servers = match &config.remote.resolver {
        Servers::System => net::Servers::System,
        Servers::Servers(addresses) => net::Servers::Listed(addresses.clone()),
    };
    Resolver::new(&servers, Families::Both).map_err(|error| Failure::new(Exit::Config, error))
}

/// As `policyd` looks users up.
fn account(name: &str, users: &Users, config: &Config) -> Account {
    if config.rooted {
        return if users.contains(name) { Account::Exists } else { Account::Unknown };
    }
    let minimum = config.local.minimum_uid;
    let has_mailbox =
        |user: &User| user.name == name && (user.uid.is_root() || user.uid.as_raw() >= minimum);
    match User::from_name(name) {
        Ok(Some(user)) if has_mailbox(&user) => Account::Exists,
        Ok(_) => Account::Unknown,
        Err(_) => Account::Unavailable,
    }
}
