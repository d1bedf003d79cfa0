//! SIGTERM and SIGINT end the supervisor. (SIGHUP is heard where it reloads.)

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// What the administrator, the terminal or systemd says.
#[derive(Debug)]
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Returns when a signal says that it is over.
    pub(crate) async fn end(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
