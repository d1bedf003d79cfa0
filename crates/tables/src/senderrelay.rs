//! `senderrelay`: relays that depend on who sends (Postfix's `sender_dependent_relayhost_maps`;
//! sendmail has none).

use std::io::{self, Read as Source};

use envelope::{Address, NextHop, domain_key};

use crate::index::Index;
use crate::lines::{Continuation, Line, Wrong, each};
use crate::{Place, Read};

/// Reverse-paths (`alice@example.org`) and domains of reverse-paths (`@example.org`).
#[derive(Debug, Clone, Default)]
pub struct Senderrelay(Index);

impl Senderrelay {
    /// Reads `address<white space>host` and `@domain<white space>host` lines.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn read(file: &str, source: impl Source) -> io::Result<Read<Self>> {
        let mut index = Index::default();
        let take = |line: &Line| {
            let (key, value) =
                line.text.trim().split_once(char::is_whitespace).ok_or_else(|| {
                    Wrong::line("an entry is `user@domain  [host]` or `@domain  [host]`")
                })?;
            let value = value.trim();
            if NextHop::parse(value).is_none() {
                let text = "is not a host, [host] or [host]:port, or several of them";
                return Err(Wrong::line(format!("{value:?} {text}")));
            }
            index
                .insert(&normal(key)?, value, line)
                .map_err(|first| Wrong::line(format!("{key} is defined in line {first} already")))
        };
        let findings = each(file, source, Continuation::None, take)?;
        Ok(Read { table: Self(index.finished()), findings })
    }

    /// The relay for mail from `reverse_path`: by its address, or else by its domain.
    #[must_use]
    pub fn find(&self, reverse_path: &Address) -> Option<(NextHop, Place)> {
        if self.0.len() == 0 {
            return None;
        }
        let domain = format!("@{}", reverse_path.domain_key());
        let address = format!("{}{domain}", reverse_path.local().to_lowercase());
        let found = self.0.get(&address).or_else(|| self.0.get(&domain))?;
        Some((NextHop::parse(found.value)?, found.place()))
    }
}

/// A key as it is looked up: without case, as in sendmail's tables.
fn normal(key: &str) -> Result<String, Wrong> {
    let wrong = || Wrong::line(format!("{key} is neither an address nor @domain"));
    if let Some(domain) = key.strip_prefix('@') {
        Address::new("x", domain).map_err(|_| wrong())?;
        return Ok(format!("@{}", domain_key(domain)));
    }
    let address: Address = key.parse().map_err(|_| wrong())?;
    Ok(format!("{}@{}", address.local().to_lowercase(), address.domain_key()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_come_before_their_domains() {
        let text = "@one.test [a.test]:587\nAlice@One.test [b.test],c.test\nx@y@z d\n@ d.test\n\
                    bob d.test\ncarol@one.test\n@two.test a b\n@ONE.test d.test\n";
        let read = Senderrelay::read("senderrelay", text.as_bytes()).unwrap();
        let lines: Vec<_> = read.findings.iter().map(|finding| finding.line).collect();
        assert_eq!(lines, [3, 4, 5, 6, 7, 8]);
        let found = |address: &str| {
            let found = read.table.find(&address.parse().unwrap());
            found.map(|(hop, place)| (hop.to_string(), place.line))
        };
        assert_eq!(found("alice@ONE.test"), Some(("[b.test],c.test".to_owned(), 2)));
        assert_eq!(found("bob@one.test"), Some(("[a.test]:587".to_owned(), 1)));
        assert_eq!(found("alice+x@one.test"), Some(("[a.test]:587".to_owned(), 1)));
        assert_eq!(found("alice@sub.one.test"), None);
    }
}
