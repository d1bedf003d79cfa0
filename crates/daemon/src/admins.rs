//! Who may control the MTA.

use config::Config;
use nix::unistd::{Gid, Group, Uid, User, geteuid};

/// Is this user root or one of `control.admins`? Under `--root` the caller who started the MTA is
/// one, too. Asks the name service, so it may take a while; a look-up that fails gives no
/// authority.
#[must_use]
pub fn is_admin(config: &Config, uid: u32) -> bool {
    let uid = Uid::from_raw(uid);
    if uid.is_root() || (config.rooted && uid == geteuid()) {
        return true;
    }
    if config.admins.is_empty() {
        return false;
    }
    let Ok(Some(user)) = User::from_uid(uid) else {
        return false;
    };
    config.admins.iter().any(|admin| match admin.strip_prefix('@') {
        Some(group) => is_member(&user.name, user.gid, group),
        None => *admin == user.name,
    })
}

fn is_member(name: &str, primary: Gid, group: &str) -> bool {
    let group = Group::from_name(group).ok().flatten();
    group.is_some_and(|group| group.gid == primary || group.mem.iter().any(|member| member == name))
}
