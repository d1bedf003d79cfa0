//! One thing that `pennypost check` has to say.

use std::fmt;

use envelope::printable;
use serde_json::{Value, json};

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Weight {
    /// It would not start.
    Error,
    /// Some mail suffers.
    Warning,
    Notice,
}

/// What was found, where, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) weight: Weight,
    file: Option<String>,
    /// Line and column, counted from 1.
    line: Option<usize>,
    column: Option<usize>,
    /// The line itself.
    text: Option<String>,
    problem: String,
    /// Empty: the problem says it.
    remedy: String,
}

impl Finding {
    pub(super) fn error(problem: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            weight: Weight::Error,
            file: None,
            line: None,
            column: None,
            text: None,
            problem: problem.into(),
            remedy: remedy.into(),
        }
    }

    pub(super) fn warning(problem: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { weight: Weight::Warning, ..Self::error(problem, remedy) }
    }

    pub(super) fn notice(problem: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { weight: Weight::Notice, ..Self::error(problem, remedy) }
    }

    pub(super) fn in_file(self, file: impl fmt::Display) -> Self {
        Self { file: Some(file.to_string()), ..self }
    }

    pub(super) fn at(self, line: Option<usize>, column: Option<usize>) -> Self {
        Self { line, column, ..self }
    }

    pub(super) fn showing(self, line: Option<&str>) -> Self {
        Self { text: line.map(str::to_owned), ..self }
    }

    pub(super) fn to_json(&self) -> Value {
        json!({
            "severity": self.weight.to_string(),
            "file": self.file,
            "line": self.line,
            "column": self.column,
            "problem": self.problem,
            "remedy": self.remedy,
        })
    }
}

impl fmt::Display for Weight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Notice => "notice",
        })
    }
}

impl fmt::Display for Finding {
    /// `/etc/mail/aliases:12: warning: why`, then the line itself and the remedy, if there are any.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = &self.file {
            write!(f, "{}:", printable(file))?;
            for number in [self.line, self.column].into_iter().flatten() {
                write!(f, "{number}:")?;
            }
            write!(f, " ")?;
        }
        write!(f, "{}: {}", self.weight, printable(&self.problem))?;
        if let Some(text) = &self.text {
            write!(f, "\n    | {}", printable(text))?;
        }
        if self.remedy.is_empty() { Ok(()) } else { write!(f, "\n  {}", printable(&self.remedy)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_where_and_what_to_do() {
        let finding = Finding::warning("no\u{7}thing", "do it").in_file("/etc/mail/aliases");
        let shown = finding.clone().at(Some(3), None).to_string();
        assert_eq!(shown, "/etc/mail/aliases:3: warning: no\\u{7}thing\n  do it");
        let finding = finding.at(Some(3), Some(7));
        assert!(finding.to_string().starts_with("/etc/mail/aliases:3:7: warning: "));
        assert_eq!(finding.to_json()["column"], 7);
        let shown = finding.showing(Some("a: \u{1b}")).to_string();
        assert!(shown.ends_with("no\\u{7}thing\n    | a: \\u{1b}\n  do it"), "{shown}");
        assert_eq!(Finding::error("a", "").to_string(), "error: a");
    }
}
