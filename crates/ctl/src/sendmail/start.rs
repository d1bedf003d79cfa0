//! `-bd`, `-bD`, `smtpd`: the mail system is started, if it does not run.

use std::io::{self, Write};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command as Logger, Stdio};
use std::time::{Duration, Instant};

use ipc::admin::{Answer, Command, Hello};

use crate::control::{Control, wait};
use crate::pennypost::supervisor;
use crate::site::Site;
use crate::{Exit, Failure};

/// How long it may take to be ready.
const READY: Duration = Duration::from_secs(60);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(50);
/// systemd runs this machine (sd_booted(3)).
const SYSTEMD: &str = "/run/systemd/system";

/// Who waits for whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ground {
    /// `-bD`: we become it.
    Fore,
    /// `-bd`: it goes on when we have ended.
    Back,
}

pub(super) fn run(ground: Ground, config: Option<&Path>, site: &Site) -> Result<Exit, Failure> {
    if runs(site) {
        writeln!(io::stdout(), "the mail system runs already")?;
        return Ok(Exit::Ok);
    }
    let mut command = supervisor(site, config)?;
    if ground == Ground::Fore {
        let error = command.exec();
        return Err(Failure::new(Exit::Unavailable, format!("supervisor: {error}")));
    }
    if site.root().is_none() && Path::new(SYSTEMD).is_dir() {
        let text = "systemd starts the mail system here: systemctl start pennypost";
        return Err(Failure::new(Exit::Unavailable, text));
    }
    // Said here: what it says itself is in the log.
    site.load().map_err(|report| Failure::new(Exit::Config, report.to_string()))?;
    let failed = |error: io::Error| Failure::new(Exit::Unavailable, format!("supervisor: {error}"));
    // Nothing of the caller's stays open, and Ctrl-C is not for it.
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log()).process_group(0);
    let mut child = command.spawn().map_err(failed)?;
    let until = Instant::now() + READY;
    while Instant::now() < until {
        if let Some(ended) = child.try_wait().map_err(failed)? {
            let text = format!(
                "the mail system has ended at once ({ended}): the log says why, and so do \
                 \"pennypost check\" and \"pennypost start\""
            );
            let config = ended.code() == Some(Exit::Config as i32);
            return Err(Failure::new(if config { Exit::Config } else { Exit::Unavailable }, text));
        }
        if runs(site) {
            return Ok(Exit::Ok);
        }
        std::thread::sleep(PAUSE);
    }
    let text = format!("the mail system (pid {}) is not ready yet", child.id());
    Err(Failure::new(Exit::TempFail, text))
}

/// Where a log goes that nobody watches: to syslog, by logger(1), if there is one.
fn log() -> Stdio {
    let mut logger = Logger::new("logger");
    logger.args(["--prio-prefix", "--tag", "pennypost", "--priority", "mail.info"]);
    logger.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
    let started = logger.spawn().ok().and_then(|mut logger| logger.stdin.take());
    started.map_or_else(Stdio::null, Stdio::from)
}

/// All its processes are there, and it answers.
fn runs(site: &Site) -> bool {
    let status = wait(async {
        let mut control = Control::open(site, Hello::Supervisor).await?;
        control.command(Command::Status).await
    });
    match status {
        Ok(Answer::Status(status)) => status.processes.iter().all(|it| it.pid.is_some()),
        Ok(Answer::Stopped | Answer::NotAllowed | Answer::Reloaded(_) | Answer::NotReloaded(_))
        | Err(_) => false,
    }
}
