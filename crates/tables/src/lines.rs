//! The entries of a table: comments and empty lines dropped, continuation lines joined.

use std::io::{self, BufRead, BufReader, Read};
use std::sync::Arc;

use crate::kind::mark;
use crate::{Finding, Kind, MAX_ENTRY, MAX_FILE, MAX_FINDINGS, Place};

/// One entry and the line on which it begins.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) number: usize,
    pub(crate) text: String,
    /// Of its source.
    pub(crate) kind: Kind,
    pub(crate) file: Arc<str>,
    /// The number of its source.
    pub(crate) source: usize,
}

impl Line {
    pub(crate) fn place(&self) -> Place {
        Place { file: Arc::clone(&self.file), line: self.number }
    }

    /// The name, in a table of names: a comment may follow, as fileclass() of sendmail's readcf.c takes the
    /// first word alone.
    pub(crate) fn name(&self) -> &str {
        let text = self.text.trim();
        match text.split_once(char::is_whitespace) {
            Some((name, rest)) if rest.trim_start().starts_with('#') => name,
            Some(_) | None => text,
        }
    }
}

/// May an entry go on in the next line?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Continuation {
    /// A line that begins with white space belongs to the one before, and one that ends in a
    /// backslash goes on (aliases(5)).
    Folded,
    /// Each line stands alone.
    None,
}

/// Hands each entry of `source` to `take`, and collects what it finds wrong.
///
/// # Errors
/// The file cannot be read, or is larger than [`MAX_FILE`].
pub(crate) fn each(
    file: &str,
    source: impl Read,
    continuation: Continuation,
    mut take: impl FnMut(&Line) -> Result<(), Wrong>,
) -> io::Result<Vec<Finding>> {
    let mut findings = Vec::new();
    let mut finish = |line: Option<Line>| {
        let Some(line) = line else { return };
        if let Err(Wrong { text, unsupported }) = check(&line).and_then(|()| take(&line))
            && findings.len() < MAX_FINDINGS
        {
            let file = line.file.to_string();
            findings.push(Finding { file, line: line.number, text, unsupported });
        }
    };
    let mut open: Option<Line> = None;
    let mut reader = BufReader::new(source.take(MAX_FILE + 1));
    let (mut raw, mut read, mut number) = (Vec::new(), 0, 0);
    let (mut kind, mut file, mut source) = (Kind::Text, Arc::<str>::from(file), 0);
    loop {
        raw.clear();
        let length = reader.read_until(b'\n', &mut raw)?;
        read += u64::try_from(length).unwrap_or(u64::MAX);
        if read > MAX_FILE {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, "the table is too large"));
        }
        if length == 0 {
            finish(open.take());
            return Ok(findings);
        }
        if let Some(marked) = mark(&raw) {
            finish(open.take());
            (kind, file) = marked;
            (source, number) = (source + 1, 0);
            continue;
        }
        number += 1;
        let text = String::from_utf8_lossy(&raw);
        let text = text.trim_end();
        let folded = continuation == Continuation::Folded && kind == Kind::Text;
        let goes_on = folded && (text.starts_with([' ', '\t']) || ends_open(open.as_ref()));
        if goes_on && let Some(line) = &mut open {
            join(line, text);
        } else if !text.trim_start().is_empty() && !text.trim_start().starts_with('#') {
            let (text, file) = (text.to_owned(), Arc::clone(&file));
            finish(open.replace(Line { number, text, kind, file, source }));
        }
    }
}

/// What is wrong with an entry in any table.
fn check(line: &Line) -> Result<(), Wrong> {
    if line.text.len() > MAX_ENTRY {
        return Err(Wrong::line("the entry is too long; split it into several"));
    }
    // That is what bytes become that are not UTF-8.
    if line.text.contains(char::REPLACEMENT_CHARACTER) {
        return Err(Wrong::line("this is not UTF-8; save the file as UTF-8 text"));
    }
    if line.text.contains(|c: char| c.is_control() && c != '\t') {
        return Err(Wrong::line("there is a control character in it; remove it"));
    }
    Ok(())
}

