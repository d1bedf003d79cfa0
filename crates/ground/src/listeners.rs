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
use socket2::{Domain, SockRef, Socket, Type};

use crate::place::patiently;
use crate::trouble::{self, Trouble};

const BACKLOG: i32 = 1024;

/// All of them.
#[derive(Debug)]
pub struct Listeners {
    /// With the addresses that they really have.
    pub tcp: Vec<Bound>,
    pub submit: UnixListener,
}

type Bound = (Role, SocketAddr, TcpListener);

impl Listeners {
    /// Takes over those sockets that are `open` already, and binds the others.
    ///
    /// # Errors
    /// An address cannot be bound, and by whom it is held.
    pub fn bind(config: &Config, open: &mut Vec<TcpListener>) -> Result<Self, Trouble> {
        let tcp = bind_all(config, open)?;
        Ok(Self { tcp, submit: bind_unix(&config.paths.run.join("submit"))? })
    }

    /// Those of another configuration: the sockets that stay are the same, so that no client is
    /// refused meanwhile.
    ///
    /// # Errors
    /// As [`Self::bind`].
    pub fn next(&self, config: &Config) -> Result<Self, Trouble> {
        let open: Result<Vec<_>, _> = self.tcp.iter().map(|(_, _, it)| it.try_clone()).collect();
        let submit = self.submit.try_clone();
        let trouble = |error| Trouble::system("listeners", error);
        let tcp = bind_all(config, &mut open.map_err(trouble)?)?;
        Ok(Self { tcp, submit: submit.map_err(trouble)? })
    }

    /// `127.0.0.1:25 (mx)`
    #[must_use]
    pub fn describe(&self) -> Vec<String> {
        self.tcp.iter().map(|(role, address, _)| format!("{address} ({role})")).collect()
    }
}

fn bind_all(config: &Config, open: &mut Vec<TcpListener>) -> Result<Vec<Bound>, Trouble> {
    let mut tcp = Vec::new();
    for listener in &config.listeners {
        for &address in &listener.addresses {
            let bound = take_over(address, open).unwrap_or_else(|| bind_tcp(address));
            let bound = bound.and_then(|socket| Ok((socket.local_addr()?, socket)));
            let (bound, socket) = bound.map_err(|error| refused(address, &error))?;
            tcp.push((listener.role, bound, socket));
        }
    }
    Ok(tcp)
}

fn take_over(address: SocketAddr, open: &mut Vec<TcpListener>) -> Option<io::Result<TcpListener>> {
    let fits = |socket: &TcpListener| socket.local_addr().is_ok_and(|own| own == address);
    let socket = open.swap_remove(open.iter().position(fits)?);
    Some(suits(&SockRef::from(&socket), address).map(|()| socket))
}

/// A socket that somebody else made may be of another kind than ours.
fn suits(socket: &Socket, address: SocketAddr) -> io::Result<()> {
    let wrong = |what| Err(io::Error::other(what));
    if !socket.is_listener()? {
        return wrong("the socket passed to us does not listen (Accept=yes?)");
    }
    if address.is_ipv6() && address.ip().is_unspecified() && !socket.only_v6()? {
        return wrong("the socket passed to us takes IPv4 as well: say BindIPv6Only=ipv6-only");
    }
    Ok(())
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
    tracing::info!("binds {address}");
    patiently(|| socket.bind(&address.into()).and_then(|()| socket.listen(BACKLOG)), taken)?;
    Ok(socket.into())
}

/// Binds a socket that everybody may connect to. The caller holds the lock: a socket that is
/// already there has no owner.
///
/// # Errors
/// The system refuses.
pub fn bind_unix(path: &Path) -> Result<UnixListener, Trouble> {
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
    if error.kind() != io::ErrorKind::AddrInUse {
        return Trouble(trouble::UNAVAILABLE, text);
    }
    // Without CAP_SYS_PTRACE, as in our systemd unit, it cannot be seen.
    let ask = || format!("a process that \"ss -tlnp sport = :{}\" names", address.port());
    Trouble(trouble::UNAVAILABLE, format!("{text}, by {}", holder(address).unwrap_or_else(ask)))
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
    fn an_open_socket_is_taken_over_if_it_suits() {
        let ours = bind_tcp("[::]:0".parse().unwrap()).unwrap();
        let dual = Socket::new(Domain::IPV6, Type::STREAM, None).unwrap();
        dual.set_only_v6(false).unwrap();
        dual.bind(&"[::]:0".parse::<SocketAddr>().unwrap().into()).unwrap();
        dual.listen(1).unwrap();
        let deaf = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        deaf.bind(&"127.0.0.1:0".parse::<SocketAddr>().unwrap().into()).unwrap();
        let mut open: Vec<TcpListener> = vec![ours, dual.into(), deaf.into()];
        let [ours, dual, deaf] = [0, 1, 2].map(|at: usize| open[at].local_addr().unwrap());
        let mut take = |address| take_over(address, &mut open);
        let taken = take(ours).unwrap().unwrap();
        assert_eq!(taken.local_addr().unwrap(), ours);
        assert!(take(ours).is_none());
        assert!(take(dual).unwrap().unwrap_err().to_string().contains("IPv4"));
        assert!(take(deaf).unwrap().unwrap_err().to_string().contains("does not listen"));
        assert!(open.is_empty());
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
