//! Entries of tables: a program gets them as they are, and on a terminal nothing in them acts.

use std::fmt;
use std::io::{self, IsTerminal as _};

use envelope::printable;

/// Who reads standard output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reader {
    /// It may feed what it gets to `makemap` again.
    Program,
    Terminal,
}

/// What [`Reader::show`] returns.
pub(crate) struct Shown<'a>(Reader, &'a str);

impl Reader {
    pub(crate) fn of_stdout() -> Self {
        if io::stdout().is_terminal() { Self::Terminal } else { Self::Program }
    }

    /// One line of text; tabs stay.
    pub(crate) const fn show(self, text: &str) -> Shown<'_> {
        Shown(self, text)
    }
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(reader, text) = self;
        match reader {
            Reader::Program => f.write_str(text),
            Reader::Terminal => {
                let mut gap = "";
                text.split('\t').try_for_each(|part| {
                    write!(f, "{gap}{}", printable(part))?;
                    gap = "\t";
                    Ok(())
                })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Reader;

    #[test]
    fn on_a_terminal_nothing_acts() {
        let text = "key\tred \u{1b}[31m\u{202e} b\u{f6}se\r";
        assert_eq!(Reader::Program.show(text).to_string(), text);
        let shown = Reader::Terminal.show(text).to_string();
        assert_eq!(shown, "key\tred \\u{1b}[31m\\u{202e} b\u{f6}se\\r");
    }
}