fn ends_open(line: Option<&Line>) -> bool {
    line.is_some_and(|line| line.text.ends_with('\\'))
}

/// Adds a continuation line; a comment adds nothing.
fn join(line: &mut Line, text: &str) {
    if line.text.ends_with('\\') {
        line.text.pop();
    }
    if !text.trim_start().starts_with('#') && line.text.len() <= MAX_ENTRY {
        line.text.push_str(text);
    }
}

/// Why an entry is not taken.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Wrong {
    text: String,
    unsupported: bool,
}

impl Wrong {
    pub(crate) fn line(text: impl Into<String>) -> Self {
        Self { text: text.into(), unsupported: false }
    }

    pub(crate) fn into_text(self) -> String {
        self.text
    }

    pub(crate) const fn is_unsupported(&self) -> bool {
        self.unsupported
    }

    pub(crate) fn unsupported(what: impl std::fmt::Display) -> Self {
        Self { text: format!("{what} is not yet supported; remove it"), unsupported: true }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, continuation: Continuation) -> Vec<(usize, String)> {
        let mut lines = Vec::new();
        let take = |line: &Line| {
            lines.push((line.number, line.text.clone()));
            Ok(())
        };
        assert_eq!(each("t", text.as_bytes(), continuation, take).unwrap(), []);
        lines
    }

    #[test]
    fn entries_are_joined_and_comments_dropped() {
        let text = "# comment\na: b,\n\tc\n  # inside\n d\n\ne: f \\\ng\nlast: x";
        let expected = [(2, "a: b,\tc d"), (7, "e: f g"), (9, "last: x")];
        let lines = read(text, Continuation::Folded);
        assert_eq!(lines, expected.map(|(number, text)| (number, text.to_owned())));
    }

    #[test]
    fn what_is_no_text_is_told() {
        let mut text = b"a\nb\xff\nc\0\nd\n".to_vec();
        text.extend(vec![b'x'; MAX_ENTRY + 1]);
        text.extend(b"\ne\n");
        let mut taken = Vec::new();
        let take = |line: &Line| {
            taken.push(line.text.clone());
            Ok(())
        };
        let findings = each("t", text.as_slice(), Continuation::None, take).unwrap();
        assert_eq!(taken, ["a", "d", "e"]);
        assert_eq!(findings.iter().map(|finding| finding.line).collect::<Vec<_>>(), [2, 3, 5]);
    }

    #[test]
    fn an_entry_has_its_length() {
        let text = "x".repeat(MAX_ENTRY);
        assert_eq!(read(&text, Continuation::None), [(1, text)]);
    }

    #[test]
    fn a_file_has_its_size() {
        let mut text = vec![b'#'; usize::try_from(MAX_FILE).unwrap()];
        text.iter_mut().step_by(1 << 20).for_each(|byte| *byte = b'\n');
        let read = |text: &[u8]| each("t", text, Continuation::None, |_| Ok(()));
        assert_eq!(read(&text).unwrap(), []);
        text.push(b'\n');
        assert_eq!(read(&text).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
    }

    #[test]
    fn a_file_of_nothing_but_faults_is_not_told_whole() {
        let text = "x\n".repeat(MAX_FINDINGS + 5);
        let take = |_: &Line| Err(Wrong::line("x"));
        let findings = each("t", text.as_bytes(), Continuation::None, take).unwrap();
        assert_eq!(findings.len(), MAX_FINDINGS);
    }

    #[test]
    fn without_continuation_each_line_stands_alone() {
        let lines = read(" a\n b\r\n#c\n", Continuation::None);
        assert_eq!(lines, [(1, " a".to_owned()), (2, " b".to_owned())]);
    }
}
