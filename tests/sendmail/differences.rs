//! What differs, and why: `differences.txt`.
//!
//! `== WHAT | SENDMAIL | PENNYPOST | WHY` is a row of `docs/sendmail-differences.md`. Below it is each case
//! in which it shows, with both answers, as the test prints it.

use std::path::Path;

use crate::answers::Answer;

/// One reason with its cases.
#[derive(Debug)]
struct Row {
    cells: String,
    answers: Vec<String>,
}

#[derive(Debug)]
pub(crate) struct Differences(Vec<Row>);

const LIST: &str = include_str!("differences.txt");

impl Differences {
    pub(crate) fn read() -> Self {
        let mut rows: Vec<Row> = Vec::new();
        for line in LIST.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#')) {
            if let Some(cells) = line.strip_prefix("== ") {
                rows.push(Row { cells: cells.to_owned(), answers: Vec::new() });
                continue;
            }
            let answers = &mut rows.last_mut().expect("a case before the first reason").answers;
            match (line.starts_with("  "), answers.last_mut()) {
                (true, Some(answer)) => answer.push_str(&format!("{line}\n")),
                _ => answers.push(format!("{line}\n")),
            }
        }
        Self(rows)
    }

    /// What is not as listed: a difference that is not there, or one that is no more.
    pub(crate) fn compare(&self, answers: &[Answer]) -> Vec<String> {
        let listed: Vec<_> = self.0.iter().flat_map(|row| &row.answers).collect();
        let found: Vec<_> =
            answers.iter().filter(|answer| answer.differs()).map(Answer::to_string).collect();
        let new = found.iter().filter(|answer| !listed.contains(answer));
        let gone = listed.iter().filter(|answer| !found.contains(answer));
        let gone = gone.map(|answer| format!("listed, but it does not differ so:\n{answer}"));
        new.cloned().chain(gone).collect()
    }

    pub(crate) fn check_documentation(&self) {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/sendmail-differences.md");
        let text = std::fs::read_to_string(path).unwrap();
        for Row { cells, answers } in &self.0 {
            assert_eq!(cells.split(" | ").count(), 4, "{cells}");
            assert!(!answers.is_empty(), "no case shows it: {cells}");
            assert!(text.contains(&format!("| {cells} |\n")), "not in the documentation: {cells}");
        }
    }
}
