//! `local-host-names` and its kin: one name a line.

use std::collections::HashMap;
use std::io::{self, Read as Source};

use envelope::{Address, domain_key};

use crate::Read;
use crate::lines::{Continuation, Line, Wrong, each};

/// A set of domain names, compared without case and without a trailing dot.
#[derive(Debug, Clone, Default)]
pub struct Names(HashMap<String, usize>);

impl Names {
    /// Reads one name a line.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn read(file: &str, source: impl Source) -> io::Result<Read<Self>> {
        let mut names = HashMap::new();
        let take = |line: &Line| {
            let name = line.text.trim();
            // The rules for a domain are those of an address.
            Address::new("x", name).map_err(|_| Wrong::line(format!("{name} is not a domain")))?;
            names.entry(domain_key(name)).or_insert(line.number);
            Ok(())
        };
        let findings = each(file, source, Continuation::None, take)?;
        Ok(Read { table: Self(names), findings })
    }

    /// The line that has `name`.
    #[must_use]
    pub fn line(&self, name: &str) -> Option<usize> {
        self.0.get(&domain_key(name)).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::Names;

    #[test]
    fn names_ignore_case_and_the_last_dot() {
        let text = "# ours\nExample.org\n  b.test.\n[192.0.2.1]\nbad name\nbücher.example\n";
        let read = Names::read("local-host-names", text.as_bytes()).unwrap();
        assert_eq!(read.table.line("example.ORG"), Some(2));
        assert_eq!(read.table.line("b.test"), Some(3));
        assert_eq!(read.table.line("[192.0.2.1]"), Some(4));
        assert_eq!(read.table.line("xn--bcher-kva.example"), Some(6));
        assert_eq!(read.table.line("other.test"), None);
        assert_eq!(read.findings.len(), 1);
        assert_eq!(read.findings[0].to_string(), "local-host-names:5: bad name is not a domain");
    }
}
