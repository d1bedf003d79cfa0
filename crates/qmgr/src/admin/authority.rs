//! Who may see and change which queued mail.

use envelope::Origin;

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
