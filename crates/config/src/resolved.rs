//! The configuration as the daemons see it: whole, checked, paths absolute.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use envelope::{NextHop, Ourselves};
use ipnet::IpNet;
use policy::Rule;
use routing::{Masquerade, Relays, Settings};
use serde::{Deserialize, Serialize};
use tables::Mailertable;

use crate::Sources;

/// Everything an administrator can say, with defaults filled in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Config {
    /// The name of this host in greetings and headers, `$j`. Lower case.
    pub hostname: String,
    pub paths: Paths,
    pub listeners: Vec<Listener>,
    pub relay: Relay,
    pub masquerade: Masquerade,
    pub local: Local,
    pub limits: Limits,
    pub queue: Queue,
    pub remote: Remote,
    pub policy: Policy,
    /// User names and `@groups` that may control the MTA and see all mail.
    pub admins: Vec<String>,
    pub log: Log,
    pub mailq_format: MailqFormat,
    /// The addresses of this machine's interfaces, loopback aside: mail for these literals is local.
    pub addresses: Vec<IpAddr>,
    /// The MTA runs under `--root`: no uid changes, local users are those of the `users` table.
    pub rooted: bool,
}

impl Config {
    /// What it says about routes.
    #[must_use]
    pub fn routing(&self) -> Settings {
        Settings {
            hostname: self.hostname.clone(),
            addresses: self.addresses.clone(),
            relays: Relays {
                smarthost: self.relay.smarthost.clone(),
                fallback: self.relay.fallback.clone(),
                null_client: self.relay.null_client.clone(),
                hub: self.local.hub.clone(),
                hub_except: self.local.hub_except.clone(),
            },
            store: self.local.mailbox.store().cloned(),
            detail: self.local.detail.clone(),
        }
    }

    /// The Unix sockets of LMTP servers to which mail goes.
    #[must_use]
    pub fn sockets(&self, mailertable: &Mailertable) -> Vec<PathBuf> {
        let store = self.local.mailbox.store().and_then(NextHop::socket).cloned();
        let paths = store.into_iter().chain(mailertable.sockets());
        paths.map(|path| self.paths.root.join(path.trim_start_matches('/'))).collect()
    }

    /// Who we are to one who is not to come back to listeners of these roles.
    #[must_use]
    pub fn ourselves(&self, roles: &[Role]) -> Ourselves {
        let listeners = self.listeners.iter().filter(|listener| roles.contains(&listener.role));
        Ourselves {
            hostname: self.hostname.clone(),
            addresses: self.addresses.clone(),
            listeners: listeners.flat_map(|it| it.addresses.iter().copied()).collect(),
            root: self.paths.root.clone(),
            try_null_mx: self.remote.try_null_mx,
        }
    }

    /// What it says about who may send what to whom.
    #[must_use]
    pub fn judging(&self) -> policy::Settings {
        policy::Settings {
            networks: self.relay.networks.clone(),
            verify: self.relay.verify_recipients,
            rules: self.policy.rules.clone(),
            accept_unqualified_senders: self.policy.accept_unqualified_senders,
        }
    }

    /// What of the file means something else than in `other`: keys and tables, `[limits]`.
    #[must_use]
    pub fn differences(&self, other: &Self) -> Vec<&'static str> {
        // All of them: what is added here must be told, too.
        let Self {
            hostname,
            paths,
            listeners,
            relay,
            masquerade,
            local,
            limits,
            queue,
            remote,
            policy,
            admins,
            log,
            mailq_format,
            addresses,
            rooted,
        } = self;
        let parts = [
            ("hostname", *hostname != other.hostname),
            ("[tables]", *paths != other.paths),
            ("[[listener]]", *listeners != other.listeners),
            ("[relay]", *relay != other.relay),
            ("[masquerade]", *masquerade != other.masquerade),
            ("[local]", *local != other.local),
            ("[limits]", *limits != other.limits),
            ("[queue]", *queue != other.queue),
            ("[remote]", *remote != other.remote),
            ("[policy]", *policy != other.policy),
            ("control.admins", *admins != other.admins),
            ("[log]", *log != other.log),
            ("mailq_format", *mailq_format != other.mailq_format),
            ("the addresses of this machine", *addresses != other.addresses),
            ("--root", *rooted != other.rooted),
        ];
        parts.into_iter().filter_map(|(name, differs)| differs.then_some(name)).collect()
    }
}

/// Where things are; below the root under `--root`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Paths {
    /// What `--root` said, or `/`.
    pub root: PathBuf,
    /// The configuration file, for messages.
    pub file: PathBuf,
    /// `/etc/mail`: the table files.
    pub tables: PathBuf,
    /// Of tables that are read from elsewhere, or from several files.
    pub sources: Sources,
    /// `/var/spool/pennypost/queue`: redb file, reserve and `content/`; `qmgr` alone.
    pub queue: PathBuf,
    /// `/var/spool/pennypost/drop`: mode 3733.
    pub drop: PathBuf,
    /// `/run/pennypost`: the sockets `submit` and `control`, the file `ready`.
    pub run: PathBuf,
}

/// What a listener's clients are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Role {
    /// Other mail systems, port 25.
    Mx,
    /// Users and programs.
    Submission,
}

impl fmt::Display for Role {
    /// As the configuration names it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Mx => "mx",
            Self::Submission => "submission",
        })
    }
}

/// One `[[listener]]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listener {
    pub role: Role,
    pub addresses: Vec<SocketAddr>,
}

