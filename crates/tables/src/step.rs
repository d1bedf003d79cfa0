//! One step of a decision, with the line that says so.

use std::fmt;

/// One rule that applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The table file, or the key of `pennypost.toml`.
    pub file: &'static str,
    /// `None`: a key, or a rule of the house.
    pub line: Option<usize>,
    pub text: String,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.file)?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        write!(f, ": {}", envelope::printable(&self.text))
    }
}
