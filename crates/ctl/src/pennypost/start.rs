//! `pennypost start`: becomes the supervisor.

use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::Args;

use crate::site::Site;
use crate::{Exit, Failure};

/// Run the mail system in the foreground
///
/// Reads /etc/mail/pennypost.toml, starts the daemons, and says "ready" on stderr. SIGTERM or
/// "pennypost stop" ends it once everything under way is finished.
///
/// With --root everything lies below a directory (DIR/etc/mail, DIR/var/spool/pennypost,
/// DIR/run/pennypost), every process belongs to the caller, and the local users are the names in
/// the table DIR/etc/mail/users, each with home DIR/home/NAME.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  pennypost start
  pennypost start --root /tmp/mail
  pennypost start --config ./pennypost.toml --root /tmp/mail")]
pub(super) struct Start {
    /// Another configuration file
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl Start {
    /// Returns only if there is nothing to become.
    pub(super) fn run(self, site: &Site) -> Failure {
        let mut command = match supervisor(site, self.config.as_deref()) {
            Ok(command) => command,
            Err(failure) => return failure,
        };
        let error = command.exec();
        let program = Path::new(command.get_program()).display();
        Failure::new(Exit::Unavailable, format!("cannot run {program}: {error}"))
    }
}

/// The supervisor with its arguments.
pub(crate) fn supervisor(site: &Site, config: Option<&Path>) -> Result<Command, Failure> {
    let mut command = Command::new(find("supervisor")?);
    if let Some(root) = site.root() {
        command.arg("--root").arg(root);
    }
    if let Some(config) = config {
        command.arg("--config").arg(config);
    }
    Ok(command)
}

/// An executable of this installation.
pub(crate) fn find(name: &str) -> Result<PathBuf, Failure> {
    let own = std::env::current_exe()
        .map_err(|error| Failure::new(Exit::Unavailable, format!("/proc: {error}")))?;
    let beside = own.parent().unwrap_or(Path::new("/"));
    let places =
        [beside, &beside.join("../libexec/pennypost"), Path::new("/usr/libexec/pennypost")];
    let found = places.iter().map(|place| place.join(name)).find(|path| path.is_file());
    found.ok_or_else(|| {
        let places = places.map(|place| place.display().to_string()).join(", ");
        let text = format!("the executable \"{name}\" is in none of {places}");
        Failure::new(Exit::Unavailable, text)
    })
}
