//! One question with its two answers.

use std::fmt;

/// An answer is one or several lines without what never matters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    /// The file of the case, or the title of a case within it.
    pub(crate) case: String,
    /// `-bv x@example.org`
    pub(crate) question: String,
    pub(crate) sendmail: String,
    pub(crate) ours: String,
}

impl Answer {
    pub(crate) fn differs(&self) -> bool {
        self.sendmail != self.ours
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { case, question, sendmail, ours } = self;
        writeln!(f, "{case}: {question}\n  sendmail: {sendmail}\n  ours:     {ours}")
    }
}
