//! A whole Pennypost under a temporary root, with the executables that were just built.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, OnceLock};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::{Client, PATIENCE, at_any_load};

/// The path of an executable of the workspace, built once per test run; `PENNYPOST_BIN` names a
/// folder of others to try instead.
#[must_use]
pub fn binary(name: &str) -> PathBuf {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    let folder = || std::env::var_os("PENNYPOST_BIN").map_or_else(build, PathBuf::from);
    FOLDER.get_or_init(folder).join(name)
}

/// `cargo test` builds the executables of packages with integration tests only.
fn build() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let folder = test.parent().and_then(Path::parent).unwrap().to_owned();
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--quiet", "--workspace", "--bins", "--ignore-rust-version"]);
    if folder.ends_with("release") {
        cargo.arg("--release");
    }
    let status = cargo.current_dir(env!("CARGO_MANIFEST_DIR")).status().unwrap();
    assert!(status.success(), "cargo build failed");
    folder
}

/// What is to be written below the root before the start.
#[derive(Debug)]
pub struct SystemBuilder {
    root: tempfile::TempDir,
    launcher: Vec<String>,
    config: String,
    smtp: SocketAddr,
}

impl SystemBuilder {
    /// A mail server `mta.test` with the users alice and bob, Maildirs, and one mx listener on a
    /// free port of loopback.
    #[must_use]
    pub fn new() -> Self {
        // Short: the path of a Unix socket has 107 bytes at the most (unix(7)).
        let root = tempfile::Builder::new().prefix("pp").tempdir_in("/tmp").unwrap();
        let smtp = free_address();
        let config = format!(
            "hostname = \"mta.test\"\n\n[[listener]]\nrole = \"mx\"\naddress = [\"{smtp}\"]\n\n\
             [local]\nmailbox = \"maildir:{{home}}/Maildir\"\n\n[log]\ntarget = \"stderr\"\n"
        );
        let builder = Self { root, launcher: Vec::new(), config, smtp };
        builder.table("users", "alice:\nbob:\n").table("local-host-names", "local.test\n")
    }

    /// What is to be below the root.
    #[must_use]
    pub fn path(&self, below: &str) -> PathBuf {
        self.root.path().join(below)
    }

    /// The address of the mx listener.
    #[must_use]
    pub const fn smtp(&self) -> SocketAddr {
        self.smtp
    }

    /// The program that starts us, and its arguments.
    #[must_use]
    pub fn launcher(mut self, words: &[&str]) -> Self {
        self.launcher = words.iter().map(ToString::to_string).collect();
        self
    }

    /// Adds text to `pennypost.toml`.
    #[must_use]
    pub fn config(mut self, text: &str) -> Self {
        self.config.push('\n');
        self.config.push_str(text);
        self
    }

    /// Replaces a part of `pennypost.toml`.
    #[must_use]
    pub fn replace(mut self, from: &str, to: &str) -> Self {
        assert!(self.config.contains(from), "{from} is not in {}", self.config);
        self.config = self.config.replace(from, to);
        self
    }

    /// Writes a table file.
    #[must_use]
    pub fn table(self, name: &str, text: &str) -> Self {
        let folder = self.root.path().join("etc/mail");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(name), text).unwrap();
        self
    }

    /// Sends everything that is not local to `hop`.
    #[must_use]
    pub fn smarthost(self, hop: SocketAddr) -> Self {
        let text = format!("[relay]\nsmarthost = \"[{}]:{}\"\n", hop.ip(), hop.port());
        self.config(&text)
    }

    /// Starts it and waits until it is ready.
    #[must_use]
    pub fn start(self) -> System {
        self.write();
        let mut system = System {
            root: self.root,
            launcher: self.launcher,
            smtp: self.smtp,
            supervisor: None,
            log: Arc::default(),
            deaf: Arc::default(),
        };
        system.start();
        system
    }

    /// Tries to start it, and returns what comes of that.
    #[must_use]
    pub fn refused(self) -> Output {
        self.write();
        let mut command = Command::new(binary("pennypost"));
        command.args(["start", "--root"]).arg(self.root.path()).output().unwrap()
    }

    fn write(&self) {
        let file = self.root.path().join("etc/mail/pennypost.toml");
        std::fs::write(file, at_any_load(&self.config)).unwrap();
    }
}

impl Default for SystemBuilder {
    fn default() -> Self {
        Self::new()
    }
}

