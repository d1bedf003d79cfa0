//! The mail system of a demo: the supervisor as a child, and its log.

use std::collections::VecDeque;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStderr, Command};

use super::ground::Ground;
use crate::pennypost::start::supervisor;
use crate::{Exit, Failure};

/// How long it may take to be ready.
const START: Duration = Duration::from_secs(30);
/// How long it may take to end.
const STOP: Duration = Duration::from_secs(30);
/// Log lines that are kept to explain a failure.
const KEPT: usize = 20;

/// A running mail system.
#[derive(Debug)]
pub(super) struct System {
    child: Child,
    pid: u32,
    log: Lines<BufReader<ChildStderr>>,
    last: VecDeque<String>,
}

impl System {
    pub(super) fn start(ground: &Ground) -> Result<Self, Failure> {
        let mut command = Command::from(supervisor(ground.site(), None)?);
        // A group of its own: Ctrl-C is for the demo, which then stops it in order.
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).process_group(0);
        let failed = |why: String| Failure::new(Exit::Unavailable, format!("supervisor: {why}"));
        let mut child = command.spawn().map_err(|error| failed(error.to_string()))?;
        let stderr = child.stderr.take().ok_or_else(|| failed("no stderr".to_owned()))?;
        let pid = child.id().ok_or_else(|| failed("no pid".to_owned()))?;
        Ok(Self { child, pid, log: BufReader::new(stderr).lines(), last: VecDeque::new() })
    }

    pub(super) const fn pid(&self) -> u32 {
        self.pid
    }

    /// Waits for the line `ready`.
    pub(super) async fn ready(&mut self) -> Result<(), Failure> {
        let ready = async {
            while self.line().await? != "ready" {}
            Ok(())
        };
        let ready = tokio::time::timeout(START, ready).await.unwrap_or_else(|_| {
            let text = format!("the mail system is not ready after {} s", START.as_secs());
            Err(Failure::new(Exit::Unavailable, text))
        });
        ready.map_err(|failure| self.with_log(failure))
    }

    /// The next line of the log. Cancel-safe.
    pub(super) async fn line(&mut self) -> Result<String, Failure> {
        match self.log.next_line().await {
            Ok(Some(line)) => {
                if self.last.len() == KEPT {
                    self.last.pop_front();
                }
                self.last.push_back(line.clone());
                Ok(line)
            }
            Ok(None) => Err(Failure::new(Exit::Unavailable, "the mail system has ended")),
            Err(error) => Err(Failure::new(Exit::IoErr, format!("the log: {error}"))),
        }
    }

    /// Shows the log until it ends.
    pub(super) async fn follow(
        &mut self,
        mut show: impl FnMut(&str) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        loop {
            let line = self.line().await?;
            show(&line)?;
        }
    }

    /// The failure, and the last lines of the log, which may explain it.
    pub(super) fn with_log(&self, mut failure: Failure) -> Failure {
        for line in &self.last {
            failure.text.push_str(&format!("\n  {line}"));
        }
        failure
    }

    /// Has it end in order; if it does not, it is killed and that is a failure.
    pub(super) async fn stop(mut self) -> Result<(), Failure> {
        if let Ok(pid) = i32::try_from(self.pid) {
            // Fails only if it has ended already.
            let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
        }
        match tokio::time::timeout(STOP, self.end()).await {
            Ok(Ok(status)) if status.success() => Ok(()),
            Ok(Ok(status)) => {
                let text = format!("the supervisor ended with {status}");
                Err(self.with_log(Failure::new(Exit::Software, text)))
            }
            Ok(Err(error)) => Err(Failure::new(Exit::Software, format!("supervisor: {error}"))),
            Err(_) => {
                // The daemons end by themselves once it is gone.
                let _ = self.child.kill().await;
                let text = format!("the mail system did not end within {} s", STOP.as_secs());
                Err(self.with_log(Failure::new(Exit::Software, text)))
            }
        }
    }

    /// Reads the log to its end meanwhile: who writes it must not wait.
    async fn end(&mut self) -> std::io::Result<ExitStatus> {
        while self.line().await.is_ok() {}
        self.child.wait().await
    }
}
