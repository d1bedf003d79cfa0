//! `smtpd`: hears the Internet (role *mx*) or this system's users (role *submission*).
//!
//! **Invariant:** it calls no one: it accepts on the listeners it was given, asks `policyd` and
//! `qmgr` over its edges, and holds no secret.
//!
//! **Invariant:** 250 after the end of data only when `qmgr` has said that the message is durable.

use std::process::ExitCode;
use std::sync::Arc;

use config::Role;
use daemon::{Error, House, LoadGauge, Permit, Sandbox};

mod claims;
mod guests;
mod listen;
mod log;
mod pickup;
mod policy;
mod rate;
mod room;
mod session;
mod stream;
mod tally;
mod upload;
mod users;

#[cfg(test)]
mod tests;

use guests::Guests;
use room::Room;

/// Bytes of memory that the limit of the process has for a session: several times what its buffers
/// may grow to.
const SESSION: u64 = 512 * 1024;

fn main() -> ExitCode {
    match std::env::args().nth(1).as_deref() {
        Some("mx") => daemon::run("smtpd(mx)", async |house| serve(Role::Mx, house).await),
        Some("submission") => {
            daemon::run("smtpd(submission)", async |house| serve(Role::Submission, house).await)
        }
        // EX_USAGE
        _ => ExitCode::from(64),
    }
}

/// The whole job: serve each client that comes until a successor does that or the house is drained.
/// Then those stay that are there: to their own end, or when it drains until their message is safe.
async fn serve(role: Role, mut house: House) -> Result<(), Error> {
    let room = Arc::new(Room::furnish(role, &house)?);
    // The file of the time zone is read. No way to call out, and no files but those dropped for it.
    let sessions = u64::try_from(room.config.limits.sessions)?;
    let memory = Sandbox::MEMORY.saturating_add(sessions.saturating_mul(SESSION));
    let sandbox = Sandbox::new().permit(Permit::Accept).memory(memory);
    let load = LoadGauge::open();
    house.enter(match role {
        Role::Mx => sandbox,
        Role::Submission => sandbox.directory(&room.config.paths.drop).permit(Permit::Watch),
    })?;
    let guests = Guests::new(role, &room.config, load);
    let mut drain = house.drain();
    for socket in std::mem::take(&mut house.tcp) {
        let listener = listen::tcp(socket.listener)?;
        let serving = listen::serve_tcp(listener, Arc::clone(&room), guests.clone(), drain.clone());
        tokio::spawn(listen::until_succeeded(serving, drain.clone()));
    }
    if let Some(listener) = house.submit.take() {
        let listener = tokio::net::UnixListener::from_std(listener)?;
        let serving =
            listen::serve_unix(listener, Arc::clone(&room), guests.clone(), drain.clone());
        tokio::spawn(listen::until_succeeded(serving, drain.clone()));
    }
    let pickup = (role == Role::Submission)
        .then(|| tokio::spawn(pickup::watch(Arc::clone(&room), drain.clone())));
    house.ready();
    let end = async {
        drain.nothing_new().await;
        guests.gone().await;
        match pickup {
            Some(pickup) => pickup.await,
            None => Ok(()),
        }
    };
    tokio::select! {
        ended = end => ended?,
        () = tally::report_each_minute(&room) => {}
    }
    tally::report(&room).await;
    Ok(())
}
