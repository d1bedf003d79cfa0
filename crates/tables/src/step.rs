//! One step of a decision, with the line that says so.

use std::fmt;
use std::sync::Arc;

use crate::Place;

/// One rule that applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The source of a table, or the key of `pennypost.toml`.
    pub file: Arc<str>,
    /// `None`: a key, or a rule of the house.
    pub line: Option<usize>,
    pub text: String,
}

impl Step {
    /// By a line of a table.
    #[must_use]
    pub fn at(place: &Place, text: impl Into<String>) -> Self {
        Self { file: Arc::clone(&place.file), line: Some(place.line), text: text.into() }
    }

    /// By a key of `pennypost.toml`, or by what a table has without a line.
    #[must_use]
    pub fn by(key: &str, text: impl Into<String>) -> Self {
        Self { file: key.into(), line: None, text: text.into() }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        write!(f, ": {}", envelope::printable(&self.text))
    }
}
