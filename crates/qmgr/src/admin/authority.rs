//! Who may see and change which queued mail.

use config::Config;
use envelope::Origin;
use nix::unistd::{Group, Uid, User, geteuid};

/// What the user at the other end of an administrator's connection may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Authority {
    /// Root, and whom `control.admins` names.
    All,
    /// Their own mail: what this uid submitted on this machine.
    Own(u32),
}

impl Authority {
    /// What `uid`, as the kernel saw it, may do. Under `--root` whoever runs the MTA is its
    /// administrator.
    #[must_use]
    pub fn of(uid: u32, config: &Config) -> Self {
        let uid = Uid::from_raw(uid);
        if uid.is_root() || (config.rooted && uid == geteuid()) || is_named(uid, &config.admins) {
            return Self::All;
        }
        Self::Own(uid.as_raw())
    }

    /// May this user see and change a message that came from there?
    #[must_use]
    pub const fn covers(self, origin: &Origin) -> bool {
        match (self, origin) {
            (Self::All, _) => true,
            (Self::Own(own), Origin::User { uid, .. }) => own == *uid,
            (Self::Own(_), Origin::Client { .. } | Origin::Ourselves) => false,
        }
    }
}

/// Is the user among `admins`, by name or as a member of an `@group`? A look-up that fails gives
/// no authority.
fn is_named(uid: Uid, admins: &[String]) -> bool {
    if admins.is_empty() {
        return false;
    }
    let Ok(Some(user)) = User::from_uid(uid) else {
        return false;
    };
    admins.iter().any(|admin| match admin.strip_prefix('@') {
        Some(group) => is_member(&user, group),
        None => *admin == user.name,
    })
}

fn is_member(user: &User, group: &str) -> bool {
    match Group::from_name(group) {
        Ok(Some(group)) => group.gid == user.gid || group.mem.contains(&user.name),
        Ok(None) | Err(_) => false,
    }
}
