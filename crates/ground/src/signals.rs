//! SIGTERM and SIGINT end the supervisor, SIGUSR1 has it tell its state. (SIGHUP is heard where it
//! reloads.)

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// What the administrator, the terminal or systemd says.
#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
    /// Unheard it would end us.
    user: Signal,
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
            user: signal(SignalKind::user_defined1())?,
        })
    }

    /// Returns when a signal says that it is over; `tell` is called whenever one asks for the state.
    pub async fn end(&mut self, tell: impl Fn()) {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return,
                _ = self.interrupt.recv() => return,
                _ = self.user.recv() => tell(),
            }
        }
    }
}
