//! One line of a map's text, as makemap(8) reads it.

/// How lines are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Grammar {
    /// `-D`
    pub(super) comment: char,
    /// `-t`; `None`: white space.
    pub(super) delimiter: Option<char>,
    /// `-f`: keys keep their case.
    pub(super) keep_case: bool,
    /// `-e`: a value may be empty.
    pub(super) empty_values: bool,
}

impl Default for Grammar {
    fn default() -> Self {
        Self { comment: '#', delimiter: None, keep_case: false, empty_values: false }
    }
}

/// What a line is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Line<'a> {
    /// Empty, or a comment.
    Nothing,
    Entry {
        key: String,
        value: &'a str,
    },
    /// In sendmail's words.
    Wrong(String),
}

impl Grammar {
    /// `text` is without its line end.
    pub(super) fn read<'a>(&self, text: &'a str) -> Line<'a> {
        if text.is_empty() || text.starts_with(self.comment) {
            return Line::Nothing;
        }
        let is_space = |c: char| c.is_ascii_whitespace();
        if self.delimiter.is_none() && text.starts_with(is_space) {
            let all = text.trim().is_empty();
            let wrong = || Line::Wrong("syntax error (leading space)".to_owned());
            return if all { Line::Nothing } else { wrong() };
        }
        let (key, value) = match self.delimiter {
            Some(delimiter) => text.split_once(delimiter).unwrap_or((text, "")),
            None => text.split_once(is_space).unwrap_or((text, "")),
        };
        let value = match self.delimiter {
            Some(delimiter) => value.trim_start_matches(delimiter),
            None => value.trim_start_matches(is_space),
        };
        let key = self.key(key);
        if value.is_empty() && !self.empty_values {
            return Line::Wrong(format!("no RHS for LHS {key}"));
        }
        Line::Entry { key, value }
    }

    /// A key as it is looked up.
    pub(super) fn key(&self, text: &str) -> String {
        if self.keep_case { text.to_owned() } else { text.to_ascii_lowercase() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry<'a>(key: &str, value: &'a str) -> Line<'a> {
        Line::Entry { key: key.to_owned(), value }
    }

    /// As makemap 8.17.1 does.
    #[test]
    fn lines() {
        let plain = Grammar::default();
        assert_eq!(plain.read("Foo.com\tREJECT"), entry("foo.com", "REJECT"));
        assert_eq!(plain.read("bar   OK  ok "), entry("bar", "OK  ok "));
        assert_eq!(plain.read("# x"), Line::Nothing);
        assert_eq!(plain.read("norhs"), Line::Wrong("no RHS for LHS norhs".to_owned()));
        let leading = Line::Wrong("syntax error (leading space)".to_owned());
        assert_eq!(plain.read("  lead x"), leading);
        let colon = Grammar { delimiter: Some(':'), keep_case: true, ..plain };
        assert_eq!(colon.read("A b:c d"), entry("A b", "c d"));
        let empty = Grammar { empty_values: true, comment: ';', ..plain };
        assert_eq!(empty.read("norhs"), entry("norhs", ""));
        assert_eq!(empty.read("; x"), Line::Nothing);
    }
}
