//! Who may see and change which queued mail.

use config::Config;
use envelope::Origin;
use nix::unistd::{Uid, User};

/// The user at the other end of an administrator's connection.
#[derive(Debug, Clone)]
pub struct Visitor {
    pub authority: Authority,
    /// For the log: `alice (uid 1000)`.
    pub name: String,
}

impl Visitor {
    /// Who has this uid, as the kernel saw it. Asks the name service, so it may take a while.
    #[must_use]
    pub fn find(uid: u32, config: &Config) -> Self {
        let user = User::from_uid(Uid::from_raw(uid)).ok().flatten();
        let name =
            user.map_or_else(|| format!("uid {uid}"), |it| format!("{} (uid {uid})", it.name));
        let admin = daemon::is_admin(config, uid);
        Self { authority: if admin { Authority::All } else { Authority::Own(uid) }, name }
    }
}

/// What the user at the other end of an administrator's connection may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Authority {
    /// Administrators.
    All,
    /// Their own mail: what this uid submitted on this machine.
    Own(u32),
}

impl Authority {
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
