//! Landlock: which files, no TCP unless declared, no signal and no abstract socket beyond the
//! process. As much of it as the kernel has.

use std::path::Path;

use ipc::sandbox::{Permit, Sandbox};
use landlock::{
    ABI, Access as _, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible as _, LandlockStatus,
    PathBeneath, PathFd, Ruleset, RulesetAttr as _, RulesetCreated, RulesetCreatedAttr as _, Scope,
    make_bitflags,
};

use crate::Error;

/// The newest version that this was written for.
const KNOWN: ABI = ABI::V9;

/// What the name service of glibc reads (nss(5), nsswitch.conf(5)): its configuration, `passwd` and
/// `group` (whole directories, as these files are replaced by new ones), its modules, and the places
/// of sssd, systemd-userdbd, nscd, nslcd, winbind and extrausers. What lies there and is not for
/// everybody, the process's uid cannot read.
const NAME_SERVICE: &[&str] = &[
    "/etc",
    "/lib",
    "/lib64",
    "/nix/store",
    "/run",
    "/usr/lib",
    "/usr/lib64",
    "/var/db",
    "/var/lib/extrausers",
    "/var/lib/misc",
    "/var/lib/sss",
    "/var/run",
];

/// The version in force, if any.
pub(super) fn restrict(sandbox: &Sandbox) -> Result<Option<u32>, Error> {
    if !sandbox.directories.is_empty() && !lets_move() {
        return Ok(None);
    }
    let mut rules = Ruleset::default()
        .handle_access(AccessFs::from_all(KNOWN))?
        .handle_access(tcp(sandbox))?
        .scope(Scope::from_all(KNOWN))?
        .create()?;
    for directory in &sandbox.directories {
        rules = allow(rules, directory, own())?;
    }
    for directory in &sandbox.read_only {
        rules = allow(rules, directory, AccessFs::ReadFile | AccessFs::ReadDir)?;
    }
    if sandbox.may(Permit::NameService) {
        let ask = AccessFs::from_read(KNOWN) | AccessFs::ResolveUnix;
        for place in NAME_SERVICE.iter().map(Path::new).filter(|place| place.exists()) {
            rules = allow(rules, place, ask)?;
        }
    }
    for socket in &sandbox.sockets {
        rules = allow(rules, above(socket), AccessFs::ResolveUnix.into())?;
    }
    match rules.restrict_self()?.landlock {
        LandlockStatus::NotEnabled | LandlockStatus::NotImplemented => Ok(None),
        LandlockStatus::Available { effective_abi, .. } => Ok(Some(effective_abi as u32)),
    }
}

/// The directory above the one that a socket is in: who listens there makes its directory anew when it
/// starts, and it may not be there yet. Nobody does so with a directory that is below `/` itself.
fn above(socket: &Path) -> &Path {
    let is_narrow = |place: &&Path| place.parent().is_some() && place.is_dir();
    let mut places = socket.ancestors().skip(1);
    let own = places.next();
    places.find(is_narrow).or(own.filter(is_narrow)).unwrap_or(Path::new("/"))
}

/// The first version of Landlock lets nobody rename from one directory to another, as into a
/// Maildir.
fn lets_move() -> bool {
    let strict = Ruleset::default().set_compatibility(CompatLevel::HardRequirement);
    strict.handle_access(AccessFs::Refer).is_ok()
}

/// What is refused of TCP. Whoever calls out still binds nothing, and so never listens.
fn tcp(sandbox: &Sandbox) -> BitFlags<AccessNet> {
    if sandbox.may(Permit::CallOut) {
        AccessNet::BindTcp.into()
    } else {
        AccessNet::BindTcp | AccessNet::ConnectTcp
    }
}

/// Plain files and directories, moved to and fro; no devices, sockets, links, and no programs.
fn own() -> BitFlags<AccessFs> {
    make_bitflags!(AccessFs::{
        ReadFile | ReadDir | WriteFile | Truncate | MakeReg | MakeDir | RemoveFile | Refer
    })
}

fn allow(
    rules: RulesetCreated,
    path: &Path,
    access: BitFlags<AccessFs>,
) -> Result<RulesetCreated, Error> {
    let blame = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let opened = PathFd::new(path).map_err(|error| blame(&error))?;
    Ok(rules.add_rule(PathBeneath::new(opened, access)).map_err(|error| blame(&error))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_opens_no_way_to_all_others() {
        let tree = tempfile::tempdir().unwrap();
        let below = |path: &str| tree.path().join(path);
        std::fs::create_dir_all(below("store/own")).unwrap();
        assert_eq!(above(&below("store/own/lmtp")), below("store"));
        assert_eq!(above(&below("store/gone/lmtp")), below("store"));
        assert_eq!(above(&below("gone/own/lmtp")), tree.path());
        assert_eq!(above(Path::new("/etc/lmtp")), Path::new("/etc"));
        assert_eq!(above(Path::new("/nonexistent/lmtp")), Path::new("/"));
    }
}
