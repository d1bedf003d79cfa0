//! Who of this machine's users has a mailbox, and with whose rights it is written; and who runs what
//! has no user of its own.
//!
//! **Invariant:** never with root's.
//! All of it may ask the name service, and so may take a while.

use std::path::PathBuf;

use config::{Config, Mailbox, Table};
use ipc::run_as::Who;
use nix::errno::Errno;
use nix::unistd::{Group, User};
use tables::Users;

/// Whom a process becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    pub uid: u32,
    pub gid: u32,
}

/// Who a process is started for.
#[derive(Debug)]
pub struct Owner {
    pub home: PathBuf,
    /// As in passwd; `None`: whatever it is, it will do.
    pub shell: Option<PathBuf>,
    /// Whose rights it has; `None`: the caller's, under `--root`.
    pub writer: Option<Identity>,
}

impl Owner {
    /// Who that is, if there is such a user. Under `--root` the users are those of the table `users`,
    /// each with a home there.
    ///
    /// # Errors
    /// It cannot be said now, and why.
    pub fn find(config: &Config, users: Option<&Table>, who: &Who) -> Result<Option<Self>, String> {
        let (Who::Mailbox(name) | Who::User(name)) = who else {
            return Self::default(config).map(Some);
        };
        if config.rooted {
            let users = users.map(|users| Users::read("users", users.reader())).transpose();
            let users = users.map_err(|error| format!("users: {error}"))?;
            let known = users.is_some_and(|users| users.table.contains(name));
            let home = config.paths.root.join("home").join(name);
            return Ok(known.then_some(Self { home, shell: None, writer: None }));
        }
        let Some(user) = find_user(name, config)? else { return Ok(None) };
        let writer = if user.uid.is_root() { default_user(config)? } else { user.clone() };
        let group = match (who, &config.local.mailbox) {
            // The directory of the mailboxes is this group's.
            (Who::Mailbox(_), Mailbox::Mbox(_)) => {
                Group::from_name("mail").map_err(|why| format!("mail: {why}"))?
            }
            (Who::Mailbox(_) | Who::User(_) | Who::Default, _) => None,
        };
        let gid = group.map_or(writer.gid, |group| group.gid).as_raw();
        let writer = Some(Identity { uid: writer.uid.as_raw(), gid });
        Ok(Some(Self { home: user.dir, shell: Some(user.shell), writer }))
    }

    /// Who runs what has no user of its own.
    fn default(config: &Config) -> Result<Self, String> {
        if config.rooted {
            return Ok(Self { home: config.paths.root.clone(), shell: None, writer: None });
        }
        let user = default_user(config)?;
        let writer = Some(Identity { uid: user.uid.as_raw(), gid: user.gid.as_raw() });
        Ok(Self { home: user.dir, shell: None, writer })
    }
}

/// The account `name`, if it has a mailbox: root, and all from `minimum_uid` on.
///
/// # Errors
/// The user database cannot be asked.
pub fn user_with_mailbox(name: &str, minimum_uid: u32) -> Result<Option<User>, Errno> {
    let has_mailbox = |user: &User| user.uid.is_root() || user.uid.as_raw() >= minimum_uid;
    // Some user databases know no case; mailboxes do.
    Ok(User::from_name(name)?.filter(|user| user.name == name && has_mailbox(user)))
}

fn find_user(name: &str, config: &Config) -> Result<Option<User>, String> {
    let found = user_with_mailbox(name, config.local.minimum_uid);
    found.map_err(|error| format!("user {name}: {error}"))
}

/// Who writes root's mail.
fn default_user(config: &Config) -> Result<User, String> {
    let name = &config.local.default_user;
    let user = User::from_name(name).map_err(|error| format!("user {name}: {error}"))?;
    let plain = user.filter(|user| !user.uid.is_root());
    plain.ok_or_else(|| format!("local.default_user {name} is no plain user"))
}
