//! What systemd, or another service manager that speaks as sd_notify(3) says, is told; and the
//! sockets that it opened for us, sd_listen_fds(3). Without one all of this does nothing.

use std::net::TcpListener;
use std::time::Duration;

use listenfd::ListenFd;
use sd_notify::{NotifyState, notify};
use tokio::task::spawn_blocking;
use tokio::time::interval;

/// A shorter watchdog would only keep both busy.
const SHORTEST_BEAT: Duration = Duration::from_millis(10);

/// The sockets that were passed to this process. To be called once.
#[must_use]
pub fn sockets() -> Vec<TcpListener> {
    // Without it they could be anybody's.
    if std::env::var_os("LISTEN_PID").is_none() {
        return Vec::new();
    }
    let mut passed = ListenFd::from_env();
    let taken = (0..passed.len()).filter_map(|number| {
        let socket = passed.take_tcp_listener(number);
        socket.inspect_err(|error| tracing::warn!("passed to us, and of no use: {error}")).ok()?
    });
    taken.collect()
}

/// Says which of the sockets that were passed are not configured; they end here.
pub fn disown(unused: Vec<TcpListener>) {
    for address in unused.iter().flat_map(TcpListener::local_addr) {
        tracing::warn!("{address} was passed to us, and is the address of no listener: closed");
    }
}

/// Everything works, be it after the start or after a reload.
pub fn ready(status: &str) {
    tell(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// A reload begins; [`ready`] ends it, whatever came of it.
pub fn reloading() {
    if let Ok(now) = NotifyState::monotonic_usec_now() {
        tell(&[NotifyState::Reloading, now]);
    }
}

/// The end begins.
pub fn stopping() {
    tell(&[NotifyState::Stopping, NotifyState::Status("finishes what is under way")]);
}

/// Says that the supervisor's loop turns, if that is to be watched: nothing else in it could tell.
/// Daemons that hang are not a reason to end all the others.
pub async fn watchdog() {
    let Some(patience) = sd_notify::watchdog_enabled() else { return };
    let mut beat = interval((patience / 2).max(SHORTEST_BEAT));
    loop {
        beat.tick().await;
        // A manager that does not listen must not stop the loop.
        let _ = spawn_blocking(|| tell(&[NotifyState::Watchdog])).await;
    }
}

fn tell(news: &[NotifyState<'_>]) {
    if let Err(error) = notify(news) {
        tracing::warn!("the service manager cannot be told: {error}");
    }
}
