//! The second walls, which a whole sandbox hides behind its first: each of them alone, in a thread
//! of its own, which is all that Landlock and seccomp confine here.

use std::io;
use std::net::{TcpListener, TcpStream};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::path::Path;
use std::sync::mpsc::channel;
use std::thread;

use ipc::sandbox::Permit;
use nix::errno::Errno;
use nix::libc;
use nix::sys::signal::kill;
use nix::unistd::getppid;
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};

use super::*;

/// What comes of it in a thread that Landlock confines, and in one that is free.
fn with_and_without<T: Send + 'static>(
    sandbox: Sandbox,
    attempt: impl Fn() -> T + Send + Clone + 'static,
) -> (T, T) {
    let free = attempt.clone();
    let confined = thread::spawn(move || {
        nix::sys::prctl::set_no_new_privs().unwrap();
        files::restrict(&sandbox).unwrap().expect("Landlock is there");
        attempt()
    });
    (confined.join().unwrap(), thread::spawn(free).join().unwrap())
}

fn has_landlock() -> bool {
    let there = thread::spawn(|| {
        nix::sys::prctl::set_no_new_privs().unwrap();
        files::restrict(&Sandbox::new()).unwrap().is_some_and(|version| version >= 6)
    });
    let there = there.join().unwrap();
    assert!(there || std::env::var_os("CI").is_none(), "a kernel with Landlock 6 is needed");
    there
}

fn errno<T>(result: io::Result<T>) -> Option<i32> {
    result.err()?.raw_os_error()
}

#[test]
fn landlock_alone_keeps_files_away() {
    if !has_landlock() {
        return;
    }
    let own = tempfile::tempdir().unwrap();
    let (inside, outside) = (own.path().join("a"), tempfile::tempdir().unwrap());
    let foreign = outside.path().join("b");
    let attempt = move || {
        let write = |path: &Path| errno(std::fs::write(path, "x"));
        (write(&inside), write(&foreign), errno(std::fs::read("/etc/passwd")))
    };
    let (confined, free) = with_and_without(Sandbox::new().directory(own.path()), attempt);
    assert_eq!(confined, (None, Some(libc::EACCES), Some(libc::EACCES)));
    assert_eq!(free, (None, None, None));
}

#[test]
fn landlock_alone_keeps_what_is_only_read_as_it_is() {
    if !has_landlock() {
        return;
    }
    let own = tempfile::tempdir().unwrap();
    let [there, new] = ["there", "new"].map(|name| own.path().join(name));
    std::fs::write(&there, "x").unwrap();
    let attempt = move || {
        let write = errno(std::fs::OpenOptions::new().write(true).open(&there));
        let made = errno(std::fs::write(&new, "x"));
        (errno(std::fs::read(&there)), write, made)
    };
    let (confined, free) = with_and_without(Sandbox::new().read_only(own.path()), attempt);
    assert_eq!(confined, (None, Some(libc::EACCES), Some(libc::EACCES)));
    assert_eq!(free, (None, None, None));
}

/// Only the newest kernels have Landlock look at the paths of Unix sockets; on all others the declaration
/// must not be in the way.
#[test]
fn a_declared_socket_is_within_reach_even_before_it_is_there() {
    let own = tempfile::tempdir().unwrap();
    let socket = own.path().join("store/lmtp");
    let sandbox = Sandbox::new().sockets([socket.clone()]);
    if !has_landlock() {
        return;
    }
    let ((entered, has_entered), (made, is_made)) = (channel(), channel());
    let path = socket.clone();
    let confined = thread::spawn(move || {
        nix::sys::prctl::set_no_new_privs().unwrap();
        files::restrict(&sandbox).unwrap().expect("Landlock is there");
        entered.send(()).unwrap();
        is_made.recv().unwrap();
        errno(UnixStream::connect(&path))
    });
    has_entered.recv().unwrap();
    std::fs::create_dir(socket.parent().unwrap()).unwrap();
    let _listener = UnixListener::bind(&socket).unwrap();
    made.send(()).unwrap();
    assert_eq!(confined.join().unwrap(), None);
}

