//! A process that was taken over: enters the sandbox that is declared on its standard input
//! (`null`: none) and then does one thing that it should not. Says `allowed`, or `refused` and why.
//!
//! `sandbox-attacker ATTACK TARGET`; what a daemon was given before its sandbox, the attack
//! prepares before.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsRawFd;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::process::Command;
use std::time::Duration;

use daemon::{Sandbox, sandbox};
use nix::errno::Errno;
use nix::sched::{CloneFlags, unshare};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::kill;
use nix::sys::socket::{MsgFlags, SockaddrIn, sendto};
use nix::sys::stat::{Mode, SFlag, mknod};
use nix::unistd::{Pid, Uid, chroot, geteuid, setgid, setuid};
use rustix::net::connect_unspec;

/// Descriptors; the test declares fewer.
const FLOOD: usize = 128;

/// What is left to do once the sandbox is entered.
type Attack = Box<dyn FnOnce() -> io::Result<()>>;

fn main() {
    let words: Vec<String> = std::env::args().collect();
    let [_, attack, target] = &words[..] else { panic!("usage: sandbox-attacker ATTACK TARGET") };
    let mut line = String::new();
    io::stdin().read_line(&mut line).unwrap();
    let declared: Option<Sandbox> = serde_json::from_str(&line).unwrap();
    let attack = prepare(attack, target);
    if let Some(declared) = declared {
        sandbox::enter(declared).unwrap();
    }
    match attack() {
        Ok(()) => println!("allowed"),
        Err(error) => {
            let errno = error.raw_os_error().map(Errno::from_raw);
            println!("refused {}", errno.map_or_else(|| error.to_string(), |it| format!("{it:?}")));
        }
    }
}

fn prepare(attack: &str, target: &str) -> Attack {
    match attack {
        "read" | "create" | "link" | "mknod" | "chroot" | "watch" => files(attack, target),
        "connect" | "dissolve" | "fastopen" | "bind" | "listen" | "udp" => sockets(attack, target),
        "abstract" | "unix" | "datagram" => unix_sockets(attack, target),
        "run" | "thread" | "signal" | "ptrace" | "peek" | "wait" => processes(attack, target),
        "execute-memory" | "flood" | "hoard" | "limit" | "uid" | "namespace" => rights(attack),
        "enter-late" => late(),
        other => panic!("no attack {other}"),
    }
}

fn files(attack: &str, target: &str) -> Attack {
    let target = target.to_owned();
    match attack {
        "read" => Box::new(move || File::open(target)?.read(&mut [0]).map(drop)),
        "create" => Box::new(move || File::create(target).map(drop)),
        "link" => Box::new(move || std::os::unix::fs::symlink("/etc/passwd", target)),
        "mknod" => Box::new(move || {
            Ok(mknod(target.as_str(), SFlag::S_IFIFO, Mode::from_bits_truncate(0o600), 0)?)
        }),
        "chroot" => Box::new(move || Ok(chroot(target.as_str())?)),
        _ => Box::new(move || {
            let inotify = Inotify::init(InitFlags::IN_CLOEXEC)?;
            Ok(inotify.add_watch(target.as_str(), AddWatchFlags::IN_MOVED_TO).map(drop)?)
        }),
    }
}

/// A client that was accepted, its other end, and the listener.
fn accepted() -> (TcpStream, TcpStream, TcpListener) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (server, _) = listener.accept().unwrap();
    (server, client, listener)
}

fn sockets(attack: &str, target: &str) -> Attack {
    let target = target.to_owned();
    let address = || target.parse::<SocketAddr>().unwrap();
    match attack {
        "connect" => {
            let address = address();
            Box::new(move || TcpStream::connect(address).map(drop))
        }
        // A dissolved TCP socket can be connected anew (connect(2), AF_UNSPEC).
        "dissolve" => {
            let (server, address) = (accepted(), address());
            Box::new(move || {
                connect_unspec(&server.0)?;
                rustix::net::connect(&server.0, &address)?;
                (&server.0).write_all(b"x")
            })
        }
        // So can a listener that was shut down, by sending (tcp(7), TCP_FASTOPEN).
        "fastopen" => {
            let (listener, address) = (accepted().2, address());
            let SocketAddr::V4(address) = address else { panic!("IPv4 only") };
            Box::new(move || {
                rustix::net::shutdown(&listener, rustix::net::Shutdown::Both)?;
                let flags = MsgFlags::from_bits_retain(nix::libc::MSG_FASTOPEN);
                let to = SockaddrIn::from(address);
                Ok(sendto(listener.as_raw_fd(), b"x", &to, flags).map(drop)?)
            })
        }
        "bind" => Box::new(|| TcpListener::bind("127.0.0.1:0").map(drop)),
        "listen" => {
            let socket = nix::sys::socket::socket(
                nix::sys::socket::AddressFamily::Inet,
                nix::sys::socket::SockType::Stream,
                nix::sys::socket::SockFlag::SOCK_CLOEXEC,
                None,
            );
            let socket = socket.unwrap();
            Box::new(move || {
                Ok(nix::sys::socket::listen(&socket, nix::sys::socket::Backlog::MAXCONN)?)
            })
        }
        _ => {
            let address = address();
            Box::new(move || UdpSocket::bind("127.0.0.1:0")?.send_to(b"x", address).map(drop))
        }
    }
}

