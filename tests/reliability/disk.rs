//! A full disk under a whole system: the spool is a small tmpfs in a mount namespace of its own.
//! The test runs itself again in there; where that is not permitted it says so and checks nothing.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use support::{Client, PATIENCE, Sink, System, SystemBuilder, skipped};

const INSIDE: &str = "PENNYPOST_SMALL_DISK";
const SPOOL: &str = "var/spool";
/// Messages that are tried at most until the disk is full.
const MOST: usize = 2000;
/// What goes into the database, and what goes into a file.
const SIZES: [usize; 2] = [30_000, 100_000];

#[test]
fn a_full_disk_refuses_new_mail_loses_none_and_recovers_by_itself() {
    if std::env::var_os(INSIDE).is_some() {
        // With a limit, and down to the last page.
        for min_free_space in ["2MB", "0B"] {
            on_a_small_disk(min_free_space);
        }
        return;
    }
    let mount = ["-m", "mount", "-t", "tmpfs", "pennypost-test", "/tmp"];
    let permitted = Command::new("unshare").args(mount).output();
    if !permitted.is_ok_and(|output| output.status.success()) {
        skipped("this user may not mount a tmpfs in a namespace of its own (unshare -m)");
        return;
    }
    let test = "disk::a_full_disk_refuses_new_mail_loses_none_and_recovers_by_itself";
    let mut inside = Command::new("unshare");
    inside.arg("-m").arg(std::env::current_exe().unwrap());
    inside.args(["--exact", test, "--nocapture"]).env(INSIDE, "yes");
    assert!(inside.status().unwrap().success());
}

fn on_a_small_disk(min_free_space: &str) {
    let closed = Arc::new(AtomicBool::new(true));
    let gate = closed.clone();
    let sink = Sink::scripted(move |line| {
        let refuse = line.starts_with("MAIL") && gate.load(Ordering::Relaxed);
        refuse.then(|| "451 4.3.2 not yet".to_owned())
    });
    let queue = format!("[queue]\nmin_free_space = \"{min_free_space}\"\nfirst_retry = \"1s\"\n");
    let builder = SystemBuilder::new()
        .smarthost(sink.address())
        .config(&format!("{queue}max_retry = \"1s\"\nhost_status = \"1s\"\n"));
    let disk = Disk::mount(&builder.path(SPOOL));
    let mut system = builder.start();
    let before = system.daemons();

    disk.fill_up_to(24);
    let (near, mut far) = fill(&system);
    // All that was accepted for here is delivered, and its outcomes are written.
    system.wait_mail("alice", near);
    wait_for_count(&system, far);
    // Which made room for a few more.
    for size in SIZES.into_iter().rev() {
        far += fill_with(&system, size);
    }
    println!("{min_free_space} to be free: {near} delivered and {far} kept on the full disk");

    disk.clear();
    let end = Instant::now() + PATIENCE;
    let mut session = system.session();
    while !post(&mut session, "alice@local.test", SIZES[0]).starts_with("250") {
        assert!(Instant::now() < end, "no mail is accepted: {:#?}", system.log());
        std::thread::sleep(Duration::from_millis(20));
    }
    system.wait_mail("alice", near + 1);
    closed.store(false, Ordering::Relaxed);
    let received = sink.wait(|received| received.len() >= far);
    wait_for_count(&system, 0);
    assert_eq!(received.len(), far);
    assert_eq!(system.mail("alice").len(), near + 1);
    let whole = |text: &str| SIZES.iter().any(|size| text.contains(&body(*size)));
    assert!(received.iter().all(|it| whole(&it.content.replace("\r\n", "\n"))));
    for daemon in &before {
        assert!(system.daemons().contains(daemon), "{daemon:?} was restarted");
    }
    drop(session);
    system.stop();
    // Before the directory that it is mounted in.
    drop(disk);
}

/// Sends until the disk is full; returns how many were accepted for here and for elsewhere.
fn fill(system: &System) -> (usize, usize) {
    let mut accepted = (0, 0);
    let mut session = system.session();
    for number in 0..MOST {
        let (to, count) = if number % 3 == 0 {
            ("alice@local.test", &mut accepted.0)
        } else {
            ("dave@far.test", &mut accepted.1)
        };
        let reply = post(&mut session, to, SIZES[usize::from(number % 7 == 0)]);
        if reply.starts_with("452 4.3.1") {
            assert!(accepted.0 > 0 && accepted.1 > 0, "{accepted:?}");
            return accepted;
        }
        assert!(reply.starts_with("250"), "{reply}");
        *count += 1;
    }
    panic!("the disk is never full: {accepted:?}");
}

/// Sends mail of one size for elsewhere until the disk is full again; returns how many were accepted.
fn fill_with(system: &System, size: usize) -> usize {
    let mut session = system.session();
    for number in 0..MOST {
        let reply = post(&mut session, "dave@far.test", size);
        if reply.starts_with("452 4.3.1") {
            return number;
        }
        assert!(reply.starts_with("250"), "{reply}");
    }
    panic!("the disk is not full any more");
}

/// The reply to the content.
fn post(session: &mut Client, to: &str, size: usize) -> String {
    session.command("MAIL FROM:<>", "250");
    session.command(&format!("RCPT TO:<{to}>"), "250");
    session.command("DATA", "354");
    session.send(format!("Subject: x\n\n{}", body(size)).replace('\n', "\r\n").as_bytes()).unwrap();
    session.command(".", "")
}

fn body(size: usize) -> String {
    "0123456789abcde\n".repeat(size / 16)
}

fn wait_for_count(system: &System, messages: usize) {
    let end = Instant::now() + PATIENCE;
    loop {
        let output = system.command("pennypost").args(["queue", "count", "--json"]).output();
        let count: serde_json::Value = serde_json::from_slice(&output.unwrap().stdout).unwrap();
        if count["messages"] == messages {
            return;
        }
        assert!(Instant::now() < end, "{count} instead of {messages}: {:#?}", system.log());
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A tmpfs, and something else that takes its room.
struct Disk(std::path::PathBuf);

impl Disk {
    const MIB: usize = 48;

    fn mount(place: &Path) -> Self {
        fs::create_dir_all(place).unwrap();
        let size = format!("size={}m", Self::MIB);
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &size, "pennypost-test"]).arg(place);
        assert!(mount.status().unwrap().success());
        Self(place.to_owned())
    }

    /// Leaves so many MiB to the queue.
    fn fill_up_to(&self, mib: usize) {
        let mut file = File::create(self.0.join("others")).unwrap();
        for _ in mib..Self::MIB {
            file.write_all(&vec![1; 1 << 20]).unwrap();
        }
    }

    fn clear(&self) {
        fs::remove_file(self.0.join("others")).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").args(["-l".as_ref(), self.0.as_os_str()]).status();
    }
}
