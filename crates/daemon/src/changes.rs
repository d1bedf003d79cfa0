//! Waits for what inotify(7) tells.

use std::io;
use std::os::fd::AsFd;

use config::Watch;
use tokio::net::unix::pipe::Receiver;

/// Bytes of events read at a time.
const EVENTS: usize = 4096;

/// The files of a configuration, watched.
#[derive(Debug)]
pub struct Changes {
    watch: Watch,
    /// The same descriptor: for the runtime it is as a pipe.
    events: Receiver,
}

impl Changes {
    /// # Errors
    /// No descriptors are left.
    pub fn new(watch: Watch) -> io::Result<Self> {
        let events = watch.as_fd().try_clone_to_owned()?;
        Ok(Self { watch, events: Receiver::from_owned_fd_unchecked(events)? })
    }

    /// Returns once a file was changed.
    pub async fn next(&self) {
        loop {
            let changed = self.events.readable().await.and_then(|()| self.watch.changed());
            // By this the runtime learns that nothing is left; what comes just now is not looked at.
            let more = self.events.try_read(&mut [0; EVENTS]).is_ok();
            if more || changed.unwrap_or(true) {
                return;
            }
        }
    }
}