/// As on a kernel that was built without it: the other walls stand all the same.
#[test]
fn without_landlock_the_rest_is_done() {
    let own = tempfile::tempdir().unwrap();
    let path = own.path().to_owned();
    let restricted = thread::spawn(move || {
        nix::sys::prctl::set_no_new_privs().unwrap();
        let missing = [(libc::SYS_landlock_create_ruleset, Vec::new())].into();
        let enosys = SeccompAction::Errno(libc::ENOSYS.unsigned_abs());
        let arch = std::env::consts::ARCH.try_into().unwrap();
        let filter = SeccompFilter::new(missing, SeccompAction::Allow, enosys, arch).unwrap();
        seccompiler::apply_filter(&BpfProgram::try_from(filter).unwrap()).unwrap();
        let sandboxes = [
            Sandbox::new(),
            Sandbox::new().directory(&path),
            Sandbox::new().permit(Permit::NameService),
        ];
        let versions = sandboxes.map(|sandbox| files::restrict(&sandbox).unwrap());
        calls::restrict(&Sandbox::new()).unwrap();
        (versions, errno(TcpListener::bind("127.0.0.1:0")))
    });
    assert_eq!(restricted.join().unwrap(), ([None; 3], Some(libc::ENOSYS)));
}

#[test]
fn landlock_alone_keeps_tcp_away() {
    if !has_landlock() {
        return;
    }
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let attempt =
        move || (errno(TcpStream::connect(address)), errno(TcpListener::bind("127.0.0.1:0")));
    let (confined, free) = with_and_without(Sandbox::new(), attempt);
    assert_eq!(confined, (Some(libc::EACCES), Some(libc::EACCES)));
    assert_eq!(free, (None, None));
    let (confined, _) = with_and_without(Sandbox::new().permit(Permit::CallOut), attempt);
    assert_eq!(confined, (None, Some(libc::EACCES)));
}

