//! Who may see and change which queued mail.

use envelope::Origin;
use ipc::admin::QueueRequest;

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

/// Is this for administrators only? Everything else is answered of the user's own mail. Whom this
/// machine talks to and how much is nobody else's business: it tells of others' mail.
#[must_use]
pub const fn is_of_administrators(request: &QueueRequest) -> bool {
    match request {
        QueueRequest::Count
        | QueueRequest::Hosts { .. }
        | QueueRequest::Forget(_)
        | QueueRequest::Statistics { .. } => true,
        QueueRequest::List { .. }
        | QueueRequest::Show(_)
        | QueueRequest::Change { .. }
        | QueueRequest::Watch
        | QueueRequest::News => false,
    }
}
