//! The arrows of the house.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Who may ask whom. Named client first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Arrow {
    /// `smtpd` (mx) asks `policyd`: [`crate::policy`].
    MxToPolicyd,
    /// `smtpd` (submission) asks `policyd`: [`crate::policy`].
    SubmissionToPolicyd,
    /// `smtpd` (mx) gives messages to `qmgr`: [`crate::submission`].
    MxToQmgr,
    /// `smtpd` (submission) gives messages to `qmgr`: [`crate::submission`].
    SubmissionToQmgr,
    /// `qmgr` has `remote` deliver: [`crate::delivery`].
    QmgrToRemote,
    /// `qmgr` has `local` deliver: [`crate::delivery`].
    QmgrToLocal,
    /// `local` asks the supervisor for a process of a user: [`crate::run_as`].
    LocalToSupervisor,
    /// The supervisor hands on an administrator's connection: [`crate::admin`].
    SupervisorToQmgr,
}

impl fmt::Display for Arrow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::MxToPolicyd => "smtpd(mx)→policyd",
            Self::SubmissionToPolicyd => "smtpd(submission)→policyd",
            Self::MxToQmgr => "smtpd(mx)→qmgr",
            Self::SubmissionToQmgr => "smtpd(submission)→qmgr",
            Self::QmgrToRemote => "qmgr→remote",
            Self::QmgrToLocal => "qmgr→local",
            Self::LocalToSupervisor => "local→supervisor",
            Self::SupervisorToQmgr => "supervisor→qmgr",
        })
    }
}