#[test]
fn landlock_alone_keeps_other_processes_away() {
    if !has_landlock() {
        return;
    }
    let name = format!("pennypost-unit-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(&name).unwrap();
    let _listener = UnixListener::bind_addr(&address).unwrap();
    let attempt = move || (kill(getppid(), None), errno(UnixStream::connect_addr(&address)));
    let (confined, free) = with_and_without(Sandbox::new(), attempt);
    assert_eq!(confined, (Err(Errno::EPERM), Some(libc::EPERM)));
    assert_eq!(free, (Ok(()), None));
}

#[test]
fn capabilities_go_also_from_root() {
    use caps::CapSet::{Bounding, Effective, Inheritable, Permitted};
    let left = || {
        let sets = [Effective, Permitted, Inheritable, Bounding];
        sets.map(|set| caps::read(None, set).unwrap().len())
    };
    let gone = thread::spawn(move || {
        privileges::give_up().unwrap();
        left()
    });
    let [effective, permitted, inheritable, bounding] = gone.join().unwrap();
    assert_eq!([effective, permitted, inheritable], [0; 3]);
    if caps::has_cap(None, Effective, caps::Capability::CAP_SETPCAP).unwrap() {
        assert_eq!(bounding, 0);
        assert!(left().iter().sum::<usize>() > 0, "there was something to give up");
    }
}

/// What no safe call reaches: the filter itself, run as the kernel runs it.
mod filter {
    use super::*;

    const ALLOW: u32 = 0x7fff_0000;
    const ENOSYS: u32 = 0x0005_0000 | libc::ENOSYS.unsigned_abs();

    /// Does this filter allow the call?
    fn allows(sandbox: &Sandbox, call: i64, arguments: &[u64]) -> bool {
        let program = calls::program(sandbox).unwrap();
        let mut data = [0_u32; 16];
        data[0] = u32::try_from(call).unwrap();
        data[1] = match std::env::consts::ARCH {
            "x86_64" => 0xc000_003e,
            _ => 0xc000_00b7,
        };
        for (place, argument) in data[4..].chunks_mut(2).zip(arguments) {
            place[0] = u32::try_from(argument & u64::from(u32::MAX)).unwrap();
            place[1] = u32::try_from(argument >> 32).unwrap();
        }
        let (mut at, mut accumulator) = (0, 0);
        loop {
            let instruction = &program[at];
            let value = instruction.k;
            let jump = |holds| usize::from(if holds { instruction.jt } else { instruction.jf });
            at += 1;
            match instruction.code {
                // BPF_LD, BPF_JA, BPF_JEQ, BPF_JGT, BPF_JGE, BPF_AND, BPF_RET (linux/bpf_common.h)
                0x20 => accumulator = data[usize::try_from(value / 4).unwrap()],
                0x05 => at += usize::try_from(value).unwrap(),
                0x15 => at += jump(accumulator == value),
                0x25 => at += jump(accumulator > value),
                0x35 => at += jump(accumulator >= value),
                0x54 => accumulator &= value,
                0x06 => {
                    assert!([ALLOW, ENOSYS].contains(&value), "{value:#x}");
                    return value == ALLOW;
                }
                other => panic!("an instruction {other:#x}"),
            }
        }
    }

    fn bits(bits: i32) -> u64 {
        u64::from(bits.unsigned_abs())
    }

    #[test]
    fn arguments_count() {
        let plain = Sandbox::new();
        let names = Sandbox::new().permit(Permit::NameService);
        let threads = Sandbox::new().permit(Permit::Threads);
        let (read, write, run) =
            (bits(libc::PROT_READ), bits(libc::PROT_WRITE), bits(libc::PROT_EXEC));
        for call in [libc::SYS_mmap, libc::SYS_mprotect] {
            assert!(allows(&plain, call, &[0, 0, read | write]));
            assert!(!allows(&plain, call, &[0, 0, read | run]));
            assert!(allows(&names, call, &[0, 0, read | run]));
            assert!(!allows(&names, call, &[0, 0, read | write | run]));
        }
        let fcntl = |sandbox, command| allows(sandbox, libc::SYS_fcntl, &[0, bits(command)]);
        assert!(fcntl(&plain, libc::F_SETLK) && fcntl(&plain, libc::F_OFD_SETLK));
        for command in [libc::F_SETOWN, libc::F_NOTIFY, libc::F_SETLEASE, libc::F_ADD_SEALS] {
            assert!(!fcntl(&plain, command), "{command}");
        }
        assert!(allows(&plain, libc::SYS_ioctl, &[0, libc::FIONBIO]));
        assert!(!allows(&plain, libc::SYS_ioctl, &[0, libc::TIOCSTI]));
        assert!(allows(&plain, libc::SYS_prctl, &[bits(libc::PR_SET_NAME)]));
        assert!(!allows(&plain, libc::SYS_prctl, &[bits(libc::PR_SET_DUMPABLE), 1]));
        let own = u64::from(std::process::id());
        assert!(allows(&plain, libc::SYS_tgkill, &[own, own, 6]));
        assert!(!allows(&plain, libc::SYS_tgkill, &[own + 1, own + 1, 6]));
        let thread = bits(libc::CLONE_THREAD | libc::CLONE_VM);
        assert!(allows(&threads, libc::SYS_clone, &[thread]));
        assert!(!allows(&threads, libc::SYS_clone, &[bits(libc::SIGCHLD)]));
        assert!(!allows(&plain, libc::SYS_clone, &[thread]));
        let socket = |sandbox, family| allows(sandbox, libc::SYS_socket, &[bits(family), 1]);
        let out = Sandbox::new().permit(Permit::CallOut);
        assert!(socket(&out, libc::AF_INET6) && !socket(&out, libc::AF_UNIX));
        assert!(socket(&names, libc::AF_UNIX) && !socket(&names, libc::AF_INET));
        assert!(!socket(&out, libc::AF_NETLINK) && !socket(&names, libc::AF_PACKET));
        let pair = |family, kind| {
            allows(&plain, libc::SYS_socketpair, &[bits(family), bits(kind | libc::SOCK_CLOEXEC)])
        };
        assert!(pair(libc::AF_UNIX, libc::SOCK_STREAM) && !pair(libc::AF_INET, libc::SOCK_STREAM));
        assert!(!pair(libc::AF_UNIX, libc::SOCK_DGRAM));
        let fast = bits(libc::MSG_FASTOPEN);
        assert!(allows(&plain, libc::SYS_sendmsg, &[0, 0, bits(libc::MSG_NOSIGNAL)]));
        assert!(!allows(&plain, libc::SYS_sendmsg, &[0, 0, fast]));
        assert!(!allows(&plain, libc::SYS_sendto, &[0, 0, 0, fast]));
        let reads = Sandbox::new().read_only(Path::new("/"));
        for sandbox in [&names, &reads] {
            assert!(allows(sandbox, libc::SYS_openat, &[0, 0, bits(libc::O_CLOEXEC)]));
            for writes in [libc::O_RDWR, libc::O_WRONLY, libc::O_CREAT, libc::O_TRUNC] {
                assert!(!allows(sandbox, libc::SYS_openat, &[0, 0, bits(writes)]));
            }
        }
        assert!(!allows(&plain, libc::SYS_openat, &[0, 0, 0]));
        assert!(allows(&reads, libc::SYS_flock, &[]) && !allows(&reads, libc::SYS_connect, &[]));
        for call in [libc::SYS_ftruncate, libc::SYS_pwrite64, libc::SYS_unlinkat] {
            assert!(!allows(&reads, call, &[]), "{call}");
        }
    }

    /// What nobody may, whatever it declares.
    #[test]
    fn some_calls_are_for_nobody() {
        let permits =
            [Permit::Accept, Permit::CallOut, Permit::NameService, Permit::Threads, Permit::Watch];
        let everything =
            permits.into_iter().fold(Sandbox::new().directory(Path::new("/")), Sandbox::permit);
        for call in [
            libc::SYS_bpf,
            libc::SYS_chroot,
            libc::SYS_clone3,
            libc::SYS_execve,
            libc::SYS_execveat,
            libc::SYS_fchmodat,
            libc::SYS_fchownat,
            libc::SYS_init_module,
            libc::SYS_io_uring_enter,
            libc::SYS_io_uring_setup,
            libc::SYS_keyctl,
            libc::SYS_kill,
            libc::SYS_linkat,
            libc::SYS_listen,
            libc::SYS_memfd_create,
            libc::SYS_mknodat,
            libc::SYS_mount,
            libc::SYS_open_by_handle_at,
            libc::SYS_perf_event_open,
            libc::SYS_personality,
            libc::SYS_pidfd_getfd,
            libc::SYS_pidfd_open,
            libc::SYS_pkey_mprotect,
            libc::SYS_prlimit64,
            libc::SYS_process_vm_readv,
            libc::SYS_ptrace,
            libc::SYS_seccomp,
            libc::SYS_sendmmsg,
            libc::SYS_setns,
            libc::SYS_setresuid,
            libc::SYS_setuid,
            libc::SYS_shmat,
            libc::SYS_symlinkat,
            libc::SYS_unshare,
            libc::SYS_userfaultfd,
        ] {
            assert!(!allows(&everything, call, &[]), "{call}");
        }
        assert!(allows(&everything, libc::SYS_openat, &[0, 0, bits(libc::O_RDWR)]));
        assert!(allows(&Sandbox::new().permit(Permit::Accept), libc::SYS_accept4, &[]));
        assert!(!allows(&Sandbox::new(), libc::SYS_accept4, &[]));
    }
}