fn unix_sockets(attack: &str, target: &str) -> Attack {
    let target = target.to_owned();
    match attack {
        "abstract" => Box::new(move || {
            let name = std::os::unix::net::SocketAddr::from_abstract_name(target)?;
            UnixStream::connect_addr(&name).map(drop)
        }),
        // One of a pair may send to others than its peer.
        "datagram" => Box::new(move || UnixDatagram::pair()?.0.send_to(b"x", target).map(drop)),
        _ => Box::new(move || UnixStream::connect(target).map(drop)),
    }
}

fn processes(attack: &str, target: &str) -> Attack {
    let target = target.to_owned();
    let pid = || Pid::from_raw(target.parse().unwrap());
    match attack {
        "run" => Box::new(move || Command::new(target).status().map(drop)),
        "thread" => Box::new(|| {
            let thread = std::thread::Builder::new().spawn(|| ())?;
            thread.join().map_err(|_| io::Error::other("it panicked"))
        }),
        "signal" => {
            let pid = pid();
            Box::new(move || Ok(kill(pid, None)?))
        }
        "ptrace" => {
            let pid = pid();
            Box::new(move || {
                nix::sys::ptrace::attach(pid)?;
                nix::sys::wait::waitpid(pid, None)?;
                Ok(nix::sys::ptrace::detach(pid, None)?)
            })
        }
        "peek" => {
            become_nobody();
            Box::new(move || File::open(format!("/proc/{target}/mem")).map(drop))
        }
        _ => {
            become_nobody();
            Box::new(|| {
                println!("entered");
                io::stdin().read_line(&mut String::new()).map(drop)
            })
        }
    }
}

/// As two processes of the same user see each other; also where the tests are root.
fn become_nobody() {
    const NOBODY: u32 = 65_534;
    if geteuid().is_root() {
        setgid(NOBODY.into()).unwrap();
        setuid(NOBODY.into()).unwrap();
        // Leaving root makes a process undumpable by itself.
        nix::sys::prctl::set_dumpable(true).unwrap();
    }
}

fn rights(attack: &str) -> Attack {
    match attack {
        "execute-memory" => {
            let map = memmap2::MmapMut::map_anon(4096).unwrap();
            Box::new(|| map.make_exec().map(drop))
        }
        "flood" => {
            let one = UdpSocket::bind("127.0.0.1:0").unwrap();
            Box::new(move || {
                let copies: io::Result<Vec<_>> = (0..FLOOD).map(|_| one.try_clone()).collect();
                copies.map(drop)
            })
        }
        // More memory than was declared.
        "hoard" => Box::new(|| {
            let mut room = Vec::<u8>::new();
            let size = usize::try_from(Sandbox::MEMORY).unwrap();
            room.try_reserve_exact(size + 1).map_err(|_| Errno::ENOMEM.into())
        }),
        "limit" => Box::new(|| {
            let (soft, hard) = getrlimit(Resource::RLIMIT_CORE)?;
            Ok(setrlimit(Resource::RLIMIT_CORE, soft, hard)?)
        }),
        "uid" => Box::new(|| Ok(setuid(Uid::from_raw(1))?)),
        _ => Box::new(|| Ok(unshare(CloneFlags::CLONE_NEWUSER)?)),
    }
}

/// A sandbox that is entered when there is a thread already would not hold for it.
fn late() -> Attack {
    let (end, ended) = std::sync::mpsc::channel::<()>();
    let thread = std::thread::spawn(move || ended.recv_timeout(Duration::from_secs(60)));
    Box::new(move || {
        let entered = sandbox::enter(Sandbox::new());
        drop(end);
        let _ = thread.join();
        entered.map(drop).map_err(|error| io::Error::other(error.to_string()))
    })
}
