//! Fills in the configuration: what the file says, or else the default.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use envelope::NextHop;
use toml::de::DeTable;

use crate::reader::{Reader, Value};
use crate::{
    Config, Families, Limits, Listener, Local, LogTarget, Mailbox, Paths, Queue, Relay, Remote,
    Resolver, Role,
};

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
    let hostname = Section { reader, table: Some(file) }.get("hostname", None, hostname);
    let hostname = hostname.or_else(|| {
        let name = machine_name();
        if name.is_none() {
            let problem = "`hostname` is missing, and this machine has no full name of its own";
            reader.find(0..0, problem, "write hostname = \"mail.example.org\" as the first line");
        }
        name
    });
    Config {
        hostname: hostname.unwrap_or_default(),
        paths: paths(&mut Section::of(reader, file, "tables"), below, path),
        relay: relay(&mut Section::of(reader, file, "relay")),
        local: local(&mut Section::of(reader, file, "local"), root),
        limits: limits(&mut Section::of(reader, file, "limits")),
        queue: queue(&mut Section::of(reader, file, "queue")),
        remote: remote(&mut Section::of(reader, file, "remote")),
        admins: Section::of(reader, file, "control").get(
            "admins",
            vec!["root".to_owned()],
            |reader, value| reader.list(value, |name| Some(name.to_owned()), "", ""),
        ),
        log: log(&mut Section::of(reader, file, "log"), root.is_some()),
        listeners: listeners(reader, file),
        addresses: own_addresses(),
        rooted: root.is_some(),
    }
}

fn hostname(reader: &mut Reader, value: &Value<'_>) -> Option<Option<String>> {
    let read = |name: &str| {
        let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
        let fits = envelope::Address::new("x", &name).is_ok() && !name.starts_with('[');
        (fits && name.is_ascii()).then_some(Some(name))
    };
    let remedy = "write the full name of this machine, such as mail.example.org";
    reader.parsed(value, read, "this is not a host name", remedy)
}

/// The machine's name, if it is a full one.
fn machine_name() -> Option<String> {
    let name = nix::unistd::gethostname().ok()?.into_string().ok()?.to_ascii_lowercase();
    let fits = envelope::Address::new("x", &name).is_ok() && !name.starts_with('[');
    fits.then_some(name)
}

/// The addresses of this machine's interfaces.
fn own_addresses() -> Vec<IpAddr> {
    let interfaces = nix::ifaddrs::getifaddrs().into_iter().flatten();
    let address = |interface: nix::ifaddrs::InterfaceAddress| {
        let address = interface.address?;
        let four = address.as_sockaddr_in().map(|four| IpAddr::V4(four.ip()));
        four.or_else(|| address.as_sockaddr_in6().map(|six| IpAddr::V6(six.ip())))
    };
    interfaces.filter_map(address).filter(|address| !address.is_loopback()).collect()
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
    Paths {
        root: root.to_owned(),
        file: file.to_owned(),
        tables,
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
        smarthost: section.get("smarthost", None, |reader, value| {
            let read = |text: &str| match text {
                "" => Some(None),
                text => NextHop::parse(text).map(Some),
            };
            let remedy =
                "write \"[smtp.example.net]:587\" for that host, \"example.net\" for its MX";
            reader.parsed(value, read, "this is not a host", remedy)
        }),
    }
}

/// `192.0.2.0/24`, `[2001:db8::]/32`, `2001:db8::/32`, or one address.
fn network(text: &str) -> Option<ipnet::IpNet> {
    let plain: String = text.chars().filter(|c| !"[]".contains(*c)).collect();
    let one = || plain.parse::<IpAddr>().ok().map(ipnet::IpNet::from);
    plain.parse::<ipnet::IpNet>().ok().map(|net| net.trunc()).or_else(one)
}

fn local(section: &mut Section<'_, '_>, root: Option<&Path>) -> Local {
    let place = |path: &str| match root {
        Some(root) if path.starts_with('/') => below(root, path).display().to_string(),
        _ => path.to_owned(),
    };
    let default = Mailbox::Mbox(place("/var/mail/{user}"));
    Local {
        mailbox: section.get("mailbox", default, |reader, value| {
            if value.get_ref().as_str().is_some_and(|text| text.starts_with("lmtp:")) {
                let remedy = "use maildir:, mbox: or command: for now";
                reader.find(value.span(), "LMTP is not yet supported", remedy);
                return None;
            }
            let remedy = "write \"maildir:{home}/Maildir\", \"mbox:/var/mail/{user}\" or \
                          \"command:procmail -d {user}\"; {user}, {home} and {detail} are filled in";
            reader.parsed(value, |text| mailbox(text, place), "this is not a mailbox", remedy)
        }),
        detail: section.get("detail", "+".to_owned(), |reader, value| {
            let read = |text: &str| (text.len() <= 1 && text.is_ascii()).then(|| text.to_owned());
            reader.parsed(value, read, "the detail is separated by one character", "write \"+\"")
        }),
        default_user: section
            .get("default_user", "nobody".to_owned(), |r, v| r.text(v).map(str::to_owned)),
        minimum_uid: section
            .get("minimum_uid", 1000, |r, v| r.number(v, 1, "root is always known")),
    }
}

