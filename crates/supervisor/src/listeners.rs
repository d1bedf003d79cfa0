//! The sockets that the world comes to. They stay open while a daemon restarts: clients wait in
//! the backlog.

use std::fs::{self, Permissions};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use config::{Config, Role};
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

/// Who listens on a port, as far as /proc tells: `master (pid 812)`.
fn holder(port: u16) -> Option<String> {
    let inodes = ["/proc/net/tcp", "/proc/net/tcp6"].map(|table| listening_inodes(table, port));
    let sockets: Vec<PathBuf> =
        inodes.iter().flatten().map(|inode| format!("socket:[{inode}]").into()).collect();
    for process in fs::read_dir("/proc").ok()?.flatten().map(|entry| entry.path()) {
        let pid = process.file_name().and_then(|name| name.to_str()?.parse::<u32>().ok());
        let descriptors = fs::read_dir(process.join("fd")).into_iter().flatten().flatten();
        let mut targets = descriptors.flat_map(|fd| fs::read_link(fd.path()));
        if let Some(pid) = pid
            && targets.any(|target| sockets.contains(&target))
        {
            let name = fs::read_to_string(process.join("comm")).ok()?;
            return Some(format!("{} (pid {pid})", envelope::printable(name.trim())));
        }
    }
    None
}

/// proc_net(5): local address in column 2, state (0A: LISTEN) in 4, inode in 10.
fn listening_inodes(table: &str, port: u16) -> Vec<String> {
    let text = fs::read_to_string(table).unwrap_or_default();
    let suffix = format!(":{port:04X}");
    let inode = |line: &str| {
        let columns: Vec<_> = line.split_whitespace().collect();
        let [_, local, _, state, _, _, _, _, _, inode, ..] = *columns else { return None };
        (local.ends_with(&suffix) && state == "0A").then(|| inode.to_owned())
    };
    text.lines().filter_map(inode).collect()
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
