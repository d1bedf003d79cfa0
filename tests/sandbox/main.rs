//! What each process cannot do: a process that enters the sandbox that a running daemon declared,
//! and then attacks; and the running daemons themselves, as the kernel sees them.
//!
//! Each attack is also made without the sandbox, or with the permission: then it must succeed, or
//! it would show nothing.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use daemon::{Permit, Sandbox};
use serde_json::Value;
use support::{System, SystemBuilder};

mod status;

const ATTACKER: &str = env!("CARGO_BIN_EXE_sandbox-attacker");

/// The daemons, as `pennypost status` names them.
const DAEMONS: [&str; 6] = ["policyd", "remote", "local", "qmgr", "smtpd(mx)", "smtpd(submission)"];

/// What a running system declares.
struct Declared(Vec<(String, Sandbox)>);

impl Declared {
    fn of(system: &System) -> Self {
        let objects = status::objects(system);
        let daemons = DAEMONS.iter().map(|name| {
            let object = objects.iter().find(|object| object["name"] == *name);
            let declared =
                object.unwrap_or_else(|| panic!("{name} is not shown"))["declared"].clone();
            ((*name).to_owned(), serde_json::from_value(declared).expect("it declared something"))
        });
        Self(daemons.collect())
    }

    fn by(&self, name: &str) -> &Sandbox {
        &self.0.iter().find(|(daemon, _)| daemon == name).expect("a daemon").1
    }
}

/// Runs the attack and returns what came of it.
fn attack(sandbox: Option<&Sandbox>, attack: &str, target: &str) -> String {
    let mut attacker = start(sandbox, attack, target);
    drop(attacker.stdin.take());
    let output = attacker.wait_with_output().unwrap();
    assert!(output.status.success(), "{attack}: {output:?}");
    let said = String::from_utf8(output.stdout).unwrap();
    said.trim_end().to_owned()
}

fn start(sandbox: Option<&Sandbox>, attack: &str, target: &str) -> Child {
    let mut command = Command::new(ATTACKER);
    command.args([attack, target]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut attacker = command.spawn().unwrap();
    let declared = serde_json::to_string(&sandbox).unwrap();
    writeln!(attacker.stdin.as_mut().unwrap(), "{declared}").unwrap();
    attacker
}

/// An attack that only some daemons may make, and how the others are refused.
struct Case<'a> {
    attack: &'a str,
    target: String,
    /// Because they declared it.
    allowed: &'a [&'a str],
    /// Of the daemons with this permission, or files, Landlock refuses; seccomp all others.
    landlock: &'a [&'a str],
}

impl Case<'_> {
    fn run(&self, declared: &Declared) {
        let Self { attack: what, target, allowed, landlock } = self;
        assert_eq!(attack(None, what, target), "allowed", "{what} {target}, not confined");
        for name in DAEMONS {
            let outcome = attack(Some(declared.by(name)), what, target);
            let expected = match name {
                name if allowed.contains(&name) => "allowed",
                name if landlock.contains(&name) => "refused EACCES",
                _ => "refused ENOSYS",
            };
            assert_eq!(outcome, expected, "{name}: {what} {target}");
        }
    }
}

fn case<'a>(attack: &'a str, target: impl ToString, allowed: &'a [&'a str]) -> Case<'a> {
    Case { attack, target: target.to_string(), allowed, landlock: &[] }
}

/// A running system, and what it declares. `None`: this kernel has no Landlock with scopes, and
/// half of the refusals would come from elsewhere.
fn system() -> Option<(System, Declared)> {
    start_with(SystemBuilder::new())
}

fn start_with(builder: SystemBuilder) -> Option<(System, Declared)> {
    let system = builder.start();
    let version = status::objects(&system).last().and_then(|it| it["landlock"].as_u64());
    if version.is_none_or(|version| version < 6) {
        let why = format!("a kernel with Landlock 6 is needed, this one has {version:?}");
        assert!(std::env::var_os("CI").is_none(), "{why}");
        support::skipped(&why);
        return None;
    }
    let declared = Declared::of(&system);
    Some((system, declared))
}

/// With files below a directory of their own.
const WITH_FILES: [&str; 2] = ["qmgr", "smtpd(submission)"];

