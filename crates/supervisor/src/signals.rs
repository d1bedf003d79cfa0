//! SIGTERM and SIGINT end the supervisor, SIGHUP would reload.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// What the administrator, the terminal or systemd says.
#[derive(Debug)]
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

impl Signals {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    /// Returns when a signal says that it is over.
    pub(crate) async fn end(&mut self) {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return,
                _ = self.interrupt.recv() => return,
                _ = self.hang_up.recv() => {
                    tracing::warn!("SIGHUP: reload is not yet supported; restart instead");
                }
            }
        }
    }
}
