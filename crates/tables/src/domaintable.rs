//! `domaintable`: domains that have got another name (sendmail's cf/README, FEATURE(`domaintable')).

use std::io::{self, Read as Source};

use envelope::{Address, domain_key};

use crate::index::Index;
use crate::lines::{Continuation, Line, Wrong, each};
use crate::{Place, Read};

/// Domains and their new names. What is below a domain keeps its name.
#[derive(Debug, Clone, Default)]
pub struct Domaintable(Index);

impl Domaintable {
    /// The value of this very key as it is written, and where it stands.
    #[must_use]
    pub fn raw(&self, key: &str) -> Option<(&str, Place)> {
        self.0.raw(key)
    }

    /// Reads `domain<white space>domain` lines.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn read(file: &str, source: impl Source) -> io::Result<Read<Self>> {
        let mut index = Index::default();
        let take = |line: &Line| {
            let mut words = line.text.split_whitespace();
            let (Some(old), Some(new), None) = (words.next(), words.next(), words.next()) else {
                return Err(Wrong::line("an entry is `old.example  new.example`"));
            };
            // Canonify2 in proto.m4: literals are taken as they are.
            let is_domain = |name: &str| !name.starts_with('[') && Address::new("x", name).is_ok();
            if let Some(name) = [old, new].into_iter().find(|name| !is_domain(name)) {
                return Err(Wrong::line(format!("{name} is not a domain")));
            }
            index
                .insert(&domain_key(old), &domain_key(new), line)
                .map_err(|first| Wrong::line(format!("{old} is defined in line {first} already")))
        };
        let findings = each(file, source, Continuation::None, take)?;
        Ok(Read { table: Self(index.finished()), findings })
    }

    /// Is there no entry?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.len() == 0
    }

    /// `address` in the domain's new name. One name leads to one other: that is not looked up again.
    #[must_use]
    pub fn find(&self, address: &Address) -> Option<(Address, Place)> {
        if self.0.len() == 0 {
            return None;
        }
        let found = self.0.get(&address.domain_key())?;
        let renamed = Address::new(address.local(), found.value).ok()?;
        Some((renamed, found.place()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_two_domains() {
        let text = "old.test new.test\nOLD.test x.test\none\na b c\n[192.0.2.1] x.test\n\
                    x.test [192.0.2.1]\nb..c x.test\nBücher.test\tNeu.test.\n";
        let read = Domaintable::read("domaintable", text.as_bytes()).unwrap();
        let lines: Vec<_> = read.findings.iter().map(|finding| finding.line).collect();
        assert_eq!(lines, [2, 3, 4, 5, 6, 7]);
        assert_eq!(read.findings[0].text, "OLD.test is defined in line 1 already");
        let found = |address: &str| {
            let found = read.table.find(&address.parse().unwrap());
            found.map(|(address, place)| (address.to_string(), place.line))
        };
        assert_eq!(found("A+b@Old.test"), Some(("A+b@new.test".to_owned(), 1)));
        assert_eq!(found("a@bücher.test"), Some(("a@neu.test".to_owned(), 8)));
        assert_eq!(found("a@sub.old.test"), None);
    }
}
