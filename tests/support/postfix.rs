//! A Postfix of a test's own, from Debian's package: another implementation to compare with.

use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::unistd::User;

use crate::{PATIENCE, installed, skipped, system};

const POSTFIX: &str = "/usr/sbin/postfix";

/// What every configuration has; `{FOLDER}` is the instance's own.
const MAIN: &str = "\
compatibility_level = 3.6
mydestination =
queue_directory = {FOLDER}/queue
data_directory = {FOLDER}/data
maillog_file_prefixes = /tmp
maillog_file = {FOLDER}/log
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
alias_maps =
alias_database =
smtp_tls_security_level = none
smtpd_tls_security_level = none
";

/// The services of `master.cf` beside `smtpd`.
const MASTER: &str = "\
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
";

/// A running instance. Stopped when dropped.
#[derive(Debug)]
pub struct Postfix {
    folder: tempfile::TempDir,
    address: SocketAddr,
    master: Child,
}

impl Postfix {
    /// Starts one with more lines of `main.cf`, in which `{FOLDER}`, `{UID}` and `{GID}` (of the
    /// user `postfix`) are filled in. `None`: not installed or not root; a line says so.
    #[must_use]
    pub fn start(main: &str) -> Option<Self> {
        if !installed("postfix", "postfix") {
            return None;
        }
        if !nix::unistd::geteuid().is_root() {
            skipped("Postfix runs as root only");
            return None;
        }
        let folder = tempfile::Builder::new().prefix("pf").tempdir_in("/tmp").unwrap();
        let address = system::free_address();
        configure(folder.path(), address, main);
        let mut command = Command::new(POSTFIX);
        command.arg("-c").arg(folder.path().join("etc")).arg("start-fg");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let postfix = Self { address, master: command.spawn().unwrap(), folder };
        let end = Instant::now() + PATIENCE;
        while TcpStream::connect(address).is_err() {
            assert!(Instant::now() < end, "Postfix does not listen");
            std::thread::sleep(Duration::from_millis(50));
        }
        Some(postfix)
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// What is below its folder.
    #[must_use]
    pub fn path(&self, below: &str) -> PathBuf {
        self.folder.path().join(below)
    }
}

impl Drop for Postfix {
    fn drop(&mut self) {
        let mut command = Command::new(POSTFIX);
        command.arg("-c").arg(self.path("etc")).arg("stop");
        let _ = command.stderr(Stdio::null()).status();
        // `start-fg` ends with its master.
        let _ = self.master.wait();
    }
}

fn configure(folder: &Path, address: SocketAddr, main: &str) {
    std::fs::set_permissions(folder, PermissionsExt::from_mode(0o755)).unwrap();
    let user = User::from_name("postfix").unwrap().unwrap();
    for name in ["etc", "queue", "data", "mail"] {
        std::fs::create_dir(folder.join(name)).unwrap();
    }
    for name in ["data", "mail"] {
        nix::unistd::chown(&folder.join(name), Some(user.uid), Some(user.gid)).unwrap();
    }
    let main = format!("{MAIN}{main}")
        .replace("{FOLDER}", &folder.display().to_string())
        .replace("{UID}", &user.uid.to_string())
        .replace("{GID}", &user.gid.to_string());
    std::fs::write(folder.join("etc/main.cf"), main).unwrap();
    let master = format!("127.0.0.1:{} inet n - n - - smtpd\n{MASTER}", address.port());
    std::fs::write(folder.join("etc/master.cf"), master).unwrap();
}
