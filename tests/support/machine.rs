//! A machine of its own as far as Pennypost can see: accounts, `/etc`, spool, mailboxes and homes
//! in a mount namespace that ends with the test.

use std::fs::{self, File, Permissions};
use std::net::SocketAddr;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, geteuid};

use crate::{Client, PATIENCE, binary, children, free_address, run, skipped};

/// Name, uid = gid.
pub const DAEMONS: [(&str, u32); 6] = [
    ("_smtpd", 901),
    ("_submit", 902),
    ("_policy", 903),
    ("_qmgr", 904),
    ("_remote", 905),
    ("_local", 906),
];
pub const ALICE: u32 = 2001;
pub const BOB: u32 = 2002;
/// In the group `staff`, which is in `control.admins`.
pub const CAROL: u32 = 2003;
pub const NOBODY: u32 = 65534;
/// The group of the mailboxes.
pub const MAIL: u32 = 8;
const USERS: [(&str, u32); 3] = [("alice", ALICE), ("bob", BOB), ("carol", CAROL)];
/// Set for what runs in the namespace.
const INSIDE: &str = "PENNYPOST_MACHINE";
/// Where the executables are, for everybody; an empty directory of every system.
const PROGRAMS: &str = "/srv";
/// The real `/etc`; another empty directory.
const ETC: &str = "/mnt";
pub const LOG: &str = "/run/pennypost.log";

/// The machine; what runs on it is killed when it is dropped.
#[derive(Debug)]
pub struct Machine {
    pub smtp: SocketAddr,
    supervisor: Option<Child>,
}

/// What /proc says of a process.
#[derive(Debug)]
pub struct Process {
    pub pid: Pid,
    pub name: String,
    status: String,
}

impl Machine {
    /// In the namespace: the machine. Outside: runs `test` (its whole name) there in a process of
    /// its own, and returns nothing.
    #[must_use]
    pub fn of(test: &str) -> Option<Self> {
        if std::env::var_os(INSIDE).is_some() {
            let programs = std::env::var_os("PENNYPOST_BIN").unwrap();
            return Some(Self::furnish(Path::new(&programs), free_address()));
        }
        let permitted =
            Command::new("unshare").args(["-m", "mount", "-t", "tmpfs", "x", "/etc"]).output();
        if !geteuid().is_root() || !permitted.is_ok_and(|output| output.status.success()) {
            skipped("only root can become others (needs unshare -m)");
            return None;
        }
        let programs = binary("pennypost").parent().unwrap().to_owned();
        let mut inside = Command::new("unshare");
        inside.arg("-m").arg(std::env::current_exe().unwrap());
        inside.args(["--exact", test, "--nocapture"]);
        let status = inside.env(INSIDE, "yes").env("PENNYPOST_BIN", programs).status().unwrap();
        assert!(status.success());
        None
    }

    /// Furnishes the mount namespace in which the caller is. `programs` is where the executables
    /// lie.
    fn furnish(programs: &Path, smtp: SocketAddr) -> Self {
        mount(&["--make-rprivate", "/"]);
        mount(&["--bind", programs.to_str().unwrap(), PROGRAMS]);
        mount(&["--bind", "/etc", ETC]);
        for place in ["/etc", "/run", "/home", "/var/mail", "/var/spool"] {
            mount(&["-t", "tmpfs", "-o", "mode=0755", "pennypost-test", place]);
        }
        let machine = Self { smtp, supervisor: None };
        machine.keep(&["localtime", "ld.so.cache"]);
        set("/var/mail", 0, MAIL, 0o2775);
        let mut passwd = "root:x:0:0::/root:/bin/sh\n".to_owned();
        let mut group = format!("root:x:0:\nmail:x:{MAIL}:\nstaff:x:2500:carol\n");
        for (name, id) in DAEMONS.into_iter().chain(USERS).chain([("nobody", NOBODY)]) {
            let home = if id == NOBODY { "/nonexistent" } else { &format!("/home/{name}") };
            passwd.push_str(&format!("{name}:x:{id}:{id}::{home}:/bin/sh\n"));
            group.push_str(&format!("{name}:x:{id}:\n"));
        }
        for (name, id) in USERS {
            let home = format!("/home/{name}");
            fs::create_dir(&home).unwrap();
            set(&home, id, id, 0o700);
        }
        fs::create_dir("/etc/mail").unwrap();
        write("/etc/passwd", &passwd);
        write("/etc/group", &group);
        write("/etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files\n");
        write("/etc/hosts", "127.0.0.1 localhost\n");
        write("/etc/resolv.conf", "nameserver 127.0.0.1\n");
        write("/etc/mail/local-host-names", "local.test\n");
        machine
    }

    /// Takes over files and folders of the real `/etc`, those that are there.
    pub fn keep(&self, names: &[&str]) {
        for name in names.iter().filter(|name| Path::new(ETC).join(name).exists()) {
            let output =
                Command::new("cp").arg("-a").arg(format!("{ETC}/{name}")).arg("/etc").output();
            assert!(output.unwrap().status.success(), "{name}");
        }
    }

