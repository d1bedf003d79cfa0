//! The house on one page: which processes there are, as whom they run, whom they ask, and what
//! they are given. What is not in this table a process does not get.

use config::{Role, needs};
use ipc::Arrow;
use ipc::control::End;

/// What a process is and what it gets.
#[derive(Debug)]
pub(crate) struct Plan {
    /// As in `pennypost status` and in the log.
    pub(crate) name: &'static str,
    /// The executable beside the supervisor's, and its argument.
    pub(crate) command: (&'static str, Option<&'static str>),
    /// The account it runs as, unless under `--root`.
    pub(crate) account: &'static str,
    pub(crate) asks: &'static [Arrow],
    pub(crate) answers: &'static [Arrow],
    /// Files of the table directory, given if they exist.
    pub(crate) tables: &'static [&'static [&'static str]],
    /// It gets the listeners of this role; submission also the socket `submit`.
    pub(crate) listens: Option<Role>,
    /// It owns something, so there is one of it at a time: another generation is offered to it. Any
    /// other process is replaced.
    pub(crate) lasts: bool,
    /// When it is drained: once all of the stages before are gone, so that nobody loses the one
    /// it asks.
    pub(crate) drained: u8,
}

impl Plan {
    /// Where this process meets others.
    pub(crate) fn ends(&self) -> impl Iterator<Item = End> {
        let asks = self.asks.iter().copied().map(End::Asks);
        asks.chain(self.answers.iter().copied().map(End::Answers))
    }
}

/// All processes, in the order of their start: who is asked is there before who asks.
pub(crate) const HOUSE: [Plan; 6] = [
    Plan {
        name: "policyd",
        command: ("policyd", None),
        account: "_policy",
        asks: &[],
        answers: &[Arrow::MxToPolicyd, Arrow::SubmissionToPolicyd],
        tables: &[needs::ROUTING, needs::POLICY],
        listens: None,
        lasts: true,
        drained: 1,
    },
    Plan {
        name: "remote",
        command: ("remote", None),
        account: "_remote",
        asks: &[],
        answers: &[Arrow::QmgrToRemote],
        tables: &[needs::BORDER, needs::SOCKETS],
        listens: None,
        lasts: false,
        drained: 2,
    },
    Plan {
        name: "local",
        command: ("local", None),
        account: "_local",
        asks: &[Arrow::LocalToSupervisor],
        answers: &[Arrow::QmgrToLocal],
        tables: &[needs::BORDER],
        listens: None,
        lasts: false,
        drained: 2,
    },
    Plan {
        name: "qmgr",
        command: ("qmgr", None),
        account: "_qmgr",
        asks: &[Arrow::QmgrToRemote, Arrow::QmgrToLocal],
        answers: &[Arrow::MxToQmgr, Arrow::SubmissionToQmgr, Arrow::SupervisorToQmgr],
        tables: &[needs::ROUTING],
        listens: None,
        lasts: true,
        drained: 1,
    },
    Plan {
        name: "smtpd(mx)",
        command: ("smtpd", Some("mx")),
        account: "_smtpd",
        asks: &[Arrow::MxToPolicyd, Arrow::MxToQmgr],
        answers: &[],
        tables: &[],
        listens: Some(Role::Mx),
        lasts: false,
        drained: 0,
    },
    Plan {
        name: "smtpd(submission)",
        command: ("smtpd", Some("submission")),
        account: "_submit",
        asks: &[Arrow::SubmissionToPolicyd, Arrow::SubmissionToQmgr],
        answers: &[],
        tables: &[needs::CLAIMS],
        listens: Some(Role::Submission),
        lasts: false,
        drained: 0,
    },
];

/// The last stage of the drain.
pub(crate) const LAST_DRAINED: u8 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_arrow_has_two_ends() {
        let own = [End::Asks(Arrow::SupervisorToQmgr), End::Answers(Arrow::LocalToSupervisor)];
        let ends: Vec<End> = HOUSE.iter().flat_map(Plan::ends).chain(own).collect();
        let times = |end| ends.iter().filter(|other| **other == end).count();
        for End::Asks(arrow) | End::Answers(arrow) in &ends {
            assert_eq!(times(End::Asks(*arrow)), 1, "{arrow}");
            assert_eq!(times(End::Answers(*arrow)), 1, "{arrow}");
        }
    }

    #[test]
    fn whoever_is_asked_is_drained_later() {
        let drained = |end: End| HOUSE.iter().find(|plan| plan.ends().any(|other| other == end));
        for plan in &HOUSE {
            assert!(plan.drained <= LAST_DRAINED);
            for asked in plan.asks.iter().filter_map(|arrow| drained(End::Answers(*arrow))) {
                assert!(asked.drained > plan.drained, "{} asks {}", plan.name, asked.name);
            }
        }
    }
}
