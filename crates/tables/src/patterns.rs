//! Expressions, and what their lines say: `/expression/ value` (Postfix's regexp_table(5)). Of all that
//! match a key the first line counts. Case does not matter.
//!
//! **Invariant:** a look-up takes time linear to the key (crate `regex`), whatever is written here.

use regex::{Regex, RegexBuilder};

use crate::Place;
use crate::index::Found;
use crate::lines::{Line, Wrong};

/// Expressions of one table: each is tried in turn.
const MAX_PATTERNS: usize = 500;
/// Bytes of an expression once it is compiled, and of what it remembers while it runs.
const MAX_SIZE: usize = 128 << 10;

/// Each expression is of some kind `T`, and is looked up with it.
#[derive(Debug, Clone)]
pub(crate) struct Patterns<T>(Vec<Pattern<T>>);

#[derive(Debug, Clone)]
struct Pattern<T> {
    kind: T,
    regex: Regex,
    value: String,
    place: Place,
    source: usize,
}

/// A line as it is written, `/expression/ value`.
pub(crate) struct Written<'a> {
    /// What is before the expression: a tag, or nothing.
    pub(crate) before: &'a str,
    expression: &'a str,
    pub(crate) value: &'a str,
}

/// What a key matches.
pub(crate) struct Match<'a, 'k> {
    pub(crate) found: Found<'a>,
    pub(crate) expression: &'a str,
    /// The key, and what is in the parentheses of the expression.
    pub(crate) arguments: Vec<&'k str>,
}

impl<T> Default for Patterns<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: Copy + Eq> Patterns<T> {
    pub(crate) fn insert(
        &mut self,
        kind: T,
        written: &Written<'_>,
        line: &Line,
    ) -> Result<(), Wrong> {
        if self.0.len() >= MAX_PATTERNS {
            return Err(Wrong::line(format!("{MAX_PATTERNS} expressions are the most")));
        }
        let expression = written.expression.replace("\\/", "/");
        let mut builder = RegexBuilder::new(&expression);
        builder.case_insensitive(true).size_limit(MAX_SIZE).dfa_size_limit(MAX_SIZE);
        let regex = builder.build().map_err(|error| {
            let text = error.to_string();
            let why = text.lines().last().unwrap_or_default();
            Wrong::line(format!("/{}/ is no expression: {why}", written.expression))
        })?;
        let (value, place, source) = (written.value.to_owned(), line.place(), line.source);
        self.0.push(Pattern { kind, regex, value, place, source });
        Ok(())
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The first line whose expression `key` matches.
    pub(crate) fn find<'k>(&self, kind: T, key: &'k str) -> Option<Match<'_, 'k>> {
        let mut lines = self.0.iter().filter(|pattern| pattern.kind == kind);
        let Pattern { regex, value, place, source, .. } =
            lines.find(|pattern| pattern.regex.is_match(key))?;
        let groups = regex.captures(key)?;
        let group = |group: Option<regex::Match<'k>>| group.map_or("", |group| group.as_str());
        let arguments =
            groups.iter().enumerate().map(|(n, it)| if n == 0 { key } else { group(it) });
        let found = Found::new(value, *source, place);
        Some(Match { found, expression: regex.as_str(), arguments: arguments.collect() })
    }
}

impl<'a> Written<'a> {
    pub(crate) fn read(text: &'a str) -> Result<Self, Wrong> {
        let wrong = || Wrong::line("an entry is `/expression/  value`");
        let (before, rest) = text.split_once('/').ok_or_else(wrong)?;
        let mut escaped = false;
        let end = rest.find(|c: char| {
            let here = c == '/' && !escaped;
            escaped = c == '\\' && !escaped;
            here
        });
        let (expression, rest) = rest.split_at_checked(end.ok_or_else(wrong)?).ok_or_else(wrong)?;
        let value = rest.strip_prefix('/').filter(|rest| rest.starts_with(char::is_whitespace));
        let value =
            value.map(str::trim).filter(|value| !value.is_empty() && !expression.is_empty());
        Ok(Self { before: before.trim(), expression, value: value.ok_or_else(wrong)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Kind;

    fn table(text: &str) -> (Patterns<()>, Vec<String>) {
        let (mut table, mut wrong) = (Patterns::default(), Vec::new());
        for (number, text) in text.lines().enumerate() {
            let (kind, file) = (Kind::Regex, "t".into());
            let line = Line { number: number + 1, text: text.to_owned(), kind, file, source: 0 };
            let read = Written::read(text).and_then(|read| table.insert((), &read, &line));
            wrong.extend(read.err().map(|why| format!("{}: {why:?}", number + 1)));
        }
        (table, wrong)
    }

    #[test]
    fn the_first_line_that_matches_counts() {
        let (table, wrong) =
            table("/^(a+)@(.*)$/ one %1\n/^a/  two\n/x\\/y/ three\n/(b)|(c)/ four\n");
        assert_eq!(wrong, [""; 0]);
        let find = |key: &'static str| {
            let found = table.find((), key)?;
            Some((found.found.value.to_owned(), found.found.line, found.arguments))
        };
        assert_eq!(find("AA@b"), Some(("one %1".to_owned(), 1, vec!["AA@b", "AA", "b"])));
        assert_eq!(find("ab"), Some(("two".to_owned(), 2, vec!["ab"])));
        assert_eq!(find("x/y"), Some(("three".to_owned(), 3, vec!["x/y"])));
        assert_eq!(find("zc"), Some(("four".to_owned(), 4, vec!["zc", "", "c"])));
        assert_eq!(find("z"), None);
    }

    #[test]
    fn what_is_none_is_told() {
        let lines = "a b\n/a b\n/a/\n/a/b c\n// x\n/(/ x\n/a/i x\n/(\\w{20}){20}/ x\n";
        let (_, wrong) = table(lines);
        assert_eq!(wrong.len(), 8, "{wrong:?}");
        assert!(wrong[5].contains("unclosed group"), "{wrong:?}");
        let many = "/a/ x\n".repeat(MAX_PATTERNS + 1);
        assert_eq!(table(&many).1.len(), 1);
    }

    #[test]
    fn no_key_takes_long() {
        let (table, _) = table("/^(a+)+$/ x\n");
        let key = "a".repeat(60_000) + "b";
        assert!(table.find((), &key).is_none());
    }
}
