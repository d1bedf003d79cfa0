//! Everything that is wrong with a file, shown where it is.

use std::fmt;
use std::ops::Range;
use std::path::PathBuf;

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Bytes of the text; `None`: the file as a whole.
    pub span: Option<Range<usize>>,
    pub problem: String,
    /// What to do; may be empty.
    pub remedy: String,
}

/// What is wrong with a file. Shown, it has the line and column of each finding, the line itself,
/// and the remedy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    pub file: PathBuf,
    /// Empty when the file cannot be read.
    pub text: String,
    /// At least one, in the order of the file.
    pub findings: Vec<Finding>,
}

impl Report {
    /// Line and column of a finding, counted from 1.
    #[must_use]
    pub fn position(&self, finding: &Finding) -> Option<(usize, usize)> {
        let before = self.text.get(..finding.span.as_ref()?.start)?;
        let column = before.rsplit('\n').next()?.chars().count() + 1;
        Some((before.matches('\n').count() + 1, column))
    }

    /// The line on which a finding begins.
    #[must_use]
    pub fn line(&self, finding: &Finding) -> Option<&str> {
        let (number, _) = self.position(finding)?;
        self.text.lines().nth(number - 1)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.file.display().to_string();
        let renderer = Renderer::plain();
        for (number, finding) in self.findings.iter().enumerate() {
            if number > 0 {
                writeln!(f, "\n")?;
            }
            let title = Level::ERROR.primary_title(finding.problem.as_str());
            let group = match &finding.span {
                Some(span) => title.element(
                    Snippet::source(self.text.as_str())
                        .path(path.as_str())
                        .annotation(AnnotationKind::Primary.span(span.clone())),
                ),
                None => title.element(annotate_snippets::Origin::path(path.as_str())),
            };
            let group = if finding.remedy.is_empty() {
                group
            } else {
                group.element(Level::HELP.message(finding.remedy.as_str()))
            };
            write!(f, "{}", renderer.render(&[group]))?;
        }
        Ok(())
    }
}

impl std::error::Error for Report {}