    /// Everything that calls `/usr/sbin/sendmail` calls ours.
    pub fn install_sendmail(&self) {
        mount(&["--bind", program("sendmail").to_str().unwrap(), "/usr/sbin/sendmail"]);
    }

    /// Writes `pennypost.toml`.
    pub fn configure(&self, mailbox: &str) {
        // Nobody listens on the discard port of loopback.
        let text = format!(
            "hostname = \"mta.test\"\n[[listener]]\nrole = \"mx\"\naddress = [\"{}\"]\n\
             [local]\nmailbox = \"{mailbox}\"\n[relay]\nsmarthost = \"[127.0.0.1]:9\"\n\
             [control]\nadmins = [\"root\", \"@staff\"]\n[log]\ntarget = \"stderr\"\n",
            self.smtp
        );
        write("/etc/mail/pennypost.toml", &crate::at_any_load(&text));
    }

    /// Starts the mail system as the systemd unit does, with no more capabilities, and waits until
    /// it is ready.
    pub fn start(&mut self) {
        let ready = Path::new("/run/pennypost/ready");
        let _ = fs::remove_file(ready);
        let log = File::options().create(true).append(true).open(LOG).unwrap();
        let mut command = Command::new("setpriv");
        command.args(["--inh-caps=-all", &format!("--bounding-set=-all,{}", unit_capabilities())]);
        command.arg(program("pennypost")).arg("start").stdin(Stdio::null());
        self.supervisor = Some(command.stdout(Stdio::null()).stderr(log).spawn().unwrap());
        until("ready", || {
            let ended = self.supervisor.as_mut().unwrap().try_wait().unwrap();
            assert!(ended.is_none(), "{ended:?}");
            ready.exists().then_some(())
        });
    }

    /// Ends it; all that waited was delivered or is in the queue.
    pub fn stop(&mut self) {
        let mut child = self.supervisor.take().unwrap();
        kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGTERM).unwrap();
        assert!(child.wait().unwrap().success());
    }

    /// Kills the supervisor, and nobody else.
    pub fn kill(&mut self) {
        let mut child = self.supervisor.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// The supervisor, and all that descends from it.
    pub fn processes(&self) -> Vec<Process> {
        let mut found = Vec::new();
        let mut pids = vec![self.supervisor.as_ref().unwrap().id().cast_signed()];
        while let Some(pid) = pids.pop() {
            pids.extend(children(pid.cast_unsigned()));
            found.extend(Process::look(pid));
        }
        found
    }

    pub fn send(&self, recipient: &str, subject: &str) {
        let mut client = Client::connect(self.smtp);
        client.command("EHLO client.test", "250");
        let text = format!("Subject: {subject}\n\nx\n");
        client.transaction("c@example.org", &[recipient], &text);
    }
}

impl Process {
    fn look(pid: i32) -> Option<Self> {
        let arguments = fs::read_to_string(format!("/proc/{pid}/cmdline")).ok()?;
        let mut words = arguments.split('\0');
        let name = Path::new(words.next()?).file_name()?.to_str()?;
        let name =
            [name].into_iter().chain(words.filter(|role| *role == "mx" || *role == "submission"));
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        Some(Self { pid: Pid::from_raw(pid), name: name.collect::<Vec<_>>().join(" "), status })
    }

    /// A line of proc_pid_status(5), its words.
    pub fn says(&self, key: &str) -> Vec<&str> {
        let line = self.status.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
        line.unwrap().split_whitespace().collect()
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", fs::read_to_string(LOG).unwrap_or_default());
        }
        if let Some(mut child) = self.supervisor.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// The unit's `CapabilityBoundingSet`, as setpriv(1) wants it.
fn unit_capabilities() -> String {
    let unit = include_str!("../../etc/systemd/pennypost.service");
    let set = unit.lines().find_map(|line| line.strip_prefix("CapabilityBoundingSet=")).unwrap();
    set.split(' ')
        .map(|name| name.replace("CAP_", "+").to_lowercase())
        .collect::<Vec<_>>()
        .join(",")
}

pub fn program(name: &str) -> PathBuf {
    Path::new(PROGRAMS).join(name)
}

/// Runs a command as a user, without supplementary groups.
pub fn as_user(uid: u32, command: &mut Command, input: &str) -> Output {
    run(command.uid(uid).gid(uid).env_clear().current_dir("/"), input)
}

pub fn write(path: &str, text: &str) {
    fs::write(path, text).unwrap();
    set(path, 0, 0, 0o644);
}

/// Owner, group and mode.
pub fn set(path: &str, uid: u32, gid: u32, mode: u32) {
    chown(path, Some(uid), Some(gid)).unwrap();
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

/// Waits until there is what `look` looks for.
pub fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < end, "not within {PATIENCE:?}: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// mount(8), in the namespace.
pub fn mount(arguments: &[&str]) {
    let output = Command::new("mount").args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {output:?}");
}
