//! What is queued, seen while the mail system does not run.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::net::TcpListener;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::process::{Child, Output, Stdio};
use std::time::Instant;

use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;
use support::{PATIENCE, System, SystemBuilder, children};

/// Every way to list, and what is the same of it whether the mail system runs or not.
const LISTINGS: &[(&str, &[&str])] = &[
    ("mailq", &[]),
    ("mailq", &["-v"]),
    ("mailq", &["--postfix"]),
    ("mailq", &["--json"]),
    ("mailq", &["-qRfar.test"]),
    ("mailq", &["-qSnobody"]),
    ("sendmail", &["-bp"]),
    ("sendmail", &["-bpc"]),
    ("sendmail", &["-bpr"]),
    ("sendmail", &["-bpu"]),
    ("sendmail", &["-bP"]),
    ("pennypost", &["queue", "--json"]),
    ("pennypost", &["queue", "count", "--json"]),
    ("pennypost", &["queue", "top", "--by", "route"]),
];

/// A system with two messages for a next hop that does not answer, one of them held.
fn stuck() -> System {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let hop = format!("far.test\tesmtp:[127.0.0.1]:{}\n", nobody.port());
    let system = SystemBuilder::new().table("mailertable", &hop).start();
    system.session().transaction("alice@local.test", &["dave@far.test"], "Subject: x\n\nx\n");
    system.wait_log(|line| line.contains("<dave@far.test>") && line.contains("stat=Deferred"));
    system.session().transaction("bob@local.test", &["eve@far.test"], "Subject: y\n\ny\n");
    let end = Instant::now() + PATIENCE;
    while text(&ours(&system, "mailq", &["-v"]).stdout).matches("(Deferred: ").count() < 2 {
        assert!(Instant::now() < end, "{:#?}", system.log());
    }
    assert!(ours(&system, "pennypost", &["queue", "hold", "--to", "eve"]).status.success());
    system
}

