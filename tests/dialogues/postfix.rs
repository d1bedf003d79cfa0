//! Plays the same dialogues to Postfix: where it answers in another class (2, 3, 4 or 5) than we
//! do, `docs/postfix-differences.md` gives the reason.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::{fits_tcp, script};
use script::{Script, Step};

const POSTFIX: &str = "/usr/sbin/postfix";
/// The version whose differences are listed; later ones have fewer.
const LISTED: &str = "3.7.";
/// Where both answer, they do so at once; who waits longer waits for more input.
const SILENCE: Duration = Duration::from_secs(2);

/// A Postfix that knows the addresses of the dialogues, relays nothing and throws away what it
/// takes.
struct Postfix {
    folder: tempfile::TempDir,
    address: SocketAddr,
    master: Child,
}

impl Postfix {
    fn start() -> Option<Self> {
        if !Path::new(POSTFIX).exists() || !nix::unistd::geteuid().is_root() {
            println!("skipped: no Postfix, or not root");
            return None;
        }
        let folder = tempfile::Builder::new().prefix("pf").tempdir_in("/tmp").unwrap();
        std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o755)).unwrap();
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        configure(folder.path(), address);
        let mut command = Command::new(POSTFIX);
        command.arg("-c").arg(folder.path().join("etc")).arg("start-fg");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let postfix = Self { address, master: command.spawn().unwrap(), folder };
        let end = Instant::now() + support::PATIENCE;
        while TcpStream::connect(address).is_err() {
            assert!(Instant::now() < end, "Postfix does not listen");
            std::thread::sleep(Duration::from_millis(50));
        }
        Some(postfix)
    }
}

impl Drop for Postfix {
    fn drop(&mut self) {
        let mut command = Command::new(POSTFIX);
        command.arg("-c").arg(self.folder.path().join("etc")).arg("stop");
        let _ = command.stderr(Stdio::null()).status();
        // `start-fg` ends with its master.
        let _ = self.master.wait();
    }
}

fn configure(path: &Path, address: SocketAddr) {
    for folder in ["etc", "queue", "data"] {
        std::fs::create_dir(path.join(folder)).unwrap();
    }
    let user = nix::unistd::User::from_name("postfix").unwrap().unwrap();
    nix::unistd::chown(&path.join("data"), Some(user.uid), Some(user.gid)).unwrap();
    let known = ["alice", "bob", "postmaster"]
        .map(|user| format!(" {{ {user}@mail.test = x }} {{ {user}@mx.mail.test = x }}"));
    let main = format!(
        "compatibility_level = 3.6\nmyhostname = mx.mail.test\nmyorigin = mx.mail.test\n\
         mydestination =\nmynetworks =\nqueue_directory = {0}/queue\ndata_directory = {0}/data\n\
         maillog_file_prefixes = /tmp\nmaillog_file = {0}/log\ninet_interfaces = 127.0.0.1\n\
         inet_protocols = ipv4\nalias_maps =\nalias_database =\nlocal_recipient_maps =\n\
         virtual_mailbox_domains = mail.test, mx.mail.test\n\
         virtual_mailbox_maps = inline:{{{1} }}\nvirtual_transport = discard:\n\
         smtpd_relay_restrictions = reject_unauth_destination\nsmtpd_error_sleep_time = 0\n\
         smtpd_tls_security_level = none\nsmtputf8_enable = yes\n",
        path.display(),
        known.concat(),
    );
    std::fs::write(path.join("etc/main.cf"), main).unwrap();
    let master = format!(
        "127.0.0.1:{} inet n - n - - smtpd\ncleanup unix n - n - 0 cleanup\n\
         qmgr unix n - n 300 1 qmgr\nrewrite unix - - n - - trivial-rewrite\n\
         bounce unix - - n - 0 bounce\ndefer unix - - n - 0 bounce\nproxymap unix - - n - - proxymap\n\
         discard unix - - n - - discard\nanvil unix - - n - 1 anvil\n\
         postlog unix-dgram n - n - 1 postlogd\n",
        address.port()
    );
    std::fs::write(path.join("etc/master.cf"), master).unwrap();
}

#[test]
fn postfix_answers_in_the_same_classes() {
    let Some(postfix) = Postfix::start() else { return };
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    let scripts = script::all(&tests.join("dialogues/server"));
    let mut differences = BTreeSet::new();
    for script in scripts.iter().filter(|script| fits_tcp(script)) {
        if let Err(difference) = play(postfix.address, script) {
            let name = script.path.file_stem().unwrap().to_string_lossy().into_owned();
            println!("{name}: {difference}");
            differences.insert(name);
        }
    }
    let text = std::fs::read_to_string(tests.join("../docs/postfix-differences.md")).unwrap();
    let rows = text.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
    let listed: BTreeSet<_> = rows.map(|(name, _)| name.to_owned()).collect();
    let unlisted: Vec<_> = differences.difference(&listed).collect();
    assert!(unlisted.is_empty(), "not in docs/postfix-differences.md: {unlisted:?}");
    if postfix_version().starts_with(LISTED) {
        assert_eq!(differences, listed, "docs/postfix-differences.md");
    }
}

fn postfix_version() -> String {
    let mut command = Command::new("/usr/sbin/postconf");
    let output = command.args(["-dh", "mail_version"]).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

/// What Postfix does otherwise first.
fn play(address: SocketAddr, script: &Script) -> Result<(), String> {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(SILENCE)).unwrap();
    let mut client = BufReader::new(stream);
    for (number, step) in script.steps.iter().enumerate() {
        let place = |what: String| format!("step {}: {what}", number + 1);
        match step {
            // The server may have closed already.
            Step::Send(bytes) => drop(client.get_mut().write_all(bytes)),
            // The last line of a reply.
            Step::Expect(line) if line.as_bytes().get(3) != Some(&b'-') => {
                let class = reply_class(&mut client).map_err(&place)?;
                if !line.starts_with(class) {
                    return Err(place(format!("we say {line}, Postfix {class}xx")));
                }
            }
            Step::Close => match reply_class(&mut client) {
                Ok(class) => return Err(place(format!("we close, Postfix says {class}xx"))),
                Err(end) if end == "closed" => {}
                Err(end) => return Err(place(format!("we close, Postfix: {end}"))),
            },
            Step::Gone => break,
            Step::Expect(_) | Step::Queued(_) | Step::Content(_) | Step::Wait(_) | Step::Drain => {}
        }
    }
    Ok(())
}

/// The first digit of the next reply, or how there is none.
fn reply_class(client: &mut BufReader<TcpStream>) -> Result<char, String> {
    loop {
        let mut line = String::new();
        match client.read_line(&mut line) {
            Ok(0) => return Err("closed".to_owned()),
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => {
                return Err("closed".to_owned());
            }
            Err(_) => return Err("silent".to_owned()),
            Ok(_) if line.as_bytes().get(3) != Some(&b'-') => {
                return line.chars().next().ok_or_else(|| "closed".to_owned());
            }
            Ok(_) => {}
        }
    }
}