/// A port that no outgoing connection gets by chance (ip_local_port_range of ip(7)) while nobody
/// listens on it.
#[must_use]
pub fn free_address() -> SocketAddr {
    loop {
        let address = SocketAddr::from(([127, 0, 0, 1], fastrand::u16(10_000..32_768)));
        if TcpListener::bind(address).is_ok() {
            return address;
        }
    }
}

type Log = Arc<(Mutex<Vec<String>>, Condvar)>;

/// A running Pennypost. Killed when dropped.
#[derive(Debug)]
pub struct System {
    root: tempfile::TempDir,
    launcher: Vec<String>,
    smtp: SocketAddr,
    supervisor: Option<Child>,
    log: Log,
    /// Nobody reads the log any more.
    deaf: Arc<AtomicBool>,
}

impl System {
    /// Closes the log's pipe at its next line.
    pub fn close_log(&self) {
        self.deaf.store(true, Ordering::Relaxed);
    }

    /// What is below the root.
    #[must_use]
    pub fn path(&self, below: &str) -> PathBuf {
        self.root.path().join(below)
    }

    /// The address of the mx listener.
    #[must_use]
    pub const fn smtp(&self) -> SocketAddr {
        self.smtp
    }

    /// The process id of the supervisor.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.supervisor.as_ref().unwrap().id()
    }

    /// A session after EHLO.
    #[must_use]
    pub fn session(&self) -> Client {
        let mut client = Client::connect(self.smtp);
        client.command("EHLO client.test", "250");
        client
    }

    /// Starts the supervisor and waits for `ready`. The caller left a descriptor open: 9, which is
    /// `/dev/full`.
    pub fn start(&mut self) {
        let mut child = Command::new("sh")
            .args(["-c", "exec 9>/dev/full; exec \"$@\"", "sh"])
            .args(&self.launcher)
            .arg(binary("pennypost"))
            .args(["start", "--root"])
            .arg(self.root.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        self.supervisor = Some(child);
        // The end of the log before may still be on its way to its own place.
        self.log = Arc::default();
        let (log, deaf) = (self.log.clone(), self.deaf.clone());
        std::thread::spawn(move || follow(stderr, &log, &deaf));
        let line = self.wait_log(|line| line == "ready" || line == "(end of log)");
        assert_eq!(line, "ready", "{:#?}", self.log());
    }

    /// Ends the supervisor with SIGTERM and waits for it; what it waits for is drained.
    pub fn stop(&mut self) {
        let mut child = self.supervisor.take().unwrap();
        kill(pid(&child), Signal::SIGTERM).unwrap();
        assert!(child.wait().unwrap().success(), "{:#?}", self.log());
    }

    /// Kills the supervisor with SIGKILL and waits until its daemons are gone too.
    pub fn kill(&mut self) {
        let daemons = self.daemons();
        let mut child = self.supervisor.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        let end = Instant::now() + PATIENCE;
        while daemons.iter().any(|(_, pid)| is_alive(*pid)) {
            assert!(Instant::now() < end, "daemons outlive their supervisor");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Kills a daemon with SIGKILL and waits for its successor: by then it is gone itself, and no
    /// request can be given to it any more.
    pub fn kill_daemon(&self, name: &str) {
        let is_it = |(other, _): &(String, Pid)| other == name;
        let (_, victim) = self.daemons().into_iter().find(is_it).unwrap();
        kill(victim, Signal::SIGKILL).unwrap();
        let end = Instant::now() + PATIENCE;
        while !self.daemons().into_iter().any(|it| is_it(&it) && it.1 != victim) {
            assert!(Instant::now() < end, "{name} is not restarted: {:#?}", self.log());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Names and process ids of the daemons.
    #[must_use]
    pub fn daemons(&self) -> Vec<(String, Pid)> {
        children(self.pid()).into_iter().filter_map(named).collect()
    }

    /// The most memory in RAM that a daemon has had, in KiB (VmHWM of proc(5)).
    #[must_use]
    pub fn peak_memory(&self, name: &str) -> usize {
        let (_, pid) = self.daemons().into_iter().find(|(other, _)| other == name).unwrap();
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().strip_suffix(" kB").unwrap().parse().unwrap()
    }

    /// Everything logged since the start.
    #[must_use]
    pub fn log(&self) -> Vec<String> {
        self.log.0.lock().unwrap().clone()
    }

    /// Waits for the first log line that `wanted` likes.
    pub fn wait_log(&self, wanted: impl Fn(&str) -> bool) -> String {
        let find = |lines: &[String]| lines.iter().find(|line| wanted(line)).cloned();
        self.wait_logs(find)
    }

    /// Waits until `find` finds something in the log.
    pub fn wait_logs<T>(&self, find: impl Fn(&[String]) -> Option<T>) -> T {
        let end = Instant::now() + PATIENCE;
        let mut lines = self.log.0.lock().unwrap();
        loop {
            if let Some(found) = find(&lines) {
                return found;
            }
            let Some(left) = end.checked_duration_since(Instant::now()) else {
                // Unlocked: what drops the system shows the log.
                drop(lines);
                panic!("it is not in the log, which follows");
            };
            lines = self.log.1.wait_timeout(lines, left).unwrap().0;
        }
    }

    /// Waits until the Maildir of `user` has `count` messages, and returns them.
    pub fn wait_mail(&self, user: &str, count: usize) -> Vec<String> {
        let end = Instant::now() + PATIENCE;
        loop {
            let mail = self.mail(user);
            if mail.len() >= count {
                return mail;
            }
            assert!(Instant::now() < end, "{} of {count}: {:#?}", mail.len(), self.log());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// The messages in the Maildir of `user`, oldest name first.
    #[must_use]
    pub fn mail(&self, user: &str) -> Vec<String> {
        let folder = self.path(&format!("home/{user}/Maildir/new"));
        let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
        let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        let read =
            |path: &PathBuf| String::from_utf8_lossy(&std::fs::read(path).unwrap()).into_owned();
        paths.iter().map(read).collect()
    }

    /// A command of ours (`pennypost`, `sendmail`, `mailq`) on this system.
    #[must_use]
    pub fn command(&self, name: &str) -> Command {
        let mut command = Command::new(binary(name));
        command.env("PENNYPOST_ROOT", self.root.path());
        if name == "pennypost" {
            command.arg("--root").arg(self.root.path());
        }
        command
    }

    /// Runs `sendmail` with a message on its standard input.
    #[must_use]
    pub fn sendmail(&self, arguments: &[&str], message: &str) -> Output {
        run(self.command("sendmail").args(arguments), message)
    }
}

/// Runs a command with `input` on its standard input.
#[must_use]
pub fn run(command: &mut Command, input: &str) -> Output {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    // A command may end without reading everything.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

impl Drop for System {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.log().join("\n"));
        }
        if self.supervisor.is_some() {
            self.kill();
        }
    }
}

/// Keeps the lines of the log until it ends, or nobody is to read it any more.
fn follow(stderr: BufReader<ChildStderr>, log: &Log, deaf: &AtomicBool) {
    let add = |line: String| {
        log.0.lock().unwrap().push(line);
        log.1.notify_all();
    };
    for line in stderr.lines().map_while(Result::ok) {
        add(line);
        if deaf.load(Ordering::Relaxed) {
            return;
        }
    }
    add("(end of log)".to_owned());
}

fn pid(child: &Child) -> Pid {
    Pid::from_raw(i32::try_from(child.id()).unwrap())
}

/// The processes whose parent this is.
#[must_use]
pub fn children(parent: u32) -> Vec<i32> {
    // Not /proc/PID/task/PID/children, which may leave one out while another one ends.
    let processes = std::fs::read_dir("/proc").unwrap();
    let pids = processes.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    pids.filter(|pid| parent_of(*pid) == Some(parent)).collect()
}

/// A zombie that nobody has reaped yet is dead for us.
#[must_use]
pub fn is_alive(pid: Pid) -> bool {
    stat(pid.as_raw()).is_some_and(|(state, _)| state != "Z")
}

fn parent_of(pid: i32) -> Option<u32> {
    stat(pid)?.1.parse().ok()
}

/// State and parent of a process, by proc_pid_stat(5).
fn stat(pid: i32) -> Option<(String, String)> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut words = stat.rsplit(')').next()?.split_whitespace().map(str::to_owned);
    Some((words.next()?, words.next()?))
}

fn named(pid: i32) -> Option<(String, Pid)> {
    let arguments = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let arguments = String::from_utf8_lossy(&arguments).into_owned();
    let mut words = arguments.split('\0');
    let name = Path::new(words.next()?).file_name()?.to_str()?.to_owned();
    let name = match words.next() {
        Some(role) if name == "smtpd" => format!("{name} {role}"),
        _ => name,
    };
    Some((name, Pid::from_raw(pid)))
}
