//! seccomp: the system calls of each permit, with a reason for each that is unusual.
//!
//! A call that is listed without a condition costs next to nothing: the kernel remembers that it
//! is allowed and does not run the filter (SECCOMP's action cache, Linux 5.11).

use std::collections::BTreeMap;

use ipc::sandbox::{Permit, Sandbox};
use nix::libc;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule,
};

use crate::Error;

/// A system call, and when it is allowed: always, or if one of the conditions holds.
type Listed = (i64, Vec<SeccompRule>);

/// From now on only what is listed.
pub(super) fn restrict(sandbox: &Sandbox) -> Result<(), Error> {
    seccompiler::apply_filter(&program(sandbox)?)?;
    Ok(())
}

/// The filter.
pub(super) fn program(sandbox: &Sandbox) -> Result<BpfProgram, Error> {
    let mut listed: BTreeMap<i64, Vec<SeccompRule>> = BTreeMap::new();
    let mut always = vec![BASE];
    let mut sometimes = base_conditions()?;
    if !sandbox.directories.is_empty() {
        always.push(FILES);
    }
    if !sandbox.read_only.is_empty() {
        always.push(READING);
        sometimes.extend(reading_conditions()?);
    }
    if !sandbox.sockets.is_empty() {
        always.push(&[libc::SYS_connect]);
        // Streams: a datagram could be sent to any socket with a path.
        sometimes.push((libc::SYS_socket, vec![when(&[is(0, libc::AF_UNIX)?, stream()?])?]));
    }
    for permit in &sandbox.permits {
        match permit {
            Permit::Accept => always.push(ACCEPT),
            Permit::CallOut => {
                always.push(CALL_OUT);
                sometimes.extend(call_out_conditions()?);
            }
            Permit::NameService => {
                always.push(NAME_SERVICE);
                sometimes.extend(name_service_conditions()?);
            }
            Permit::Threads => {
                always.push(THREADS);
                sometimes.extend(thread_conditions()?);
            }
            Permit::Watch => always.push(WATCH),
        }
    }
    for (call, rules) in sometimes {
        listed.entry(call).or_default().extend(rules);
    }
    for call in always.concat() {
        listed.insert(call, Vec::new());
    }
    let refused = SeccompAction::Errno(libc::ENOSYS.unsigned_abs());
    let arch = std::env::consts::ARCH.try_into()?;
    Ok(SeccompFilter::new(listed, refused, SeccompAction::Allow, arch)?.try_into()?)
}

/// What every process needs: the allocator, the runtime on one thread, the log, and the edges.
const BASE: &[i64] = &[
    // Memory; mapping is below.
    libc::SYS_brk,
    libc::SYS_madvise,
    libc::SYS_mremap,
    libc::SYS_munmap,
    // Waiting.
    libc::SYS_epoll_ctl,
    libc::SYS_epoll_pwait,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_epoll_wait,
    libc::SYS_clock_nanosleep,
    libc::SYS_nanosleep,
    libc::SYS_futex,
    libc::SYS_sched_yield,
    // The clock, where the kernel's page for it cannot be used (some virtual machines).
    libc::SYS_clock_getres,
    libc::SYS_clock_gettime,
    libc::SYS_gettimeofday,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_time,
    // What it was given: descriptors of sockets, pipes and files.
    libc::SYS_close,
    libc::SYS_fstat,
    libc::SYS_lseek,
    libc::SYS_pread64,
    libc::SYS_read,
    libc::SYS_readv,
    libc::SYS_write,
    libc::SYS_writev,
    libc::SYS_getpeername,
    libc::SYS_getsockname,
    libc::SYS_getsockopt,
    libc::SYS_recvfrom,
    libc::SYS_recvmsg,
    libc::SYS_setsockopt,
    libc::SYS_shutdown,
    // Itself.
    libc::SYS_getegid,
    libc::SYS_geteuid,
    libc::SYS_getgid,
    libc::SYS_getpid,
    libc::SYS_gettid,
    libc::SYS_getuid,
    libc::SYS_getrandom,
    libc::SYS_restart_syscall,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sigaltstack,
    libc::SYS_exit,
    libc::SYS_exit_group,
];

