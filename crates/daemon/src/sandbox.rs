//! The kernel sandbox: from [`enter`] on, a process does what it declared and nothing else.
//!
//! Linux only: no_new_privs, no capabilities, resource limits, Landlock for files and TCP, seccomp
//! for system calls (on x86-64 and ARM64). Elsewhere its own uid and the descriptors that it was
//! given are the walls.
//!
//! **Invariant:** it holds for the whole process: it is entered before there is a second thread.
//! **Invariant:** nothing is killed for a call that is not listed; it fails with ENOSYS, as on a
//! kernel that does not know it, and libraries fall back to calls that are.

#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
mod calls;
#[cfg(target_os = "linux")]
mod files;
#[cfg(target_os = "linux")]
mod privileges;

use ipc::sandbox::{Confinement, Sandbox};

use crate::Error;

/// Enters the sandbox, for ever.
///
/// # Errors
/// There are other threads already, a directory is missing, or the kernel refuses. The process may
/// then be half confined: it is to end.
#[cfg(target_os = "linux")]
pub fn enter(sandbox: Sandbox) -> Result<Confinement, Error> {
    alone()?;
    privileges::limit(&sandbox)?;
    privileges::give_up()?;
    let landlock = files::restrict(&sandbox)?;
    if landlock.is_none() {
        tracing::warn!("this kernel has no Landlock: fewer walls around files and TCP");
    }
    // Last: what was done above is not listed.
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    calls::restrict(&sandbox)?;
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    tracing::warn!("no system calls are listed for this processor: there is no seccomp filter");
    Ok(Confinement { sandbox, landlock })
}

/// Nothing to enter here.
///
/// # Errors
/// None.
#[cfg(not(target_os = "linux"))]
pub fn enter(sandbox: Sandbox) -> Result<Confinement, Error> {
    Ok(Confinement { sandbox, landlock: None })
}

/// Landlock and capabilities hold for the thread that enters and those it starts later.
#[cfg(target_os = "linux")]
fn alone() -> Result<(), Error> {
    let threads = std::fs::read_dir("/proc/self/task").map_err(|error| {
        format!("the sandbox cannot count the threads in /proc/self/task: {error}")
    })?;
    match threads.count() {
        1 => Ok(()),
        more => Err(format!("the sandbox is to be entered before there are {more} threads").into()),
    }
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests;
