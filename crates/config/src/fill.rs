//! Fills in the configuration: what the file says, or else the default.

mod host;
mod listeners;
mod local;
mod masquerade;

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use envelope::NextHop;
use policy::Rule;
use toml::de::DeTable;

use crate::reader::{Reader, Value};
use crate::sources::sources;
use crate::{
    Config, Families, Limits, Log, LogFormat, LogTarget, MailqFormat, Paths, Policy, Queue, Relay,
    Remote, Resolver,
};
use host::{hostname, machine_name, own_addresses, processors};
use listeners::listeners;
use local::local;
use masquerade::masquerade;

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// One table of the file, to take values from.
struct Section<'a, 'r> {
    reader: &'r mut Reader,
    table: Option<&'a DeTable<'a>>,
}

impl<'a, 'r> Section<'a, 'r> {
    fn of(reader: &'r mut Reader, file: &'a DeTable<'a>, name: &str) -> Self {
        Self { reader, table: file.get(name).and_then(|value| value.get_ref().as_table()) }
    }

    /// What `read` makes of the value of `key`, or `default`.
    fn get<T>(
        &mut self,
        key: &str,
        default: T,
        read: impl FnOnce(&mut Reader, &'a Value<'a>) -> Option<T>,
    ) -> T {
        let value = self.table.and_then(|table| table.get(key));
        value.and_then(|value| read(self.reader, value)).unwrap_or(default)
    }

    fn duration(&mut self, key: &str, default: u64) -> Duration {
        self.get(key, Duration::from_secs(default), Reader::duration)
    }

    /// A load average; 0, or none: so much for each processor.
    fn load(&mut self, key: &str, each: f64) -> f64 {
        match self.get(key, 0.0, Reader::load) {
            0.0 => each * f64::from(processors()),
            stated => stated,
        }
    }

    fn count(&mut self, key: &str, default: usize, least: u32, why: &str) -> usize {
        self.get(key, default, |reader, value| {
            reader.number(value, least, why).and_then(|number| usize::try_from(number).ok())
        })
    }
}

pub(crate) fn config<'a>(
    reader: &mut Reader,
    file: &'a DeTable<'a>,
    root: Option<&Path>,
    path: &Path,
) -> Config {
    let below = root.unwrap_or(Path::new("/"));
    let stated = file.contains_key("hostname");
    let hostname = Section { reader, table: Some(file) }.get("hostname", None, hostname);
    let hostname = hostname.or_else(|| machine_name().filter(|_| !stated));
    if hostname.is_none() && !stated {
        let problem = "`hostname` is missing, and this machine has no full name of its own";
        reader.find(0..0, problem, "write hostname = \"mail.example.org\" as the first line");
    }
    let mailq_format = mailq_format(&mut Section { reader, table: Some(file) });
    let paths = paths(&mut Section::of(reader, file, "tables"), below, path);
    let relay = relay(&mut Section::of(reader, file, "relay"));
    Config {
        hostname: hostname.unwrap_or_default(),
        masquerade: masquerade(&mut Section::of(reader, file, "masquerade"), &relay),
        relay,
        local: local(&mut Section::of(reader, file, "local"), root, &paths.tables),
        paths,
        limits: limits(&mut Section::of(reader, file, "limits")),
        queue: queue(&mut Section::of(reader, file, "queue")),
        remote: remote(&mut Section::of(reader, file, "remote")),
        policy: policy(&mut Section::of(reader, file, "policy")),
        admins: Section::of(reader, file, "control").get(
            "admins",
            vec!["root".to_owned()],
            |reader, value| reader.list(value, |name| Some(name.to_owned()), "", ""),
        ),
        log: log(&mut Section::of(reader, file, "log"), root.is_some()),
        mailq_format,
        listeners: listeners(reader, file),
        addresses: own_addresses(),
        rooted: root.is_some(),
    }
}

fn mailq_format(section: &mut Section<'_, '_>) -> MailqFormat {
    section.get("mailq_format", MailqFormat::Sendmail, |reader, value| {
        let read = |text: &str| match text {
            "sendmail" => Some(MailqFormat::Sendmail),
            "postfix" => Some(MailqFormat::Postfix),
            _ => None,
        };
        let problem = "the formats are \"sendmail\" and \"postfix\"";
        reader.parsed(value, read, problem, "write what your scripts read")
    })
}