/// Files below the declared directories; where those are, Landlock says.
const FILES: &[i64] = &[
    libc::SYS_openat,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_open,
    libc::SYS_newfstatat,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_stat,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_lstat,
    libc::SYS_statx,
    libc::SYS_statfs,
    libc::SYS_fstatfs,
    libc::SYS_getdents64,
    libc::SYS_mkdirat,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_mkdir,
    libc::SYS_renameat,
    libc::SYS_renameat2,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_rename,
    libc::SYS_unlinkat,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_unlink,
    libc::SYS_fallocate,
    libc::SYS_fdatasync,
    libc::SYS_flock,
    libc::SYS_fsync,
    libc::SYS_ftruncate,
    libc::SYS_pwrite64,
    libc::SYS_pwritev,
];

/// Files that are only read; a lock keeps others from writing them meanwhile.
const READING: &[i64] = &[
    libc::SYS_newfstatat,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_stat,
    libc::SYS_statx,
    libc::SYS_flock,
];

const ACCEPT: &[i64] = &[libc::SYS_accept, libc::SYS_accept4];

/// `bind` is for the ports of the DNS client (RFC 5452 §9.2 wants them random); to `listen` is not
/// listed, and Landlock refuses it for TCP.
const CALL_OUT: &[i64] = &[libc::SYS_bind, libc::SYS_connect];

/// What glibc and its modules do to find a user: read files, look into directories, ask a daemon.
const NAME_SERVICE: &[i64] = &[
    libc::SYS_connect,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_access,
    libc::SYS_faccessat,
    libc::SYS_faccessat2,
    libc::SYS_fstatfs,
    libc::SYS_getdents64,
    libc::SYS_newfstatat,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_stat,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_lstat,
    libc::SYS_statx,
    libc::SYS_readlinkat,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_readlink,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_poll,
    libc::SYS_ppoll,
    libc::SYS_uname,
];

const THREADS: &[i64] = &[libc::SYS_rseq, libc::SYS_sched_getaffinity, libc::SYS_set_robust_list];

const WATCH: &[i64] = &[libc::SYS_inotify_add_watch, libc::SYS_inotify_init1];

fn base_conditions() -> Result<Vec<Listed>, Error> {
    let own_pid = u64::from(std::process::id());
    Ok(vec![
        // Memory that runs is not made: what is written cannot be executed, what is executable is
        // there already.
        (libc::SYS_mmap, vec![when(&[none_of(2, libc::PROT_EXEC)?])?]),
        (libc::SYS_mprotect, vec![when(&[none_of(2, libc::PROT_EXEC)?])?]),
        // Fast open connects without connect(2), and a listener that was shut down can do it.
        (libc::SYS_sendto, vec![when(&[none_of(3, libc::MSG_FASTOPEN)?])?]),
        (libc::SYS_sendmsg, vec![when(&[none_of(2, libc::MSG_FASTOPEN)?])?]),
        // Requests to other processes; the only sockets that most processes make. Streams: datagrams
        // could be sent to any socket with a path, such as that of the system's log.
        (libc::SYS_socketpair, vec![when(&[is(0, libc::AF_UNIX)?, stream()?])?]),
        // Not F_SETOWN and F_SETSIG, with which the kernel sends signals for us.
        (libc::SYS_fcntl, any_of(1, &FCNTL)?),
        // Blocking or not; else devices of every kind would listen.
        (libc::SYS_ioctl, vec![when(&[equals(1, libc::FIONBIO)?])?]),
        // The name of a thread.
        (libc::SYS_prctl, vec![when(&[is(0, libc::PR_SET_NAME)?])?]),
        // To end itself with a signal, as abort(3) does.
        (libc::SYS_tgkill, vec![when(&[equals(0, own_pid)?])?]),
    ])
}