#[test]
fn files_of_others_are_out_of_reach() {
    let Some((system, declared)) = system() else { return };
    let key = system.path("etc/mail/key");
    std::fs::write(&key, "secret").unwrap();
    let some = |allowed, landlock, target: &Path| Case {
        landlock,
        ..case("read", target.display(), allowed)
    };
    let drop = declared.by("smtpd(submission)").directories[0].join("x");
    std::fs::write(&drop, "x").unwrap();
    let all = ["policyd", "qmgr", "smtpd(submission)"];
    for case in [
        some(&["policyd"], &WITH_FILES, Path::new("/etc/passwd")),
        some(&[], &all, Path::new("/proc/version")),
        some(&[], &all, &key),
        some(&[], &all, &system.path("etc/mail/pennypost.toml")),
        some(
            &["qmgr"],
            &["policyd", "smtpd(submission)"],
            &declared.by("qmgr").directories[0].join("queue.redb"),
        ),
        some(&["smtpd(submission)"], &["policyd", "qmgr"], &drop),
    ] {
        case.run(&declared);
    }
}

#[test]
fn nothing_is_written_but_where_it_was_declared() {
    let Some((system, declared)) = system() else { return };
    let queue = declared.by("qmgr").directories[0].join("new");
    for (target, allowed, landlock) in [
        (queue, &["qmgr"][..], &["smtpd(submission)"][..]),
        (system.path("home-new"), &[], &WITH_FILES),
    ] {
        Case { landlock, ..case("create", target.display(), allowed) }.run(&declared);
    }
    for (number, name) in DAEMONS.iter().enumerate() {
        // A link, or a pipe, where the process may make files.
        let below = declared.by(name).directories.first();
        for attack_with in ["link", "mknod"] {
            let own = below.cloned().unwrap_or_else(|| system.path("etc/mail"));
            let target = own.join(format!("{attack_with}{number}"));
            let target = target.to_str().unwrap();
            assert_eq!(attack(Some(declared.by(name)), attack_with, target), "refused ENOSYS");
            assert_eq!(attack(None, attack_with, target), "allowed");
        }
    }
}

#[test]
fn only_who_asks_the_dns_calls_out_and_nobody_listens() {
    let Some((_system, declared)) = system() else { return };
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let out = ["policyd", "remote"];
    case("connect", address, &out).run(&declared);
    case("udp", udp.local_addr().unwrap(), &out).run(&declared);
    Case { landlock: &out, ..case("bind", "", &[]) }.run(&declared);
    case("listen", "", &[]).run(&declared);
}

/// The process that hears the Internet has TCP sockets, and cannot call out with them.
#[test]
fn a_socket_that_was_accepted_cannot_be_connected_anew() {
    let Some((_system, declared)) = system() else { return };
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address: SocketAddr = listener.local_addr().unwrap();
    case("dissolve", address, &["policyd", "remote"]).run(&declared);
    case("fastopen", address, &[]).run(&declared);
}

#[test]
fn other_processes_are_out_of_reach() {
    let Some((system, declared)) = system() else { return };
    // Ends with its standard input, and so with this test.
    let mut other = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
    case("signal", other.id(), &[]).run(&declared);
    case("ptrace", other.id(), &[]).run(&declared);
    other.kill().unwrap();
    other.wait().unwrap();
    case("run", "/bin/true", &[]).run(&declared);
    case("thread", "", &["policyd", "qmgr"]).run(&declared);

    let name = format!("pennypost-test-{}", std::process::id());
    let address = std::os::unix::net::SocketAddr::from_abstract_name(&name).unwrap();
    let _listener = UnixListener::bind_addr(&address).unwrap();
    let outcome = attack(Some(declared.by("policyd")), "abstract", &name);
    assert_eq!(outcome, "refused EPERM", "Landlock's scope");
    let others = DAEMONS.iter().filter(|name| **name != "policyd");
    for daemon in others {
        assert_eq!(attack(Some(declared.by(daemon)), "abstract", &name), "refused ENOSYS");
        // As a user of this machine.
        let control = system.path("run/pennypost/control");
        let control = control.to_str().unwrap();
        assert_eq!(attack(Some(declared.by(daemon)), "unix", control), "refused ENOSYS");
        assert_eq!(attack(None, "unix", control), "allowed");
    }
    assert_eq!(attack(None, "abstract", &name), "allowed");
    let log = system.path("log");
    let _log = UnixDatagram::bind(&log).unwrap();
    case("datagram", log.display(), &[]).run(&declared);
}

