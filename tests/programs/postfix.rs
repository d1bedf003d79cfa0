//! Postfix as the next hop and as the sender.

use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use support::{Client, PATIENCE, SystemBuilder};

use crate::installed;

/// A Postfix of its own in a temporary folder: takes all mail for `postfix.test` into one Maildir,
/// and hands everything else to `next_hop`.
struct Postfix {
    folder: tempfile::TempDir,
    address: SocketAddr,
    master: Child,
}

impl Postfix {
    fn start(next_hop: SocketAddr) -> Option<Self> {
        if !installed("postfix", "postfix") {
            return None;
        }
        if !nix::unistd::geteuid().is_root() {
            println!("skipped: Postfix runs as root only");
            return None;
        }
        let folder = tempfile::Builder::new().prefix("pf").tempdir_in("/tmp").unwrap();
        let path = folder.path();
        std::fs::set_permissions(path, PermissionsExt::from_mode(0o755)).unwrap();
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        configure(path, address, next_hop);
        let master = Command::new("/usr/sbin/postfix")
            .arg("-c")
            .arg(path.join("etc"))
            .arg("start-fg")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let postfix = Self { address, master, folder };
        postfix.wait_for_port();
        Some(postfix)
    }

    fn wait_for_port(&self) {
        let end = Instant::now() + PATIENCE;
        while std::net::TcpStream::connect(self.address).is_err() {
            assert!(Instant::now() < end, "Postfix does not listen");
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
    }

    fn wait_mail(&self, count: usize) -> Vec<String> {
        let inbox = self.folder.path().join("mail/inbox/new");
        let end = Instant::now() + PATIENCE;
        loop {
            let entries: Vec<PathBuf> = std::fs::read_dir(&inbox)
                .map(|entries| entries.map(|entry| entry.unwrap().path()).collect())
                .unwrap_or_default();
            if entries.len() >= count {
                return entries.iter().map(|p| std::fs::read_to_string(p).unwrap()).collect();
            }
            assert!(Instant::now() < end, "Postfix has {} of {count}", entries.len());
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }
}

impl Drop for Postfix {
    fn drop(&mut self) {
        let stop = Command::new("/usr/sbin/postfix")
            .arg("-c")
            .arg(self.folder.path().join("etc"))
            .arg("stop")
            .stderr(Stdio::null())
            .status();
        drop(stop);
        // `start-fg` ends with its master.
        let _ = self.master.wait();
    }
}

fn configure(path: &Path, address: SocketAddr, next_hop: SocketAddr) {
    for folder in ["etc", "queue", "data", "mail"] {
        std::fs::create_dir(path.join(folder)).unwrap();
    }
    let user = nix::unistd::User::from_name("postfix").unwrap().unwrap();
    for folder in ["data", "mail"] {
        nix::unistd::chown(&path.join(folder), Some(user.uid), Some(user.gid)).unwrap();
    }
    let main = format!(
        "compatibility_level = 3.6\nmyhostname = postfix.example\nmydestination =\n\
         queue_directory = {0}/queue\ndata_directory = {0}/data\nmaillog_file_prefixes = /tmp\n\
         maillog_file = {0}/log\nmynetworks = 127.0.0.0/8\ninet_interfaces = 127.0.0.1\n\
         inet_protocols = ipv4\nrelayhost = [127.0.0.1]:{1}\nsmtp_tls_security_level = none\n\
         virtual_mailbox_domains = postfix.test\nvirtual_mailbox_base = {0}/mail\n\
         virtual_mailbox_maps = static:inbox/\nvirtual_uid_maps = static:{2}\n\
         virtual_gid_maps = static:{3}\nvirtual_minimum_uid = 1\nsmtpd_tls_security_level = none\n\
         alias_maps =\nalias_database =\n",
        path.display(),
        next_hop.port(),
        user.uid,
        user.gid
    );
    std::fs::write(path.join("etc/main.cf"), main).unwrap();
    let mut master = format!("127.0.0.1:{} inet n - n - - smtpd\n", address.port());
    for line in [
        "pickup unix n - n 60 1 pickup",
        "cleanup unix n - n - 0 cleanup",
        "qmgr unix n - n 300 1 qmgr",
        "rewrite unix - - n - - trivial-rewrite",
        "bounce unix - - n - 0 bounce",
        "defer unix - - n - 0 bounce",
        "trace unix - - n - 0 bounce",
        "verify unix - - n - 1 verify",
        "flush unix n - n 1000? 0 flush",
        "proxymap unix - - n - - proxymap",
        "smtp unix - - n - - smtp",
        "relay unix - - n - - smtp",
        "error unix - - n - - error",
        "retry unix - - n - - error",
        "virtual unix - n n - - virtual",
        "anvil unix - - n - 1 anvil",
        "scache unix - - n - 1 scache",
        "postlog unix-dgram n - n - 1 postlogd",
    ] {
        master.push_str(line);
        master.push('\n');
    }
    std::fs::write(path.join("etc/master.cf"), master).unwrap();
}

#[test]
fn postfix_is_the_next_hop() {
    let Some(postfix) = Postfix::start("127.0.0.1:9".parse().unwrap()) else { return };
    let system = SystemBuilder::new().smarthost(postfix.address).start();
    let mut client = system.session();
    let long = format!("Subject: long\n\n{}", ".dots and text\n".repeat(20_000));
    for text in ["Subject: one\n\n.\n..\nend\n", "Subject: two\n\nümlaut\n", &long] {
        client.transaction("alice@local.test", &["x@postfix.test", "y@postfix.test"], text);
    }
    let mail = postfix.wait_mail(6);
    assert!(mail.iter().any(|mail| mail.ends_with("\n\n.\n..\nend\n")), "{mail:#?}");
    assert!(mail.iter().any(|mail| mail.ends_with("ümlaut\n")));
    let (_, long) = long.split_once("\n\n").unwrap();
    assert!(mail.iter().any(|mail| mail.ends_with(long)));
    system.wait_log(|line| line.contains("stat=Sent") && line.contains("queued as"));
}

#[test]
fn postfix_is_the_sender() {
    let system = SystemBuilder::new().start();
    let Some(postfix) = Postfix::start(system.smtp()) else { return };
    let mut client = Client::connect(postfix.address);
    client.command("EHLO client.test", "250");
    let text = format!("Subject: via Postfix\n\n.\n{}", "ü and dots\n..\n".repeat(10_000));
    client.transaction("carol@example.org", &["alice@local.test", "bob@local.test"], &text);
    client.transaction("carol@example.org", &["alice@local.test"], "Subject: second\n\nx\n");
    assert_eq!(system.wait_mail("alice", 2).len(), 2);
    let bob = system.wait_mail("bob", 1).remove(0);
    let (_, body) = text.split_once("\n\n").unwrap();
    // Postfix adds the header fields that are missing.
    assert!(bob.ends_with(body), "{}", &bob[..2000]);
}