fn mailbox(text: &str, place: impl Fn(&str) -> String) -> Option<Mailbox> {
    let (kind, what) = text.split_once(':')?;
    let known = ["{user}", "{home}", "{detail}"];
    let plain = known.iter().fold(what.to_owned(), |text, name| text.replace(name, ""));
    if plain.contains(['{', '}']) {
        return None;
    }
    let path = what.starts_with('/') || what.starts_with("{home}/");
    match kind {
        "mbox" if path => Some(Mailbox::Mbox(place(what))),
        "maildir" if path => Some(Mailbox::Maildir(place(what))),
        "command" => {
            let argv: Vec<_> = what.split_whitespace().map(str::to_owned).collect();
            (!argv.is_empty()).then_some(Mailbox::Command(argv))
        }
        _ => None,
    }
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
        first_retry: section.duration("first_retry", 5 * MINUTE),
        max_retry: section.duration("max_retry", 4 * HOUR),
        min_free_space: section.get("min_free_space", 100_000_000, Reader::size),
        host_status: section.duration("host_status", 30 * MINUTE),
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
    }
}

/// An address with or without a port.
fn server(text: &str) -> Option<SocketAddr> {
    let bare = || text.parse::<IpAddr>().ok().map(|ip| SocketAddr::new(ip, 53));
    text.parse().ok().or_else(bare)
}

fn log(section: &mut Section<'_, '_>, rooted: bool) -> LogTarget {
    section.get("format", (), |reader, value| {
        let read = |text: &str| (text == "text").then_some(());
        let problem = "only \"text\" is supported yet";
        reader.parsed(value, read, problem, "remove the line")
    });
    let default = if rooted { LogTarget::Stderr } else { LogTarget::Journal };
    section.get("target", default, |reader, value| {
        let read = |text: &str| match text {
            "journal" => Some(LogTarget::Journal),
            "stderr" => Some(LogTarget::Stderr),
            _ => None,
        };
        let remedy = "write \"journal\" or \"stderr\"";
        reader.parsed(value, read, "this is not yet supported", remedy)
    })
}

fn listeners<'a>(reader: &mut Reader, file: &'a DeTable<'a>) -> Vec<Listener> {
    let Some(value) = file.get("listener") else {
        let any = [IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V6(Ipv6Addr::UNSPECIFIED)];
        let addresses = any.map(|ip| SocketAddr::new(ip, NextHop::SMTP)).to_vec();
        return vec![Listener { role: Role::Mx, addresses }];
    };
    let items = value.get_ref().as_array();
    let mut seen = Vec::new();
    items.into_iter().flatten().filter_map(|item| listener(reader, item, &mut seen)).collect()
}

fn listener(reader: &mut Reader, item: &Value<'_>, seen: &mut Vec<SocketAddr>) -> Option<Listener> {
    let table = item.get_ref().as_table()?;
    for key in ["role", "address"] {
        if table.get(key).is_none() {
            let remedy = "role = \"mx\"  address = [\"0.0.0.0:25\", \"[::]:25\"]";
            reader.find(item.span(), format!("a listener needs `{key}`"), remedy);
        }
    }
    if let Some(tls) = table.get("tls").filter(|tls| tls.get_ref().as_str() != Some("none")) {
        reader.find(tls.span(), "TLS is not yet supported", "write \"none\" or remove the line");
    }
    let role = |text: &str| match text {
        "mx" => Some(Role::Mx),
        "submission" => Some(Role::Submission),
        _ => None,
    };
    let problem = "the role is \"mx\" or \"submission\"";
    let remedy = "mx: from other systems; submission: from our own users";
    let role = table.get("role").and_then(|value| reader.parsed(value, role, problem, remedy));
    let value = table.get("address")?;
    let remedy = "write \"0.0.0.0:25\" or \"[::]:25\"";
    let addresses =
        reader.list(value, |text| text.parse().ok(), "this is not an address", remedy)?;
    if addresses.iter().any(|address: &SocketAddr| address.port() != 0 && seen.contains(address)) {
        let remedy = "each address has one listener";
        reader.find(value.span(), "this address is used above already", remedy);
    }
    seen.extend(&addresses);
    Some(Listener { role: role?, addresses })
}