/// A path of the file, which lies below the root if it is absolute.
fn below(root: &Path, path: &str) -> PathBuf {
    root.join(path.strip_prefix('/').unwrap_or(path))
}

fn paths(section: &mut Section<'_, '_>, root: &Path, file: &Path) -> Paths {
    let tables = section.get("directory", below(root, "etc/mail"), |reader, value| {
        let absolute = |path: &str| path.starts_with('/').then(|| below(root, path));
        reader.parsed(value, absolute, "this path is not absolute", "begin it with /")
    });
    let place = |path: &str| below(root, path);
    let sources = sources(section.reader, section.table, &tables, place);
    Paths {
        root: root.to_owned(),
        file: file.to_owned(),
        tables,
        sources,
        queue: below(root, "var/spool/pennypost/queue"),
        drop: below(root, "var/spool/pennypost/drop"),
        run: below(root, "run/pennypost"),
    }
}

fn relay(section: &mut Section<'_, '_>) -> Relay {
    let loopback = ["127.0.0.0/8", "::1/128"].iter().filter_map(|net| net.parse().ok()).collect();
    Relay {
        networks: section.get("networks", loopback, |reader, value| {
            let remedy = "write \"192.0.2.0/24\", \"[2001:db8::]/32\" or one address";
            reader.list(value, network, "this is not a network", remedy)
        }),
        smarthost: section.get("smarthost", None, hop),
        fallback: section.get("fallback", None, hop),
        null_client: section.get("null_client", None, hop),
        verify_recipients: section.get("verify_recipients", true, Reader::switch),
    }
}

/// A host, or several to be tried in order; empty: none.
fn hop(reader: &mut Reader, value: &Value<'_>) -> Option<Option<NextHop>> {
    let read = |text: &str| match text {
        "" => Some(None),
        text => NextHop::parse(text).map(Some),
    };
    let remedy = "write \"[smtp.example.net]:587\" for that host, \"example.net\" for its MX";
    reader.parsed(value, read, "this is not a host", remedy)
}

/// `192.0.2.0/24`, `[2001:db8::]/32`, `2001:db8::/32`, or one address.
fn network(text: &str) -> Option<ipnet::IpNet> {
    let plain: String = text.chars().filter(|c| !"[]".contains(*c)).collect();
    let one = || plain.parse::<IpAddr>().ok().map(ipnet::IpNet::from);
    plain.parse::<ipnet::IpNet>().ok().map(|net| net.trunc()).or_else(one)
}

fn limits(section: &mut Section<'_, '_>) -> Limits {
    const LEAST_SIZE: u64 = 64 << 10;
    let some = "nothing would work with less";
    Limits {
        message_size: section.get("message_size", 50_000_000, |reader, value| {
            let size = reader.size(value)?;
            if size < LEAST_SIZE {
                let why = "RFC 5321 §4.5.3.1.7 asks for 64 KiB";
                reader.find(value.span(), "this is less than 64KiB", why);
            }
            Some(size)
        }),
        recipients: section.count(
            "recipients",
            1000,
            100,
            "RFC 5321 §4.5.3.1.8 asks for 100 recipients",
        ),
        sessions: section.count("sessions", 1000, 1, some),
        sessions_per_client: section.count("sessions_per_client", 50, 1, some),
        connections_per_minute: section.count("connections_per_minute", 600, 1, some),
        commands_in_error: section.count("commands_in_error", 20, 1, some),
        hops: section.count("hops", 100, 25, "RFC 5321 §6.3 asks for about 100 hops"),
    }
}

fn queue(section: &mut Section<'_, '_>) -> Queue {
    let queue = Queue {
        lifetime: section.duration("lifetime", 5 * DAY),
        bounce_lifetime: section.duration("bounce_lifetime", DAY),
        delay_warning: section.get(
            "delay_warning",
            Some(Duration::from_secs(4 * HOUR)),
            |reader, value| match value.get_ref().as_str() {
                Some("never") => Some(None),
                _ => reader.duration(value).map(Some),
            },
        ),
        first_retry: section.get("first_retry", Duration::from_secs(5 * MINUTE), first_retry),
        max_retry: section.duration("max_retry", 4 * HOUR),
        min_free_space: section.get("min_free_space", 100_000_000, Reader::size),
        host_status: section.duration("host_status", 30 * MINUTE),
        queue_only_load: section.load("queue_only_load", 8.0),
        refuse_load: section.load("refuse_load", 12.0),
    };
    let stated = section.table.and_then(|table| table.get("first_retry"));
    if queue.first_retry > queue.max_retry
        && let Some(value) = stated.or_else(|| section.table.and_then(|t| t.get("max_retry")))
    {
        let remedy = "the wait doubles from the first to the second";
        section.reader.find(value.span(), "`first_retry` is longer than `max_retry`", remedy);
    }
    queue
}

