//! The root of a demo: its configuration, its user, its ports.

use std::fs::{self, DirBuilder};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use envelope::QueueId;

use crate::site::Site;
use crate::{Exit, Failure};

/// The demo's name and only domain; `.example` is nobody's (RFC 2606 §2).
pub(super) const HOSTNAME: &str = "demo.example";
/// The demo's only user.
pub(super) const USER: &str = "alice";

/// The first line of a configuration that a demo may overwrite.
const MARK: &str = "# Written by \"pennypost demo\".";
/// Bytes of a socket's path that the kernel takes (unix(7)).
const MAX_SOCKET: usize = 107;

/// The root, ready for a supervisor.
#[derive(Debug)]
pub(super) struct Ground {
    site: Site,
    root: PathBuf,
    temporary: bool,
    configuration: String,
    pub(super) mx: SocketAddr,
}

impl Ground {
    /// Makes the root: `dir`, which stays, or a temporary directory.
    pub(super) fn make(dir: Option<PathBuf>) -> Result<Self, Failure> {
        let temporary = dir.is_none();
        let root = dir.unwrap_or_else(|| {
            let name = format!("pennypost-demo.{:08x}", fastrand::u32(..));
            std::env::temp_dir().join(name)
        });
        let made = DirBuilder::new().recursive(!temporary).mode(0o700).create(&root);
        let root =
            made.and_then(|()| root.canonicalize()).map_err(|error| failed(&root, &error))?;
        let ground = Self::furnish(root.clone(), temporary);
        if ground.is_err() && temporary {
            // Nobody will clean up after a ground that was never made.
            let _ = fs::remove_dir_all(&root);
        }
        ground
    }

    fn furnish(root: PathBuf, temporary: bool) -> Result<Self, Failure> {
        let site = Site::new(Some(root.clone()));
        let socket = site.control_socket();
        if socket.as_os_str().len() > MAX_SOCKET {
            let text = format!("{}: too long for a socket; use --dir", socket.display());
            return Err(Failure::new(Exit::Usage, text));
        }
        let [mx, submission] =
            free_ports().map_err(|error| failed(Path::new("127.0.0.1"), &error))?;
        let configuration = format!(
            "{MARK}\n\
             hostname = \"{HOSTNAME}\"\n\n\
             [[listener]]\nrole = \"mx\"\naddress = [\"{mx}\"]\n\n\
             [[listener]]\nrole = \"submission\"\naddress = [\"{submission}\"]\n\n\
             [local]\nmailbox = \"maildir:{{home}}/Maildir\"\n\n\
             # However busy this machine is.\n\
             [queue]\nqueue_only_load = 100000.0\nrefuse_load = 100000.0\n\n\
             [log]\ntarget = \"stderr\"\n"
        );
        let ground = Self { site, root, temporary, configuration, mx };
        ground.write()?;
        Ok(ground)
    }

    fn write(&self) -> Result<(), Failure> {
        let tables = self.site.tables();
        fs::create_dir_all(&tables).map_err(|error| failed(&tables, &error))?;
        let file = tables.join("pennypost.toml");
        let foreign = fs::read_to_string(&file).is_ok_and(|text| !text.starts_with(MARK));
        if foreign {
            let text = format!("{}: is there and not a demo's; use another --dir", file.display());
            return Err(Failure::new(Exit::Usage, text));
        }
        let write =
            |path: &Path, text: &str| fs::write(path, text).map_err(|error| failed(path, &error));
        write(&file, &self.configuration)?;
        write(&tables.join("users"), &format!("{USER}\n"))?;
        write(&tables.join("aliases"), &format!("root: {USER}\n"))
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    pub(super) const fn site(&self) -> &Site {
        &self.site
    }

    pub(super) fn configuration(&self) -> &str {
        &self.configuration
    }

    /// Where new messages of the user are.
    pub(super) fn mailbox(&self) -> PathBuf {
        self.site.home_of(USER).join("Maildir/new")
    }

    /// The file in the mailbox whose `Received` field has this queue id.
    pub(super) fn delivered(&self, id: QueueId) -> Option<PathBuf> {
        let id = id.to_string();
        let holds_it = |path: &PathBuf| {
            let content = fs::read(path).unwrap_or_default();
            let received = message::first(&content, "Received");
            received.is_some_and(|field| field.text().contains(&id))
        };
        let files = fs::read_dir(self.mailbox()).ok()?;
        files.flatten().map(|file| file.path()).find(holds_it)
    }

    /// Removes what is temporary.
    pub(super) fn clean_up(self) -> Result<(), Failure> {
        if !self.temporary {
            return Ok(());
        }
        fs::remove_dir_all(&self.root).map_err(|error| failed(&self.root, &error))
    }
}

/// Two ports that nobody listens on; held both at once, so that they differ.
fn free_ports() -> io::Result<[SocketAddr; 2]> {
    let listeners = [TcpListener::bind("127.0.0.1:0")?, TcpListener::bind("127.0.0.1:0")?];
    let [mx, submission] = listeners.each_ref().map(TcpListener::local_addr);
    Ok([mx?, submission?])
}

fn failed(path: &Path, error: &io::Error) -> Failure {
    Failure::new(Exit::IoErr, format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_foreign_configuration_stays() {
        let directory = tempfile::tempdir().unwrap();
        let make = || Ground::make(Some(directory.path().join("demo")));
        make().unwrap();
        let ground = make().unwrap();
        let file = ground.site.tables().join("pennypost.toml");
        assert_eq!(fs::read_to_string(&file).unwrap(), ground.configuration());
        fs::write(&file, "hostname = \"mine.test\"\n").unwrap();
        assert_eq!(make().unwrap_err().exit, Exit::Usage);
        assert_eq!(fs::read_to_string(&file).unwrap(), "hostname = \"mine.test\"\n");
    }

    #[test]
    fn what_is_temporary_goes() {
        let ground = Ground::make(None).unwrap();
        let root = ground.root().to_owned();
        assert!(root.join("etc/mail/users").exists());
        ground.clean_up().unwrap();
        assert!(!root.exists());
    }

    #[test]
    fn a_message_is_found_by_its_id() {
        let directory = tempfile::tempdir().unwrap();
        let ground = Ground::make(Some(directory.path().join("demo"))).unwrap();
        let [id, other] = [1, 2].map(|number| QueueId::new(number).unwrap());
        assert_eq!(ground.delivered(id), None);
        fs::create_dir_all(ground.mailbox()).unwrap();
        let path = ground.mailbox().join("1");
        fs::write(&path, format!("Return-Path: <>\nReceived: from x\n\tid {id}; y\n\nhi\n"))
            .unwrap();
        assert_eq!(ground.delivered(id), Some(path));
        assert_eq!(ground.delivered(other), None);
    }
}
