//! SIGTERM and SIGINT end the supervisor. (SIGHUP is heard where it reloads.)

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// What the administrator, the terminal or systemd says.
#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// They are heard from now on.
    ///
    /// # Errors
    /// As sigaction(2).
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Returns when a signal says that it is over.
    pub async fn end(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