fn ours(system: &System, name: &str, arguments: &[&str]) -> Output {
    system.command(name).args(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// All that lies in the queue's directory: what is in each file, and when that was changed.
fn files(system: &System) -> BTreeMap<PathBuf, (Vec<u8>, i64, i64)> {
    let entries = fs::read_dir(system.path("var/spool/pennypost/queue")).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let look = |path: PathBuf| {
        let about = path.metadata().unwrap();
        let content = if path.is_file() { fs::read(&path).unwrap() } else { Vec::new() };
        (path, (content, about.mtime(), about.mtime_nsec()))
    };
    paths.map(look).collect()
}

#[test]
fn the_listings_are_those_of_the_running_system() {
    let mut system = stuck();
    let list = |system: &System| {
        let outputs = LISTINGS.iter().map(|(name, words)| ours(system, name, words));
        outputs.collect::<Vec<_>>()
    };
    let running = list(&system);
    let listed = text(&running[0].stdout);
    for part in ["(2 requests)", "<dave@far.test>", "Connection refused", "QUARANTINE: "] {
        assert!(listed.contains(part), "{part} is not in {listed}");
    }
    system.stop();
    let before = files(&system);
    for ((listing, running), at_rest) in LISTINGS.iter().zip(running).zip(list(&system)) {
        assert_eq!(text(&at_rest.stdout), text(&running.stdout), "{listing:?}");
        assert_eq!(at_rest.status.code(), Some(0), "{listing:?}: {at_rest:?}");
        let said = text(&at_rest.stderr);
        let note = format!("{}: warning: the mail system is not running; this is what", listing.0);
        assert!(said.starts_with(&note) && said.lines().count() == 1, "{said}");
    }
    let root = system.path("");
    let (above, name) = (root.parent().unwrap(), root.file_name().unwrap());
    let mut relative = system.command("mailq");
    let relative = relative.current_dir(above).env("PENNYPOST_ROOT", name).output().unwrap();
    assert_eq!(text(&relative.stdout), listed);
    for words in [&["queue", "retry", "--all"][..], &["queue", "delete", "--all"], &["host"]] {
        let refused = ours(&system, "pennypost", words);
        assert_eq!(refused.status.code(), Some(69), "{refused:?}");
    }
    assert_eq!(files(&system), before);
    system.start();
    assert_eq!(text(&ours(&system, "sendmail", &["-bpc"]).stdout), "2\n");
}

/// Somebody who lists the queue and does not read on is in nobody's way.
#[test]
fn the_system_starts_while_its_queue_is_listed() {
    let mut system = stuck();
    // More than a pipe holds.
    let crowd: Vec<_> = (0..900).map(|it| format!("{it:060}@far.test")).collect();
    let crowd: Vec<_> = crowd.iter().map(String::as_str).collect();
    system.session().transaction("alice@local.test", &crowd, "Subject: z\n\nz\n");
    system.stop();
    let mut listing = system.command("mailq");
    let mut listing =
        listing.arg("--json").stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut stdout = listing.stdout.take().unwrap();
    let mut listed = vec![0];
    stdout.read_exact(&mut listed).unwrap();
    is_confined(&listing);
    system.start();
    assert!(listing.try_wait().unwrap().is_none(), "it is not read, and yet at its end");
    stdout.read_to_end(&mut listed).unwrap();
    assert!(listing.wait().unwrap().success());
    assert_eq!(text(&listed).lines().count(), 3);
}

/// The process that a command has started to look is as confined as any daemon.
fn is_confined(command: &Child) {
    let [onlooker] = children(command.id()).try_into().unwrap();
    let words = fs::read_to_string(format!("/proc/{onlooker}/cmdline")).unwrap();
    assert!(words.ends_with("/qmgr\0--read-only\0"), "{words}");
    let status = fs::read_to_string(format!("/proc/{onlooker}/status")).unwrap();
    for wanted in ["NoNewPrivs:\t1", "CapPrm:\t0000000000000000", "Seccomp:\t2"] {
        assert!(status.lines().any(|line| line == wanted), "{wanted} is not in {status}");
    }
}

/// The supervisor is gone from one moment to the next, and its daemons end by themselves.
#[test]
fn after_a_kill_of_the_supervisor_the_queue_is_shown() {
    let mut system = stuck();
    let supervisor = pid(&system);
    kill(supervisor, Signal::SIGKILL).unwrap();
    // All its threads are gone, and it can still be waited for.
    waitid(Id::Pid(supervisor), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT).unwrap();
    let shown = ours(&system, "mailq", &[]);
    assert_eq!(shown.status.code(), Some(0), "{shown:?}");
    assert!(text(&shown.stdout).contains("(2 requests)"), "{shown:?}");
    system.kill();
}

/// Only a start can mend what was not closed; until then that is what is said.
#[test]
fn after_a_crash_of_the_queue_manager_it_is_said_what_to_do() {
    let mut system = stuck();
    let (_, qmgr) = system.daemons().into_iter().find(|(name, _)| name == "qmgr").unwrap();
    // So that it does not end by itself.
    kill(qmgr, Signal::SIGSTOP).unwrap();
    kill(pid(&system), Signal::SIGKILL).unwrap();
    kill(qmgr, Signal::SIGKILL).unwrap();
    system.kill();
    let before = files(&system);
    for (name, words) in LISTINGS {
        let refused = ours(&system, name, words);
        assert_eq!(refused.status.code(), Some(69), "{refused:?}");
        assert_eq!(refused.stdout, b"", "{refused:?}");
        let said = text(&refused.stderr);
        for part in ["is not running", "queue.redb: its qmgr was killed", "start the mail system"] {
            assert!(said.contains(part), "{part} is not in {said}");
        }
    }
    assert_eq!(files(&system), before);
    system.start();
    assert_eq!(text(&ours(&system, "sendmail", &["-bpc"]).stdout), "2\n");
    system.stop();
    assert_eq!(text(&ours(&system, "sendmail", &["-bpc"]).stdout), "2\n");
}

#[test]
fn what_cannot_be_shown_is_said() {
    let mut system = stuck();
    system.stop();
    let queue = system.path("var/spool/pennypost/queue/queue.redb");
    let refused = |part: &str| {
        let refused = ours(&system, "mailq", &[]);
        assert_eq!((refused.status.code(), &*refused.stdout), (Some(69), &b""[..]), "{refused:?}");
        let said = text(&refused.stderr);
        assert!(said.contains("is not running") && said.contains(part), "{part}: {said}");
    };
    let toml = system.path("etc/mail/pennypost.toml");
    let configuration = fs::read(&toml).unwrap();
    fs::write(&toml, "hostnam = \"x.test\"\n").unwrap();
    refused("pennypost.toml:1");
    fs::write(&toml, configuration).unwrap();
    let whole = fs::read(&queue).unwrap();
    // The address says that it is longer than its record.
    let mut spoilt = whole.clone();
    let at: Vec<_> =
        (0..spoilt.len()).filter(|at| spoilt[*at..].starts_with(b"\x04dave")).collect();
    at.into_iter().for_each(|at| spoilt[at] = 0x7f);
    fs::write(&queue, spoilt).unwrap();
    let listed = ours(&system, "mailq", &[]);
    let said = text(&listed.stderr);
    assert!(said.contains("to be set aside: the record is damaged"), "{listed:?}");
    assert!(said.lines().all(|line| line.starts_with("mailq: ")), "{said}");
    let shown = text(&listed.stdout);
    assert!(shown.contains("<eve@far.test>") && !shown.contains("dave"), "{shown}");
    fs::write(&queue, "no queue").unwrap();
    refused("nothing was changed. Restore it from a backup");
    fs::remove_file(&queue).unwrap();
    refused("nothing was ever queued here");
    assert!(!queue.exists());
    fs::write(&queue, whole).unwrap();
    assert_eq!(text(&ours(&system, "sendmail", &["-bpc"]).stdout), "2\n");
    // A root of somebody else.
    if nix::unistd::geteuid().is_root() {
        std::os::unix::fs::chown(queue.parent().unwrap(), Some(12345), None).unwrap();
        refused("is of uid 12345");
    }
}

fn pid(system: &System) -> Pid {
    Pid::from_raw(i32::try_from(system.pid()).unwrap())
}
