//! `local-host-names` and its kin: one name a line.

use std::io::{self, Read as Source};

use envelope::{Address, domain_key};

use crate::index::Index;
use crate::lines::{Continuation, Line, Wrong, each};
use crate::{Place, Read};

/// A set of domain names, compared without case and without a trailing dot.
#[derive(Debug, Clone, Default)]
pub struct Names(Index);

impl Names {
    /// Reads one name a line.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn read(file: &str, source: impl Source) -> io::Result<Read<Self>> {
        let mut names = Index::default();
        let take = |line: &Line| {
            let name = line.name();
            // The rules for a domain are those of an address.
            Address::new("x", name).map_err(|_| Wrong::line(format!("{name} is not a domain")))?;
            // The same name once more says the same.
            let _ = names.insert(&domain_key(name), "", line);
            Ok(())
        };
        let findings = each(file, source, Continuation::None, take)?;
        Ok(Read { table: Self(names.finished()), findings })
    }

    /// The names in lower case with their lines, in the order of the file.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Place)> {
        self.0.entries().map(|(name, found)| (name, found.place()))
    }

    /// The line that has `name`.
    #[must_use]
    pub fn line(&self, name: &str) -> Option<Place> {
        if self.0.len() == 0 {
            return None;
        }
        self.0.get(&domain_key(name)).map(|found| found.place())
    }

    /// The line that has `domain` (see [`domain_key`]) or one above it.
    #[must_use]
    pub fn covering(&self, domain: &str) -> Option<Place> {
        if self.0.len() == 0 {
            return None;
        }
        let above = domain.match_indices('.').filter_map(|(at, _)| domain.get(at + 1..));
        std::iter::once(domain).chain(above).find_map(|name| Some(self.0.get(name)?.place()))
    }
}

#[cfg(test)]
mod tests {
    use super::Names;

    #[test]
    fn names_ignore_case_and_the_last_dot() {
        let text = "# ours\nExample.org # and theirs\n  b.test.\t#\n[192.0.2.1]\nbad name\n\
                    bücher.example\nbad#name\n";
        let read = Names::read("local-host-names", text.as_bytes()).unwrap();
        let line = |name| read.table.line(name).map(|place| place.line);
        assert_eq!(line("example.ORG"), Some(2));
        assert_eq!(line("b.test"), Some(3));
        assert_eq!(line("[192.0.2.1]"), Some(4));
        assert_eq!(line("xn--bcher-kva.example"), Some(6));
        assert_eq!(line("other.test"), None);
        let above = |name| read.table.covering(name).map(|place| place.line);
        assert_eq!((above("example.org"), above("a.b.example.org")), (Some(2), Some(2)));
        assert_eq!((above("xexample.org"), above("org"), above("")), (None, None, None));
        let names: Vec<_> = read.table.iter().map(|(name, place)| (name, place.line)).collect();
        assert_eq!(names[..2], [("example.org", 2), ("b.test", 3)]);
        assert_eq!((names.len(), read.findings.len()), (4, 2));
        assert_eq!(read.findings[0].to_string(), "local-host-names:5: bad name is not a domain");
    }
}
