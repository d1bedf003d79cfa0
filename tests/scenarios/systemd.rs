//! What a service manager sees of us, and gives us.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::Command;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Instant;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use support::{Client, PATIENCE, System, SystemBuilder, free_address, installed, skipped};

/// What systemd's own environment variables begin with.
const VARIABLES: [&str; 3] = ["LISTEN_", "NOTIFY_", "WATCHDOG_"];
const ETC: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../etc");
/// "OK" in the words of systemd-analyze(1), in tenths.
const EXPOSURE: &str = "--threshold=40";

#[test]
fn the_service_manager_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify");
    let manager = Manager::listen(UnixDatagram::bind(&path).unwrap());
    let socket = format!("NOTIFY_SOCKET={}", path.display());
    let mut system =
        SystemBuilder::new().launcher(&["env", &socket, "WATCHDOG_USEC=20000"]).start();
    let ready = manager.hear("READY=1");
    assert!(ready.contains(&format!("{} (mx)", system.smtp())), "{ready}");
    assert_eq!(manager.hear("WATCHDOG=1"), manager.hear("WATCHDOG=1"));
    no_daemon_knows(&system);
    let pid = Pid::from_raw(i32::try_from(system.pid()).unwrap());
    kill(pid, Signal::SIGHUP).unwrap();
    let reloading = manager.hear("RELOADING=1");
    assert!(reloading.contains("\nMONOTONIC_USEC="), "{reloading}");
    let ready = manager.hear("READY=1");
    assert!(ready.contains("\nSTATUS="), "{ready}");
    system.stop();
    manager.hear("STOPPING=1");
}

/// A service manager, who reads at once: few messages wait in its socket (unix(7)).
struct Manager(Receiver<String>);

impl Manager {
    fn listen(socket: UnixDatagram) -> Self {
        let (sender, heard) = channel();
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(length) = socket.recv(&mut buffer) {
                let message = String::from_utf8(buffer[..length].to_vec()).unwrap();
                // The test may have heard enough.
                let _ = sender.send(message);
            }
        });
        Self(heard)
    }

    /// Waits for the message that begins with this line.
    fn hear(&self, wanted: &str) -> String {
        let end = Instant::now() + PATIENCE;
        loop {
            let message = self.0.recv_timeout(end - Instant::now()).unwrap();
            if message.lines().next() == Some(wanted) {
                return message;
            }
        }
    }
}

fn no_daemon_knows(system: &System) {
    for (name, pid) in system.daemons() {
        let environment = std::fs::read_to_string(format!("/proc/{pid}/environ")).unwrap();
        let known = |variable: &str| VARIABLES.iter().any(|prefix| variable.starts_with(prefix));
        assert!(!environment.split('\0').any(known), "{name}: {environment}");
    }
}

#[test]
fn sockets_that_are_open_already_are_taken_over() {
    if !installed("systemd-socket-activate", "systemd") {
        return;
    }
    let builder = SystemBuilder::new();
    let (passed, [own, strange]) = (builder.smtp(), [free_address(), free_address()]);
    let listed = format!("\"{passed}\"");
    let builder = builder.replace(&listed, &format!("{listed}, \"{own}\""));
    let [first, second] = [passed, strange].map(|address| format!("--listen={address}"));
    let launcher = ["systemd-socket-activate", &first, &second];
    // It starts us when the first client comes, who then waits for us.
    let client = thread::spawn(move || first_client(passed));
    let system = builder.launcher(&launcher).start();
    let mut client = client.join().unwrap();
    client.command("EHLO client.test", "250");
    client.transaction("c@example.org", &["alice@local.test"], "Subject: x\n\nx\n");
    system.wait_mail("alice", 1);
    drop(Client::connect(own));

    let log = system.log();
    let says = |what: &str| log.iter().any(|line| line.ends_with(what));
    assert!(says(&format!("binds {own}")) && !says(&format!("binds {passed}")), "{log:#?}");
    let unused = format!("{strange} was passed to us, and is the address of no listener: closed");
    assert!(says(&unused), "{log:#?}");
    assert!(Client::dial(strange).is_err());
    no_daemon_knows(&system);
}

fn first_client(address: SocketAddr) -> Client {
    let end = Instant::now() + PATIENCE;
    while Client::dial(address).is_err() {
        assert!(Instant::now() < end, "nobody listens on {address}");
        thread::yield_now();
    }
    Client::connect(address)
}

#[test]
fn the_units_are_well_made() {
    if !installed("systemd-analyze", "systemd") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let units = ["pennypost.service", "pennypost.socket"].map(|name| {
        let unit = std::fs::read_to_string(Path::new(ETC).join("systemd").join(name)).unwrap();
        let copy = folder.path().join(name);
        // It must be there, whatever it is.
        std::fs::write(&copy, unit.replace("/usr/sbin/pennypost", "/bin/true")).unwrap();
        copy
    });
    let run = |arguments: &[&str], units: &[_]| {
        let output = Command::new("systemd-analyze").args(arguments).args(units).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    assert_eq!(run(&["verify", "--man=no"], &units), "");
    run(&["security", "--offline=true", EXPOSURE], &units[..1]);
}

#[test]
fn accounts_and_directories_are_made() {
    if !installed("systemd-sysusers", "systemd") {
        return;
    }
    if !nix::unistd::geteuid().is_root() {
        return skipped("only root can give a directory to somebody else");
    }
    let root = tempfile::tempdir().unwrap();
    std::fs::create_dir(root.path().join("etc")).unwrap();
    for (program, options, file) in [
        ("systemd-sysusers", None, "sysusers.d/pennypost.conf"),
        ("systemd-tmpfiles", Some("--create"), "tmpfiles.d/pennypost.conf"),
    ] {
        let mut command = Command::new(program);
        command.arg("--root").arg(root.path()).args(options).arg(Path::new(ETC).join(file));
        let output = command.output().unwrap();
        assert!(output.status.success(), "{output:?}");
    }
    let accounts = std::fs::read_to_string(root.path().join("etc/passwd")).unwrap();
    let uid = |account: &str| {
        let mut lines = accounts.lines().map(|line| line.split(':').collect::<Vec<_>>());
        lines.find(|fields| fields[0] == account).unwrap()[2].parse::<u32>().unwrap()
    };
    let daemons = ["_smtpd", "_submit", "_policy", "_qmgr", "_remote", "_local"];
    assert_eq!(daemons.map(uid).iter().collect::<HashSet<_>>().len(), accounts.lines().count());
    for (path, owner, mode) in [
        ("run/pennypost", 0, 0o755),
        ("var/spool/pennypost", 0, 0o755),
        ("var/spool/pennypost/queue", uid("_qmgr"), 0o700),
        ("var/spool/pennypost/drop", uid("_submit"), 0o3733),
    ] {
        let about = std::fs::metadata(root.path().join(path)).unwrap();
        assert_eq!(
            (about.uid(), about.gid(), about.mode() & 0o7777),
            (owner, owner, mode),
            "{path}"
        );
    }
}
