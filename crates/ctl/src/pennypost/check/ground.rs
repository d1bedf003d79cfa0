//! What stands outside the configuration: accounts, executables, owners and modes.

use std::fs::{self, Metadata};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::os::unix::net::UnixStream;
use std::path::Path;

use config::{Config, OnDisk};
use nix::unistd::{Uid, User};
use tables::{Mailertable, Source as _};

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
    let elsewhere = config.paths.sources.values().flatten();
    findings.extend(elsewhere.filter_map(|source| written_by_others(&source.path)));
    let unreadable = metadata(&config.paths.file).is_some_and(|file| file.mode() & 0o004 == 0);
    if unreadable && !config.rooted {
        let problem = "not everybody may read it: sendmail does not learn the hostname from it";
        let finding = Finding::warning(problem, "chmod o+r");
        findings.push(finding.in_file(config.paths.file.display()));
    }
    directories(config, findings);
    sockets(config, findings);
    let mailertable = OnDisk(config).table("mailertable", |f, s| Mailertable::read(f, s));
    // A table that cannot be read is told of as such.
    let stores = config.sockets(&mailertable.unwrap_or_default());
    findings.extend(stores.iter().filter_map(|path| silent_store(config, path)));
}

/// An LMTP server that mail goes to.
fn silent_store(config: &Config, path: &Path) -> Option<Finding> {
    let say = |problem: String, remedy: &str| {
        Some(Finding::warning(problem, remedy).in_file(path.display()))
    };
    if let Err(error) = UnixStream::connect(path) {
        let problem = format!("no LMTP server listens there ({error}); its mail waits");
        return say(problem, "start it, or name the socket that it has");
    }
    let closed = metadata(path).is_some_and(|socket| socket.mode() & 0o002 == 0);
    if closed && !config.rooted {
        let problem = "not everybody may connect to it: _remote and _policy must".to_owned();
        return say(problem, "give it mode 0666 where the LMTP server is configured");
    }
    None
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
    fn a_store_that_does_not_listen_is_found() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("etc/mail");
        fs::create_dir_all(&folder).unwrap();
        let text = "hostname = \"x.test\"\n[local]\nmailbox = \"lmtp:unix:/store\"\n";
        fs::write(folder.join("pennypost.toml"), text).unwrap();
        fs::write(folder.join("mailertable"), "y.test lmtp:unix:/other\n").unwrap();
        let config = config::load(Some(root.path()), None).unwrap();
        let found = |name: &str| {
            let mut findings = Vec::new();
            check(&config, &mut findings);
            let place = format!("{}: ", root.path().join(name).display());
            let shown = findings.iter().map(ToString::to_string);
            shown.filter(|line| line.contains(&place)).collect::<Vec<_>>().join("\n")
        };
        assert!(found("store").contains("no LMTP server listens there"), "{}", found("store"));
        assert!(found("other").contains("no LMTP server listens there"));
        let _store = std::os::unix::net::UnixListener::bind(root.path().join("store")).unwrap();
        assert_eq!(found("store"), "");
        let mut config = config.clone();
        config.rooted = false;
        fs::set_permissions(root.path().join("store"), fs::Permissions::from_mode(0o600)).unwrap();
        let closed = silent_store(&config, &root.path().join("store")).unwrap().to_string();
        assert!(closed.contains("not everybody may connect"), "{closed}");
    }

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
