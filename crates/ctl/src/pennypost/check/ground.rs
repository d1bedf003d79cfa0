//! What stands outside the configuration: accounts, executables, owners and modes.

use std::fs::{self, Metadata};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::Path;

use config::Config;
use nix::unistd::{Uid, User};

use super::finding::Finding;
use crate::pennypost::start::find;

/// The executables of the house.
const EXECUTABLES: [&str; 7] =
    ["supervisor", "smtpd", "policyd", "qmgr", "remote", "local", "deliver"];
/// The accounts of the daemons, which under `--root` nobody needs.
const ACCOUNTS: [&str; 6] = ["_smtpd", "_submit", "_policy", "_qmgr", "_remote", "_local"];

pub(super) fn check(config: &Config, findings: &mut Vec<Finding>) {
    for name in EXECUTABLES {
        findings.extend(find(name).err().map(|failure| {
            Finding::error(failure.text, "install all executables in one directory")
        }));
    }
    if !config.rooted {
        findings.extend(ACCOUNTS.into_iter().filter_map(missing_account));
        let default_user = &config.local.default_user;
        if matches!(User::from_name(default_user), Ok(None)) {
            let problem = format!("local.default_user: there is no account {default_user}");
            findings.push(Finding::warning(problem, "name an account that exists"));
        }
    }
    findings.extend(written_by_others(&config.paths.file));
    findings.extend(written_by_others(&config.paths.tables));
    let unreadable = metadata(&config.paths.file).is_some_and(|file| file.mode() & 0o004 == 0);
    if unreadable && !config.rooted {
        let problem = "not everybody may read it: sendmail does not learn the hostname from it";
        let finding = Finding::warning(problem, "chmod o+r");
        findings.push(finding.in_file(config.paths.file.display()));
    }
    directories(config, findings);
    sockets(config, findings);
}

fn missing_account(name: &str) -> Option<Finding> {
    match User::from_name(name) {
        Ok(None) => Some(Finding::error(
            format!("there is no account {name}"),
            "install etc/sysusers.d/pennypost.conf and run systemd-sysusers",
        )),
        Ok(Some(_)) | Err(_) => None,
    }
}

/// Who may write the configuration commands the mail system.
pub(super) fn written_by_others(path: &Path) -> Option<Finding> {
    let mode = metadata(path)?.mode();
    (mode & 0o022 != 0).then(|| {
        let problem = format!("others than its owner may write it (mode {:o})", mode & 0o7777);
        Finding::warning(problem, "chmod go-w").in_file(path.display())
    })
}

/// What the supervisor makes and mends at each start.
fn directories(config: &Config, findings: &mut Vec<Finding>) {
    let paths = &config.paths;
    let expected = [
        (&paths.queue, 0o700, "_qmgr"),
        (&paths.drop, 0o3733, "_submit"),
        (&paths.run, 0o755, "root"),
    ];
    for (path, mode, account) in expected {
        let Some(directory) = metadata(path) else { continue };
        if !directory.is_dir() {
            let finding = Finding::error("is there and no directory", "move it away");
            findings.push(finding.in_file(path.display()));
            continue;
        }
        let found = directory.mode() & 0o7777;
        if found != mode {
            let problem = format!("has mode {found:04o} instead of {mode:04o}");
            findings.push(Finding::warning(problem, MENDED).in_file(path.display()));
        }
        findings.extend(wrong_owner(config, path, &directory, account));
    }
}

const MENDED: &str = "the next start mends it";

fn wrong_owner(config: &Config, path: &Path, found: &Metadata, account: &str) -> Option<Finding> {
    let owner = if config.rooted {
        Uid::current().as_raw()
    } else {
        User::from_name(account).ok()??.uid.as_raw()
    };
    (found.uid() != owner).then(|| {
        let problem = format!("belongs to uid {} instead of {owner}", found.uid());
        Finding::warning(problem, MENDED).in_file(path.display())
    })
}

/// Everybody may connect; the daemon sees who it is.
fn sockets(config: &Config, findings: &mut Vec<Finding>) {
    for name in ["submit", "control"] {
        let path = config.paths.run.join(name);
        let Some(socket) = metadata(&path) else { continue };
        if !socket.file_type().is_socket() {
            let finding = Finding::warning("is there and no socket", MENDED);
            findings.push(finding.in_file(path.display()));
        } else if socket.mode() & 0o666 != 0o666 {
            let finding = Finding::warning("not everybody may connect to it", MENDED);
            findings.push(finding.in_file(path.display()));
        }
    }
}

/// `None`: not there, or behind a directory that is closed to the caller.
fn metadata(path: &Path) -> Option<Metadata> {
    fs::symlink_metadata(path).ok()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_file_that_others_write_is_found() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let set =
            |mode| fs::set_permissions(file.path(), fs::Permissions::from_mode(mode)).unwrap();
        set(0o644);
        assert_eq!(written_by_others(file.path()), None);
        for mode in [0o664, 0o646] {
            set(mode);
            let shown = written_by_others(file.path()).unwrap().to_string();
            assert!(shown.contains(&format!("mode {mode:o}")), "{shown}");
        }
        assert_eq!(written_by_others(Path::new("/nonexistent")), None);
    }
}