/// Who may send mail to other systems, and which way it goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Relay {
    /// Clients that may relay without AUTH.
    pub networks: Vec<IpNet>,
    /// Where all mail for other systems goes; mailertable wins.
    pub smarthost: Option<NextHop>,
    /// Asked after the hosts of a domain.
    pub fallback: Option<NextHop>,
    /// Where all mail goes, that for local names too.
    pub null_client: Option<NextHop>,
    /// A recipient of a domain for which mail is relayed must be known to its next hop.
    pub verify_recipients: bool,
}

impl Relay {
    /// May this client relay because of its address?
    #[must_use]
    pub fn trusts(&self, client: IpAddr) -> bool {
        let client = client.to_canonical();
        self.networks.iter().any(|network| network.contains(&client))
    }
}

/// How local mail is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Local {
    pub mailbox: Mailbox,
    /// Separates user and detail, `user+detail`; empty: nothing does.
    pub detail: String,
    /// Files of a user that say where mail goes instead; the first that is there. `{user}`, `{home}`
    /// and `{detail}` stand in the text.
    pub forward: Vec<String>,
    /// The only directory from which programs of aliases and `.forward` run.
    pub programs: PathBuf,
    /// Who gets the mail of unknown users; `None`: they are refused.
    pub catch_all: Option<CatchAll>,
    /// Runs what has no user of its own: mail for root without an alias, programs of aliases.
    pub default_user: String,
    /// Where the mail of local names without an alias goes.
    pub hub: Option<NextHop>,
    /// Local names whose mail stays here all the same.
    pub hub_except: Vec<String>,
    /// System accounts from this uid on have a mailbox; root always has.
    pub minimum_uid: u32,
}

/// `local.mailbox`. `{user}`, `{home}` and `{detail}` stand in the text until delivery.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mailbox {
    /// `mbox:/var/mail/{user}`
    Mbox(String),
    /// `maildir:{home}/Maildir`
    Maildir(String),
    /// `command:procmail -t -Y -a {detail} -d {user}`: argv, run without a shell.
    Command(Vec<String>),
    /// `lmtp:unix:/run/dovecot/lmtp`, `lmtp:inet:127.0.0.1:24`: another program has the mailboxes, and
    /// knows whose there are.
    Lmtp(NextHop),
}

impl Mailbox {
    /// The LMTP server.
    #[must_use]
    pub const fn store(&self) -> Option<&NextHop> {
        match self {
            Self::Lmtp(store) => Some(store),
            Self::Mbox(_) | Self::Maildir(_) | Self::Command(_) => None,
        }
    }
}

/// `local.catch_all`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum CatchAll {
    /// A user, an alias or an address.
    To(String),
    /// It goes there as it is addressed.
    Host(NextHop),
}

/// `[limits]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Bytes of content. RFC 5321 §4.5.3.1.7 asks for 64 KiB at least.
    pub message_size: u64,
    /// Recipients of one transaction. RFC 5321 §4.5.3.1.8 asks for 100 at least.
    pub recipients: usize,
    /// Sessions of each role at a time.
    pub sessions: usize,
    /// Sessions of one client address at a time; loopback and `relay.networks` are exempt.
    pub sessions_per_client: usize,
    /// Connections of one client address in a minute, with the same exemptions.
    pub connections_per_minute: usize,
    /// 5xx replies after which a session is ended.
    pub commands_in_error: usize,
    /// `Received` fields after which a message is a loop. RFC 5321 §6.3 asks for 100 at least.
    pub hops: usize,
}

/// `[queue]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Queue {
    /// How long a message is tried.
    pub lifetime: Duration,
    /// The same for a bounce.
    pub bounce_lifetime: Duration,
    /// When the reverse-path is told of a delay; `None`: never.
    pub delay_warning: Option<Duration>,
    /// Between the first and the second attempt; then it doubles.
    pub first_retry: Duration,
    /// The most that it grows to.
    pub max_retry: Duration,
    /// Bytes of free disk below which nothing is accepted (452 4.3.1).
    pub min_free_space: u64,
    /// How long a dead host is left alone.
    pub host_status: Duration,
    /// The load average from which on mail waits in the queue, large mail first.
    pub queue_only_load: f64,
    /// The load average from which on strangers are sent away.
    pub refuse_load: f64,
}

/// `[remote]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remote {
    /// Attempts under way to one next hop at a time.
    pub concurrency: usize,
    /// Attempts under way to all next hops.
    pub connections: usize,
    pub families: Families,
    pub resolver: Resolver,
    /// How long a connection is kept for the next message.
    pub idle: Duration,
    /// A domain whose best MX is this host, though it is not local, has its own address asked.
    pub try_null_mx: bool,
}

/// `[policy]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// Asked in this order after the relay decision, which is not a rule; the first that decides
    /// does.
    pub rules: Vec<Rule>,
    /// Other systems may leave the domain of a reverse-path out.
    pub accept_unqualified_senders: bool,
}

/// How `mailq` prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum MailqFormat {
    Sendmail,
    Postfix,
}

/// `remote.families`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Families {
    Ipv4,
    Ipv6,
    Auto,
}

/// `remote.resolver`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Resolver {
    /// `/etc/resolv.conf`
    System,
    Servers(Vec<SocketAddr>),
}

/// Where the lines of the log go, and what they look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Log {
    pub target: LogTarget,
    pub format: LogFormat,
}

/// `log.format`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum LogFormat {
    Text,
    /// An object a line.
    Json,
    /// As sendmail's: programs that read its log find every line under its name.
    Sendmail,
}

/// `log.target`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum LogTarget {
    /// Lines for journald on stderr: no time stamp, a `<priority>` in front.
    Journal,
    /// Lines for a person on stderr.
    Stderr,
}