/// A store of mailboxes is called by who hands mail to it, and by who asks it whom it knows.
#[test]
fn the_socket_of_a_store_is_called_by_two() {
    let builder = SystemBuilder::new();
    let store = builder.path("run/store/lmtp");
    let builder = builder.replace("maildir:{home}/Maildir", "lmtp:unix:/run/store/lmtp");
    let Some((system, declared)) = start_with(builder) else { return };
    std::fs::create_dir_all(store.parent().unwrap()).unwrap();
    let _store = UnixListener::bind(&store).unwrap();
    let two = ["policyd", "remote"];
    case("unix", store.display(), &two).run(&declared);
    let log = system.path("log");
    let _log = UnixDatagram::bind(&log).unwrap();
    case("datagram", log.display(), &[]).run(&declared);
    let remote = Some(declared.by("remote"));
    let name = format!("pennypost-test-store-{}", std::process::id());
    let address = std::os::unix::net::SocketAddr::from_abstract_name(&name).unwrap();
    let _listener = UnixListener::bind_addr(&address).unwrap();
    assert_eq!(attack(remote, "abstract", &name), "refused EPERM", "Landlock's scope");
    // The newest kernels know the paths of sockets.
    let landlock = status::objects(&system).last().and_then(|it| it["landlock"].as_u64());
    let outside = tempfile::tempdir().unwrap();
    let other = outside.path().join("other");
    let _other = UnixListener::bind(&other).unwrap();
    let expected = if landlock >= Some(9) { "refused EACCES" } else { "allowed" };
    assert_eq!(attack(remote, "unix", other.to_str().unwrap()), expected);
}

#[test]
fn no_right_comes_back() {
    let Some((_system, declared)) = system() else { return };
    // Modules of the name service are loaded when they are needed.
    case("execute-memory", "", &["policyd"]).run(&declared);
    case("limit", "", &[]).run(&declared);
    if nix::unistd::geteuid().is_root() {
        case("uid", "", &[]).run(&declared);
        case("chroot", "/", &[]).run(&declared);
        case("namespace", "", &[]).run(&declared);
    }
    case("watch", "/tmp", &["smtpd(submission)"]).run(&declared);
}

#[test]
fn memory_and_descriptors_have_limits() {
    let few = Sandbox::new().descriptors(64);
    assert_eq!(attack(Some(&few), "flood", ""), "refused EMFILE");
    assert_eq!(attack(Some(&Sandbox::new()), "flood", ""), "allowed");
    assert_eq!(attack(Some(&Sandbox::new()), "hoard", ""), "refused ENOMEM");
    assert_eq!(attack(Some(&Sandbox::new().memory(1 << 40)), "hoard", ""), "allowed");
}

/// Another process of the same user, which under `--root` all daemons are.
#[test]
fn the_memory_of_a_confined_process_is_its_own() {
    let peek = |sandbox: Option<&Sandbox>| {
        let mut victim = start(sandbox, "wait", "");
        let mut said = String::new();
        BufReader::new(victim.stdout.as_mut().unwrap()).read_line(&mut said).unwrap();
        assert_eq!(said, "entered\n");
        let outcome = attack(None, "peek", &victim.id().to_string());
        drop(victim.stdin.take());
        victim.wait().unwrap();
        outcome
    };
    assert_eq!(peek(Some(&Sandbox::new())), "refused EACCES");
    assert_eq!(peek(None), "allowed");
}

#[test]
fn entering_with_threads_is_an_error() {
    let outcome = attack(None, "enter-late", "");
    assert_eq!(outcome, "refused the sandbox is to be entered before there are 2 threads");
}

/// What a permission gives, each alone: nobody gets more by another's declaration.
#[test]
fn a_permit_gives_what_it_says() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    for (permit, what, target) in [
        (Permit::CallOut, "connect", address.as_str()),
        (Permit::NameService, "read", "/etc/passwd"),
        (Permit::Threads, "thread", ""),
        (Permit::Watch, "watch", "/tmp"),
    ] {
        let with = Sandbox::new().permit(permit);
        assert_eq!(attack(Some(&with), what, target), "allowed", "{permit:?}");
        assert_eq!(attack(Some(&Sandbox::new()), what, target), "refused ENOSYS", "{permit:?}");
    }
}

/// A value that is there.
fn text<'a>(object: &'a Value, key: &str) -> &'a str {
    object[key].as_str().unwrap_or_else(|| panic!("no {key} in {object}"))
}
