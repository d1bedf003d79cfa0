//! What must stand before any process does: accounts, directories, the lock.

use std::collections::HashMap;
use std::fs::{DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use config::Config;
use daemon::Identity;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::unistd::{User, geteuid};

use crate::trouble::{self, Trouble};

const PATIENCE: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_millis(20);
/// Descriptors of a process: 1,000 sessions with their requests, eight times.
const DESCRIPTORS: u64 = 16 * 1024;
const REMEDY: &str = "install etc/sysusers.d/pennypost.conf and run systemd-sysusers";

/// The accounts of the daemons; none under `--root`, where everybody stays the caller.
#[derive(Debug, Default)]
pub struct Accounts(HashMap<&'static str, Identity>);

impl Accounts {
    /// Looks the accounts up, each with the name of the process that needs it.
    ///
    /// # Errors
    /// One is missing or has uid 0, or the caller is not root.
    pub fn look_up(
        config: &Config,
        needed: impl IntoIterator<Item = (&'static str, &'static str)>,
    ) -> Result<Self, Trouble> {
        if config.rooted {
            return Ok(Self::default());
        }
        if !geteuid().is_root() {
            let text = "start as root, or with --root DIR as anybody".to_owned();
            return Err(Trouble(trouble::NOPERM, text));
        }
        let mut accounts = HashMap::new();
        for (account, name) in needed {
            let refused = |why: &str| Trouble(trouble::CONFIG, format!("account {account}: {why}"));
            let user = User::from_name(account)
                .map_err(|error| Trouble::system(format!("account {account}"), error))?
                .ok_or_else(|| refused(&format!("missing, and {name} needs it: {REMEDY}")))?;
            if user.uid.is_root() {
                return Err(refused("has uid 0: no daemon may"));
            }
            let identity = Identity { uid: user.uid.as_raw(), gid: user.gid.as_raw() };
            accounts.insert(account, identity);
        }
        Ok(Self(accounts))
    }

    /// `None`: the caller's own.
    #[must_use]
    pub fn get(&self, account: &str) -> Option<Identity> {
        self.0.get(account).copied()
    }
}

/// Makes the directories that are missing, and sets who may do what in them.
///
/// # Errors
/// The system refuses.
pub fn make_directories(config: &Config, accounts: &Accounts) -> Result<(), Trouble> {
    let paths = &config.paths;
    make_directory(&paths.run, 0o755, None)?;
    make_directory(&paths.queue, 0o700, accounts.get("_qmgr"))?;
    // Everybody may put a message there; only the submission role may look.
    make_directory(&paths.drop, 0o3733, accounts.get("_submit"))
}

fn make_directory(path: &Path, mode: u32, owner: Option<Identity>) -> Result<(), Trouble> {
    let made = DirBuilder::new().recursive(true).mode(0o755).create(path);
    made.and_then(|()| match owner {
        Some(Identity { uid, gid }) => chown(path, Some(uid), Some(gid)),
        None => Ok(()),
    })
    .and_then(|()| std::fs::set_permissions(path, Permissions::from_mode(mode)))
    .map_err(|error| Trouble::system(path.display(), error))
}

/// Tries again for a while when something is `taken`: a supervisor that was just killed, and its
/// daemons, need a moment to be gone.
pub(crate) fn patiently<T, E>(
    attempt: impl Fn() -> Result<T, E>,
    taken: impl Fn(&E) -> bool,
) -> Result<T, E> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match attempt() {
            Err(error) if taken(&error) && Instant::now() < deadline => thread::sleep(PAUSE),
            done => return done,
        }
    }
}

/// Locks `run` as long as the file that is returned is open: the kernel lets it go, however the
/// supervisor ends.
///
/// # Errors
/// Another supervisor has this root.
pub fn lock(run: &Path) -> Result<File, Trouble> {
    let path = run.join("lock");
    let trouble = |error| Trouble::system(path.display(), error);
    // For nobody else to open: who can open a file can lock it.
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600);
    let mut file = options.open(&path).map_err(trouble)?;
    let locked = patiently(|| file.try_lock(), |error| matches!(error, TryLockError::WouldBlock));
    match locked {
        Ok(()) => {
            // Only for the message below.
            let written = file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id()));
            written.map(|()| file).map_err(trouble)
        }
        Err(TryLockError::Error(error)) => Err(trouble(error)),
        Err(TryLockError::WouldBlock) => {
            let mut pid = String::new();
            let _ = (&mut file).take(20).read_to_string(&mut pid);
            let text = format!("already running here, pid {} ({})", pid.trim(), path.display());
            Err(Trouble(trouble::UNAVAILABLE, text))
        }
    }
}

/// The directory of the daemons: the supervisor's own.
///
/// # Errors
/// One that is needed is not there.
pub fn find_programs(mut needed: impl Iterator<Item = &'static str>) -> Result<PathBuf, Trouble> {
    let own = std::env::current_exe().map_err(|error| Trouble::system("own path", error))?;
    let own = own.parent().unwrap_or(Path::new("/"));
    let missing = needed.find(|name| !own.join(name).is_file());
    let Some(name) = missing else { return Ok(own.to_owned()) };
    Err(Trouble(trouble::UNAVAILABLE, format!("no executable {name} in {}", own.display())))
}

/// Lets the daemons, who inherit it, hold as many descriptors as their sessions need.
pub fn allow_descriptors() {
    if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        // As far as it goes; a lower limit means fewer sessions.
        let _ = setrlimit(Resource::RLIMIT_NOFILE, soft.max(hard.min(DESCRIPTORS)), hard);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_supervisors_exclude_each_other() {
        let run = tempfile::tempdir().unwrap();
        let held = lock(run.path()).unwrap();
        let refused = lock(run.path()).unwrap_err().1;
        assert!(refused.contains(&format!("pid {} ", std::process::id())), "{refused}");
        drop(held);
        lock(run.path()).unwrap();
    }

    #[test]
    fn directories_get_their_modes() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("a/b");
        for mode in [0o700, 0o3733] {
            make_directory(&path, mode, None).unwrap();
            assert_eq!(path.metadata().unwrap().permissions().mode() & 0o7777, mode);
        }
    }
}
