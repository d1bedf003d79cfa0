//! Where things are: below the root that `--root` or `PENNYPOST_ROOT` names, or at `/`.

use std::path::{Path, PathBuf};

use config::{Config, Report, Snapshot};
use envelope::{Detail, Enhanced, Status, printable};

use crate::{Exit, Failure};

/// One installation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Site {
    root: Option<PathBuf>,
    /// Another configuration than the one at its place.
    config: Option<PathBuf>,
}

/// Says where everything is, for `sendmail`, whose options are taken.
const ROOT: &str = "PENNYPOST_ROOT";

impl Site {
    /// A relative path is the caller's: processes that are started for him run elsewhere.
    pub(crate) fn new(root: Option<PathBuf>) -> Self {
        let absolute = |root: PathBuf| std::path::absolute(&root).unwrap_or(root);
        Self { root: root.map(absolute), config: None }
    }

    /// With this configuration.
    pub(crate) fn with_config(self, config: Option<PathBuf>) -> Self {
        Self { config, ..self }
    }

    /// What the administrator wrote.
    ///
    /// # Errors
    /// What is wrong with it, line by line.
    pub(crate) fn load(&self) -> Result<Config, Box<Report>> {
        config::load(self.root(), self.config.as_deref())
    }

    /// What the environment says.
    pub(crate) fn from_environment() -> Self {
        let root = std::env::var_os(ROOT).filter(|root| !root.is_empty());
        Self::new(root.map(PathBuf::from))
    }

    /// The same with its tables, as the mail system would take them now.
    ///
    /// # Errors
    /// With what it would not start.
    pub(crate) fn snapshot(&self) -> Result<Snapshot, String> {
        Snapshot::take(self.root(), self.config.as_deref())
    }

    pub(crate) fn root(&self) -> Option<&Path> {
        self.root.as_deref()
    }

    /// The socket that takes mail from everyone.
    pub(crate) fn submit_socket(&self) -> PathBuf {
        self.below("run/pennypost/submit")
    }

    /// The socket that answers `pennypost`.
    pub(crate) fn control_socket(&self) -> PathBuf {
        self.below("run/pennypost/control")
    }

    /// Where `sendmail` leaves messages when nobody answers.
    pub(crate) fn drop_directory(&self) -> PathBuf {
        self.below("var/spool/pennypost/drop")
    }

    pub(crate) fn queue_directory(&self) -> PathBuf {
        self.below("var/spool/pennypost/queue")
    }

    pub(crate) fn tables(&self) -> PathBuf {
        self.below("etc/mail")
    }

    /// A user's home under `--root`.
    pub(crate) fn home_of(&self, user: &str) -> PathBuf {
        self.below("home").join(user)
    }

    fn below(&self, path: &str) -> PathBuf {
        self.root.as_deref().unwrap_or(Path::new("/")).join(path)
    }
}

/// What `sendmail` needs to know of the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rules {
    pub(crate) hostname: String,
    /// Bytes of content.
    pub(crate) message_size: u64,
    /// Recipients of one transaction.
    pub(crate) recipients: usize,
    /// `Received` fields after which a message is a loop.
    pub(crate) hops: usize,
}

impl Rules {
    /// From the configuration; mail is taken even while that cannot be read, since it may be
    /// broken at the moment and the caller cannot mend it.
    pub(crate) fn read(site: &Site) -> Self {
        match site.load() {
            Ok(config) => Self {
                hostname: config.hostname,
                message_size: config.limits.message_size,
                recipients: config.limits.recipients,
                hops: config.limits.hops,
            },
            Err(_) => Self {
                hostname: machine_name(),
                message_size: 50_000_000,
                // RFC 5321 §4.5.3.1.8: every server takes 100.
                recipients: 100,
                hops: 100,
            },
        }
    }

    /// One setting by its name, `queue.lifetime`: as the mail system takes it, times in seconds.
    ///
    /// # Errors
    /// Exit code 64: there is none of this name; 78: the configuration cannot be read.
    pub(crate) fn setting(site: &Site, name: &str) -> Result<String, Failure> {
        let config = site.load();
        let config = config.map_err(|why| Failure::new(Exit::Config, why.to_string()))?;
        let all = serde_json::to_value(config);
        let all = all.map_err(|why| Failure::new(Exit::Software, why.to_string()))?;
        let path = format!("/{}", name.replace('.', "/"));
        let Some(value) = all.pointer(&path) else {
            let text = format!("there is no setting \"{}\"", printable(name));
            return Err(Failure::new(Exit::Usage, text));
        };
        // A time, of which no setting has a part of a second.
        let value = value.get("secs").unwrap_or(value);
        Ok(value.as_str().map_or_else(|| value.to_string(), str::to_owned))
    }

    /// RFC 5321 §6.3: the refusal of a message that has been around too often.
    pub(crate) fn loops(&self, content: &[u8], hops: usize) -> Option<Status> {
        let all = hops.saturating_add(message::count(content, "Received"));
        (all > self.hops).then(|| {
            let text = format!("too many hops: {all} (the most is {})", self.hops);
            Status::Failed(Detail::ours(Enhanced::LOOP, text))
        })
    }
}

/// What the kernel calls this machine.
pub(crate) fn machine_name() -> String {
    let name = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok());
    name.filter(|name| !name.is_empty()).unwrap_or_else(|| "localhost".to_owned())
}
