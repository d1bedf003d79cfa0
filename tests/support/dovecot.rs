//! A Dovecot of a test's own, from Debian's packages: the LMTP server that has the mailboxes.

use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, User};

use crate::{PATIENCE, installed, skipped, system};

const DOVECOT: &str = "/usr/sbin/dovecot";

/// `{FOLDER}` is the instance's own.
const CONFIGURATION: &str = "\
base_dir = {FOLDER}/run
log_path = {FOLDER}/log
protocols = lmtp
ssl = no
hostname = dovecot.test
postmaster_address = postmaster@dovecot.test
mail_location = maildir:~/Maildir
first_valid_uid = 1
auth_username_format = %Ln
recipient_delimiter = +
mail_plugins = quota
plugin {
  quota = count:User quota
  quota_vsizes = yes
}
passdb {
  driver = static
  args = nopassword=y
}
userdb {
  driver = passwd-file
  args = username_format=%n {FOLDER}/users
}
service lmtp {
  unix_listener {SOCKET} {
    mode = 0666
  }
  inet_listener lmtp {
    address = 127.0.0.1
    port = {PORT}
  }
}
";

/// Users, and the bytes that each may have: `full` has room for no message.
const USERS: [(&str, u32); 3] = [("alice", 100_000_000), ("bob", 100_000_000), ("full", 10)];

/// A running instance. Stopped when dropped.
#[derive(Debug)]
pub struct Dovecot {
    folder: tempfile::TempDir,
    socket: PathBuf,
    address: SocketAddr,
    master: Option<Child>,
}

impl Dovecot {
    /// Starts one with the users alice, bob and full, which listens at `socket` and at a port of
    /// loopback. `None`: not installed or not root; a line says so.
    #[must_use]
    pub fn start(socket: &Path) -> Option<Self> {
        if !installed("dovecot", "dovecot-core") || !installed("dovecot/lmtp", "dovecot-lmtpd") {
            return None;
        }
        if !nix::unistd::geteuid().is_root() {
            skipped("Dovecot of several users runs as root only");
            return None;
        }
        let folder = tempfile::Builder::new().prefix("dv").tempdir_in("/tmp").unwrap();
        std::fs::create_dir_all(socket.parent().unwrap()).unwrap();
        let address = system::free_address();
        configure(folder.path(), socket, address);
        let mut dovecot = Self { folder, socket: socket.to_owned(), address, master: None };
        dovecot.run();
        Some(dovecot)
    }

    /// Where it listens, too.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Starts it again.
    pub fn run(&mut self) {
        let mut command = Command::new(DOVECOT);
        command.arg("-F").arg("-c").arg(self.folder.path().join("dovecot.conf"));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        self.master = Some(command.spawn().unwrap());
        let end = Instant::now() + PATIENCE;
        let is_up = || {
            UnixStream::connect(&self.socket).is_ok() && TcpStream::connect(self.address).is_ok()
        };
        while !is_up() {
            assert!(Instant::now() < end, "Dovecot does not listen: {}", self.log());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Ends it, and waits until it is gone.
    pub fn stop(&mut self) {
        if let Some(mut master) = self.master.take() {
            let pid = Pid::from_raw(i32::try_from(master.id()).unwrap());
            kill(pid, Signal::SIGTERM).unwrap();
            master.wait().unwrap();
        }
    }

    /// Waits until `user` has `count` messages in a mailbox of Dovecot's, and returns them.
    #[must_use]
    pub fn wait_mail(&self, user: &str, count: usize) -> Vec<String> {
        let end = Instant::now() + PATIENCE;
        loop {
            let mail = self.mail(user);
            if mail.len() >= count {
                return mail;
            }
            assert!(Instant::now() < end, "{} of {count}: {}", mail.len(), self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// What `user` has.
    #[must_use]
    pub fn mail(&self, user: &str) -> Vec<String> {
        let folder = self.folder.path().join("mail").join(user).join("Maildir/new");
        let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
        let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        paths.iter().map(|path| std::fs::read_to_string(path).unwrap()).collect()
    }

    /// Everything that it logged.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Dovecot {
    fn drop(&mut self) {
        self.stop();
    }
}

fn configure(folder: &Path, socket: &Path, address: SocketAddr) {
    std::fs::set_permissions(folder, PermissionsExt::from_mode(0o755)).unwrap();
    let owner = User::from_name("mail").unwrap().unwrap();
    for name in ["run", "mail"] {
        std::fs::create_dir(folder.join(name)).unwrap();
    }
    nix::unistd::chown(&folder.join("mail"), Some(owner.uid), Some(owner.gid)).unwrap();
    let line = |(user, room): (&str, u32)| {
        let (uid, gid, home) = (owner.uid, owner.gid, folder.join("mail").join(user));
        let quota = format!("userdb_quota_rule=*:bytes={room}");
        format!("{user}:x:{uid}:{gid}::{}::{quota}\n", home.display())
    };
    std::fs::write(folder.join("users"), USERS.map(line).concat()).unwrap();
    let text = CONFIGURATION
        .replace("{FOLDER}", &folder.display().to_string())
        .replace("{SOCKET}", &socket.display().to_string())
        .replace("{PORT}", &address.port().to_string());
    std::fs::write(folder.join("dovecot.conf"), text).unwrap();
}