/// Without any wait a message would be tried for ever and at once.
fn first_retry(reader: &mut Reader, value: &Value<'_>) -> Option<Duration> {
    let wait = reader.duration(value)?;
    if wait.is_zero() {
        reader.find(value.span(), "a wait is wanted here", "write \"5m\"");
    }
    Some(wait)
}

fn remote(section: &mut Section<'_, '_>) -> Remote {
    let some = "nothing would be delivered with less";
    Remote {
        concurrency: section.count("concurrency", 20, 1, some),
        connections: section.count("connections", 200, 1, some),
        families: section.get("families", Families::Auto, |reader, value| {
            let read = |text: &str| match text {
                "ipv4" => Some(Families::Ipv4),
                "ipv6" => Some(Families::Ipv6),
                "auto" => Some(Families::Auto),
                _ => None,
            };
            let problem = "the families are \"ipv4\", \"ipv6\" or \"auto\"";
            reader.parsed(value, read, problem, "\"auto\" is right nearly always")
        }),
        resolver: section.get("resolver", Resolver::System, |reader, value| {
            if value.get_ref().as_str() == Some("system") {
                return Some(Resolver::System);
            }
            let problem = "this is not a resolver";
            let remedy = "write \"system\" or a list: [\"127.0.0.1:53\", \"[::1]:53\"]";
            reader.list(value, server, problem, remedy).map(Resolver::Servers)
        }),
        idle: section.duration("idle", 5),
        try_null_mx: section.get("try_null_mx", false, Reader::switch),
    }
}

fn policy(section: &mut Section<'_, '_>) -> Policy {
    // As with sendmail: an access table that is there counts, one that is not says nothing, and
    // nobody sends from a domain that is not there.
    let default = vec![Rule::Access, Rule::UnresolvableSender];
    Policy {
        rules: section.get("rules", default, |reader, value| {
            let problem = "this rule is not yet supported";
            let remedy = "write \"access\", \"reject unresolvable_sender\" or \"reject bad_helo\"";
            reader.list(value, rule, problem, remedy)
        }),
        accept_unqualified_senders: section.get(
            "accept_unqualified_senders",
            false,
            Reader::switch,
        ),
    }
}

/// One of `policy.rules`; words are apart by any white space.
fn rule(text: &str) -> Option<Rule> {
    match text.split_ascii_whitespace().collect::<Vec<_>>().as_slice() {
        ["access"] => Some(Rule::Access),
        ["reject", "unresolvable_sender"] => Some(Rule::UnresolvableSender),
        ["reject", "bad_helo"] => Some(Rule::BadHelo),
        _ => None,
    }
}

/// An address with or without a port.
fn server(text: &str) -> Option<SocketAddr> {
    let bare = || text.parse::<IpAddr>().ok().map(|ip| SocketAddr::new(ip, 53));
    text.parse().ok().or_else(bare)
}

fn log(section: &mut Section<'_, '_>, rooted: bool) -> Log {
    let format = section.get("format", LogFormat::Text, |reader, value| {
        let read = |text: &str| match text {
            "text" => Some(LogFormat::Text),
            "json" => Some(LogFormat::Json),
            "sendmail" => Some(LogFormat::Sendmail),
            _ => None,
        };
        let remedy = "write \"text\", \"json\" or \"sendmail\"";
        reader.parsed(value, read, "there is no such format", remedy)
    });
    let default = if rooted { LogTarget::Stderr } else { LogTarget::Journal };
    let target = section.get("target", default, |reader, value| {
        let read = |text: &str| match text {
            "journal" => Some(LogTarget::Journal),
            "stderr" => Some(LogTarget::Stderr),
            _ => None,
        };
        let remedy = "write \"journal\" or \"stderr\"";
        reader.parsed(value, read, "this is not yet supported", remedy)
    });
    Log { target, format }
}
