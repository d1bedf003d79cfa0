//! What is wrong with a line of a table.

use std::fmt;

/// One bad line. Shown as `aliases:12: …`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The file, as the administrator knows it.
    pub file: String,
    /// Counted from 1.
    pub line: usize,
    /// What is wrong, and what to do.
    pub text: String,
    /// The line takes no effect because this version cannot do what it asks; mail would go astray,
    /// so that Pennypost does not start with it.
    pub unsupported: bool,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, envelope::printable(&self.text))
    }
}
