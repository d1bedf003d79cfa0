//! Users of this machine, by their uid: who they are, and who may control the MTA.

use config::Config;
use ipc::admin::Visitor;
use nix::unistd::{Gid, Group, Uid, User, geteuid};

/// Who has this uid, as the kernel saw it. Asks the name service, so it may take a while; a look-up
/// that fails gives no authority.
#[must_use]
pub fn recognize(config: &Config, uid: u32) -> Visitor {
    let name = name_of(uid).ok().flatten();
    let name = name.map_or_else(|| format!("uid {uid}"), |name| format!("{name} (uid {uid})"));
    Visitor { name, admin: is_admin(config, uid) }
}

/// Is this user root or one of `control.admins`? Under `--root` the caller who started the MTA is
/// one, too.
fn is_admin(config: &Config, uid: u32) -> bool {
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

/// The user's name; `None`: nobody has this uid. Asks the name service, so it may take a while.
///
/// # Errors
/// The name service cannot be asked.
pub fn name_of(uid: u32) -> nix::Result<Option<String>> {
    Ok(User::from_uid(Uid::from_raw(uid))?.map(|user| user.name))
}

fn is_member(name: &str, primary: Gid, group: &str) -> bool {
    let group = Group::from_name(group).ok().flatten();
    group.is_some_and(|group| group.gid == primary || group.mem.iter().any(|member| member == name))
}
