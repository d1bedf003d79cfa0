//! Text from outside, made safe for a log, a reply or a terminal.

use std::fmt::{self, Write as _};

/// Shows `text` with every control character escaped, so that it cannot forge a line or steer a
/// terminal.
#[must_use]
pub fn printable(text: &str) -> Printable<'_> {
    Printable(text)
}

/// What [`printable`] returns.
#[derive(Debug, Clone, Copy)]
pub struct Printable<'a>(&'a str);

impl fmt::Display for Printable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            if is_hidden(c) {
                write!(f, "{}", c.escape_default())?;
            } else {
                f.write_char(c)?;
            }
        }
        Ok(())
    }
}

/// Controls, and what deceives the eye as they do: line separators and the marks that reorder text.
#[must_use]
pub fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::printable;

    #[test]
    fn controls_and_reordering_marks_are_escaped() {
        let shown = printable("a\r\nb\u{1b}[31m \u{202e}x ä").to_string();
        assert_eq!(shown, "a\\r\\nb\\u{1b}[31m \\u{202e}x ä");
    }
}
