//! `genericstable`: what the addresses of our users are called elsewhere (cf/README,
//! FEATURE(`genericstable'); MasqHdr in proto.m4).

use std::io::{self, Read as Source};

use envelope::{Address, domain_key};

use crate::detail::split;
use crate::index::Index;
use crate::lines::{Continuation, Line, Wrong, each};
use crate::pattern::expand;
use crate::{Place, Read};

/// Addresses (`user@domain`, `user+*@domain`), whole domains (`@domain`) and names alone (`user`,
/// `user+*`), compared without case.
#[derive(Debug, Clone, Default)]
pub struct Genericstable(Index);

/// What an address is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Generic {
    /// Without quotes.
    pub local: String,
    /// `None`: that of the host, as a name without a domain has it.
    pub domain: Option<String>,
    pub place: Place,
}

impl Genericstable {
    /// The value of this very key as it is written, and where it stands.
    #[must_use]
    pub fn raw(&self, key: &str) -> Option<(&str, Place)> {
        self.0.raw(key)
    }

    /// Reads `address<white space>address` lines.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn read(file: &str, source: impl Source) -> io::Result<Read<Self>> {
        let mut index = Index::default();
        let take = |line: &Line| {
            let mut words = line.text.split_whitespace();
            let (Some(key), Some(value), None) = (words.next(), words.next(), words.next()) else {
                return Err(Wrong::line("an entry is `user  user@domain`"));
            };
            // `%0` is the key, an address within an address.
            if value.contains("%0") || parts(value, &["x"; 2]).is_none() {
                return Err(Wrong::line(format!("{value} is not an address or a name")));
            }
            index
                .insert(&self::key(key)?, value, line)
                .map_err(|first| Wrong::line(format!("{key} is defined in line {first} already")))
        };
        let findings = each(file, source, Continuation::None, take)?;
        Ok(Read { table: Self(index.finished()), findings })
    }

    /// Is there no entry?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.len() == 0
    }

    /// The most specific entry for an address, in the order of proto.m4. `separator` stands between
    /// user and detail; empty: nothing does. In the table it is always `+`.
    ///
    /// `qualified`: the address has its domain itself; a name alone was given one, whose `@domain`
    /// line is not for it.
    #[must_use]
    pub fn find(&self, address: &Address, qualified: bool, separator: &str) -> Option<Generic> {
        let (local, domain) = (address.local().to_lowercase(), address.domain_key());
        let look_up = |key: String, argument: &str| {
            let found = self.0.get(&key)?;
            let (local, domain) = parts(found.value, &[&key, argument])?;
            Some(Generic { local, domain, place: found.place() })
        };
        // Arguments are as the address has them.
        let detail = split(address.local(), separator);
        let user = detail.map(|(user, _)| user.to_lowercase());
        let with_detail = |at: &str| {
            let (user, (_, detail)) = (user.as_ref()?, detail?);
            look_up(format!("{user}+*{at}"), detail).or_else(|| look_up(format!("{user}{at}"), ""))
        };
        let whole = |at: &str| look_up(format!("{local}{at}"), "").or_else(|| with_detail(at));
        let everybody = || look_up(format!("@{domain}"), address.local());
        whole(&format!("@{domain}"))
            .or_else(|| qualified.then(everybody).flatten())
            .or_else(|| whole(""))
    }
}

/// A key as it is looked up.
fn key(key: &str) -> Result<String, Wrong> {
    let bad = || Wrong::line(format!("{key} is not user@domain, @domain or user"));
    let (user, domain) = key.rsplit_once('@').unwrap_or((key, "x"));
    let checked = if user.is_empty() { "x" } else { user };
    Address::new(checked, domain).map_err(|_| bad())?;
    let at = if key.contains('@') { "@" } else { "" };
    let domain = if at.is_empty() { String::new() } else { domain_key(domain) };
    Ok(format!("{}{at}{domain}", user.to_lowercase()))
}

/// Local part and domain of a value; `None`: with these arguments it makes no address. They are told
/// apart before anything is put into them: an `@` in a local part says nothing.
fn parts(value: &str, arguments: &[&str]) -> Option<(String, Option<String>)> {
    let (local, domain) = match value.rsplit_once('@') {
        Some((local, domain)) => (local, Some(domain)),
        None => (value, None),
    };
    let local = expand(local, arguments);
    let domain = domain.map(|domain| expand(domain, arguments));
    let is_plain = !local.contains(['"', '<', '>', ',', '\\']);
    Address::new(&local, domain.as_deref().unwrap_or("x")).ok()?;
    is_plain.then_some((local, domain))
}

#[cfg(test)]
mod tests {
    use super::Genericstable;

    #[test]
    fn bad_lines_are_told_and_skipped() {
        let text = "joe joe.smith@a.test\nJOE x\none\na b c\n@ x@a.test\nx@-a.test b\nann x@-\nbob <b@a.test>\n\
                    b..c@a.test x\nz %0\n@d.test %1@a.test\nlast %1\n";
        let read = Genericstable::read("genericstable", text.as_bytes()).unwrap();
        let lines: Vec<_> = read.findings.iter().map(|finding| finding.line).collect();
        assert_eq!(lines, [2, 3, 4, 5, 6, 7, 8, 10]);
        assert!(read.findings.iter().all(|finding| !finding.unsupported));
        let first = "genericstable:2: JOE is defined in line 1 already";
        assert_eq!(read.findings[0].to_string(), first);
        let find = |address: &str, separator: &str| {
            let found = read.table.find(&address.parse().unwrap(), true, separator)?;
            Some((found.local, found.domain, found.place.line))
        };
        let joe = Some(("joe.smith".to_owned(), Some("a.test".to_owned()), 1));
        assert_eq!(find("Joe@b.test", "+"), joe);
        assert_eq!(find("joe-x@b.test", "-"), joe);
        assert_eq!(find("joe-x@b.test", "+"), None);
        // Nothing can be put there.
        assert_eq!(find("last@b.test", "+"), None);
        // A local part that holds anything makes nothing else of it.
        let odd = "\"a@evil.test\"@d.test".parse().unwrap();
        let found = read.table.find(&odd, true, "+").unwrap();
        assert_eq!(
            (found.local.as_str(), found.domain.as_deref()),
            ("a@evil.test", Some("a.test"))
        );
    }
}
