//! Where an entry stands.

use std::fmt;
use std::sync::Arc;

/// A line of a source of a table. Shown as `access.cidr:12`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// As the administrator named it: below the directory of the tables, or absolute.
    pub file: Arc<str>,
    /// From 1.
    pub line: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}