/// The locks are those of an mbox and, of open files, redb's.
const FCNTL: [i32; 10] = [
    libc::F_DUPFD_CLOEXEC,
    libc::F_GETFD,
    libc::F_SETFD,
    libc::F_GETFL,
    libc::F_SETFL,
    libc::F_GETLK,
    libc::F_SETLK,
    libc::F_SETLKW,
    libc::F_OFD_GETLK,
    libc::F_OFD_SETLK,
];

fn call_out_conditions() -> Result<Vec<Listed>, Error> {
    Ok(vec![(libc::SYS_socket, any_of(0, &[libc::AF_INET, libc::AF_INET6])?)])
}

fn name_service_conditions() -> Result<Vec<Listed>, Error> {
    let mut listed = reading_conditions()?;
    listed.extend([
        // sssd, systemd-userdbd, nscd, nslcd and winbind listen on Unix sockets.
        (libc::SYS_socket, vec![when(&[is(0, libc::AF_UNIX)?])?]),
        // Its modules are loaded when they are needed; still nothing is writable and executable.
        (libc::SYS_mmap, vec![when(&[none_of(2, libc::PROT_WRITE)?])?]),
        (libc::SYS_mprotect, vec![when(&[none_of(2, libc::PROT_WRITE)?])?]),
    ]);
    Ok(listed)
}

/// Nothing is opened to be written.
fn reading_conditions() -> Result<Vec<Listed>, Error> {
    const WRITES: i32 = libc::O_WRONLY | libc::O_RDWR | libc::O_CREAT | libc::O_TRUNC;
    Ok(vec![
        (libc::SYS_openat, vec![when(&[none_of(2, WRITES)?])?]),
        #[cfg(target_arch = "x86_64")]
        (libc::SYS_open, vec![when(&[none_of(1, WRITES)?])?]),
    ])
}

fn thread_conditions() -> Result<Vec<Listed>, Error> {
    // A thread, never a process. clone3(2), whose flags cannot be seen, is refused: glibc and musl
    // then use this one.
    let thread = libc::CLONE_THREAD.unsigned_abs().into();
    Ok(vec![(libc::SYS_clone, vec![when(&[masked(0, thread, thread)?])?])])
}

/// The type of a socket, its flags aside (SOCK_TYPE_MASK of linux/net.h).
fn stream() -> Result<SeccompCondition, Error> {
    masked(1, 0xf, libc::SOCK_STREAM.unsigned_abs().into())
}

fn any_of(argument: u8, values: &[i32]) -> Result<Vec<SeccompRule>, Error> {
    values.iter().map(|value| when(&[is(argument, *value)?])).collect()
}

fn when(conditions: &[SeccompCondition]) -> Result<SeccompRule, Error> {
    Ok(SeccompRule::new(conditions.to_vec())?)
}

fn is(argument: u8, value: i32) -> Result<SeccompCondition, Error> {
    equals(argument, value.unsigned_abs().into())
}

fn equals(argument: u8, value: u64) -> Result<SeccompCondition, Error> {
    let width = SeccompCmpArgLen::Dword;
    Ok(SeccompCondition::new(argument, width, SeccompCmpOp::Eq, value)?)
}

/// None of these bits is set.
fn none_of(argument: u8, bits: i32) -> Result<SeccompCondition, Error> {
    masked(argument, bits.unsigned_abs().into(), 0)
}

/// Of these bits, exactly these are set.
fn masked(argument: u8, mask: u64, bits: u64) -> Result<SeccompCondition, Error> {
    let width = SeccompCmpArgLen::Dword;
    Ok(SeccompCondition::new(argument, width, SeccompCmpOp::MaskedEq(mask), bits)?)
}
