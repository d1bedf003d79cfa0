//! The sockets that the world comes to. They stay open while a daemon restarts: clients wait in
//! the backlog.

use std::fs::{self, Permissions};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::Path;

use config::{Config, Role};
use daemon::holder;
use socket2::{Domain, Socket, Type};

use crate::ground::patiently;
use crate::trouble::{self, Trouble};

const BACKLOG: i32 = 1024;

/// All of them.
#[derive(Debug)]
pub(crate) struct Listeners {
    pub(crate) tcp: Vec<(Role, SocketAddr, TcpListener)>,
    pub(crate) submit: UnixListener,
}

impl Listeners {
    pub(crate) fn bind(config: &Config) -> Result<Self, Trouble> {
        let mut tcp = Vec::new();
        for listener in &config.listeners {
            for &address in &listener.addresses {
                let bound = bind_tcp(address).and_then(|socket| Ok((socket.local_addr()?, socket)));
                let (bound, socket) = bound.map_err(|error| refused(address, &error))?;
                tcp.push((listener.role, bound, socket));
            }
        }
        Ok(Self { tcp, submit: bind_unix(&config.paths.run.join("submit"))? })
    }

    /// `127.0.0.1:25 (mx)`
    pub(crate) fn describe(&self) -> Vec<String> {
        self.tcp.iter().map(|(role, address, _)| format!("{address} ({role})")).collect()
    }
}

fn bind_tcp(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    // Connections of the process before us may still linger.
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        // `[::]` beside `0.0.0.0`, each for itself.
        socket.set_only_v6(true)?;
    }
    let taken = |error: &io::Error| error.kind() == io::ErrorKind::AddrInUse;
    patiently(|| socket.bind(&address.into()).and_then(|()| socket.listen(BACKLOG)), taken)?;
    Ok(socket.into())
}

/// Binds a socket that everybody may connect to. The caller holds the lock: a socket that is
/// already there has no owner.
pub(crate) fn bind_unix(path: &Path) -> Result<UnixListener, Trouble> {
    // What cannot be removed is told by the next line.
    let _ = fs::remove_file(path);
    let bound = UnixListener::bind(path).and_then(|listener| {
        fs::set_permissions(path, Permissions::from_mode(0o666))?;
        Ok(listener)
    });
    bound.map_err(|error| Trouble::system(path.display(), error))
}

fn refused(address: SocketAddr, error: &io::Error) -> Trouble {
    let text = format!("cannot listen on {address}: {error}");
    if error.kind() == io::ErrorKind::PermissionDenied {
        return Trouble(trouble::NOPERM, format!("{text} (ports below 1024 need root)"));
    }
    let by = (error.kind() == io::ErrorKind::AddrInUse).then(|| holder(address.port())).flatten();
    Trouble(trouble::UNAVAILABLE, by.map_or(text.clone(), |by| format!("{text}, by {by}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_is_blamed_on_its_holder() {
        let first = bind_tcp("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = first.local_addr().unwrap();
        let error = bind_tcp(address).unwrap_err();
        let shown = refused(address, &error).1;
        let pid = format!("(pid {})", std::process::id());
        assert!(shown.contains(&address.to_string()) && shown.contains(&pid), "{shown}");
    }

    #[test]
    fn a_socket_left_behind_is_replaced() {
        let run = tempfile::tempdir().unwrap();
        let path = run.path().join("submit");
        drop(bind_unix(&path).unwrap());
        let _again = bind_unix(&path).unwrap();
        std::os::unix::net::UnixStream::connect(&path).unwrap();
    }
}
