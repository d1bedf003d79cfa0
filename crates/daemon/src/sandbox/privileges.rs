//! Rights that are given up, and limits.

use caps::{CapSet, Capability};
use ipc::sandbox::Sandbox;
use nix::sys::prctl::{set_dumpable, set_no_new_privs};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::Error;

/// No program that is executed gives rights back, no capability is left (also to uid 0, under
/// `--root`), and no other process of this uid may look into the memory.
pub(super) fn give_up() -> Result<(), Error> {
    set_no_new_privs()?;
    // Who may not clear it is not root, and no_new_privs makes it void.
    if caps::has_cap(None, CapSet::Effective, Capability::CAP_SETPCAP)? {
        caps::clear(None, CapSet::Bounding)?;
    }
    for set in [CapSet::Ambient, CapSet::Inheritable, CapSet::Effective, CapSet::Permitted] {
        caps::clear(None, set)?;
    }
    set_dumpable(false)?;
    Ok(())
}

/// Hard limits, so that they stay. There is none for the size of files: the log on stderr may be
/// one, and every write to a long one would fail.
pub(super) fn limit(sandbox: &Sandbox) -> Result<(), Error> {
    let limits = [
        // A core dump would hold mail.
        (Resource::RLIMIT_CORE, 0),
        // A leak ends in errors that are logged, not in a system without descriptors.
        (Resource::RLIMIT_NOFILE, sandbox.descriptors),
        // A leak ends in one process, not in a system without memory.
        (Resource::RLIMIT_DATA, sandbox.memory),
        // Nothing here needs memory that cannot be swapped out.
        (Resource::RLIMIT_MEMLOCK, 0),
    ];
    for (resource, limit) in limits {
        let (_, hard) = getrlimit(resource)?;
        let limit = limit.min(hard);
        setrlimit(resource, limit, limit)?;
    }
    Ok(())
}
