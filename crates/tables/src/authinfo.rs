//! `authinfo`: with which credentials we identify ourselves to other servers (sendmail's cf/README,
//! "Providing SMTP AUTH Data when sendmail acts as Client").
//!
//! **Invariant:** a secret is in no message and in no `Debug` output.

use std::fmt;
use std::io::{self, Read as Source};
use std::net::IpAddr;

use data_encoding::BASE64;
use envelope::domain_key;

use crate::index::Index;
use crate::lines::{Continuation, Line, Wrong, each};
use crate::{Place, Read};

/// Servers, by name or address, and the default.
#[derive(Clone, Default)]
pub struct Authinfo(Index);

/// One entry.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// In whose name mail is sent (the authorization identity).
    pub user: String,
    /// Whose secret it is (the authentication identity).
    pub authid: String,
    pub secret: Vec<u8>,
    /// `None`: that of the server.
    pub realm: Option<String>,
    /// The only ones to be used; empty: any.
    pub mechanisms: Vec<String>,
}

impl Authinfo {
    /// Reads `AuthInfo:server<white space>"U:user" "P:secret"` lines.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn read(file: &str, source: impl Source) -> io::Result<Read<Self>> {
        let mut index = Index::default();
        let take = |line: &Line| {
            let text = line.text.trim();
            let (key, value) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
            let server = server(key)?;
            credentials(value.trim()).map_err(Wrong::line)?;
            index
                .insert(&server, value.trim(), line)
                .map_err(|first| Wrong::line(format!("this server is in line {first} already")))
        };
        let findings = each(file, source, Continuation::None, take)?;
        Ok(Read { table: Self(index.finished()), findings })
    }

    /// What to show the server of this name and address: by its name, by its address, or else the
    /// default (Sauthinfo in proto.m4).
    #[must_use]
    pub fn find(&self, name: &str, address: Option<IpAddr>) -> Option<(Credentials, Place)> {
        let address = || self.get(&address.map(|address| address.to_canonical().to_string())?);
        self.named(name).or_else(address).or_else(|| self.get(""))
    }

    /// What the server of this name alone says: its address may not be known.
    #[must_use]
    pub fn named(&self, name: &str) -> Option<(Credentials, Place)> {
        self.get(&domain_key(name))
    }

    fn get(&self, key: &str) -> Option<(Credentials, Place)> {
        let found = self.0.get(key)?;
        Some((credentials(found.value).ok()?, found.place()))
    }

    /// The servers with their lines; the default is for `""`.
    pub fn entries(&self) -> impl Iterator<Item = (&str, Place)> {
        self.0.entries().map(|(server, found)| (server, found.place()))
    }
}

impl fmt::Debug for Authinfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Authinfo({} entries)", self.0.len())
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credentials({self})")
    }
}

impl fmt::Display for Credentials {
    /// As in the table, with the secret masked.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"U:{}\" \"I:{}\" \"P:***\"", self.user, self.authid)?;
        if let Some(realm) = &self.realm {
            write!(f, " \"R:{realm}\"")?;
        }
        if !self.mechanisms.is_empty() {
            write!(f, " \"M:{}\"", self.mechanisms.join(" "))?;
        }
        Ok(())
    }
}

/// The server of a key; empty: the default.
fn server(key: &str) -> Result<String, Wrong> {
    const TAG: &str = "authinfo:";
    let tagged = key.split_at_checked(TAG.len()).filter(|(tag, _)| tag.eq_ignore_ascii_case(TAG));
    match tagged {
        Some((_, server)) => Ok(address(server).unwrap_or_else(|| domain_key(server))),
        // The key may be a secret in the wrong place.
        None => Err(Wrong::line("an entry is `AuthInfo:server  \"U:user\" \"P:secret\"`")),
    }
}

/// `192.0.2.1` or `IPv6:2001:db8::1`
fn address(server: &str) -> Option<String> {
    let tagged = server.split_at_checked(5).filter(|(tag, _)| tag.eq_ignore_ascii_case("ipv6:"));
    let plain = tagged.map_or(server, |(_, six)| six);
    Some(plain.parse::<IpAddr>().ok()?.to_canonical().to_string())
}

/// Reads a value as getauth() in sendmail's usersmtp.c does; an error does not repeat it.
fn credentials(value: &str) -> Result<Credentials, &'static str> {
    let (mut user, mut authid, mut secret, mut realm) = (None, None, None, None);
    let mut mechanisms = Vec::new();
    let mut rest = value;
    while !rest.is_empty() {
        let item;
        (item, rest) = quoted(rest).ok_or("each item is in quotes: \"U:user\" \"P:secret\"")?;
        let (tag, bytes) = content(item)?;
        if tag == 'P' {
            secret = Some(bytes);
            continue;
        }
        let text = String::from_utf8(bytes).map_err(|_| "an item is not UTF-8")?;
        match tag {
            'U' => user = Some(text),
            'I' => authid = Some(text),
            'R' => realm = Some(text),
            'M' => mechanisms = text.split_whitespace().map(str::to_ascii_uppercase).collect(),
            _ => {
                return Err(
                    "the items are U (user), I (authentication id), P (secret), R (realm) \
                             and M (mechanisms)",
                );
            }
        }
    }
    let user = user.or_else(|| authid.clone()).ok_or("\"U:…\" or \"I:…\" is missing")?;
    let authid = authid.unwrap_or_else(|| user.clone());
    let secret = secret.ok_or("the secret, \"P:…\", is missing")?;
    Ok(Credentials { user, authid, secret, realm, mechanisms })
}

/// What is in the quotes at the start of `text`, and what follows them.
fn quoted(text: &str) -> Option<(&str, &str)> {
    let (item, rest) = text.strip_prefix('"')?.split_once('"')?;
    Some((item, rest.trim_start()))
}

/// The tag in upper case, and the value: `T:text` or `T=base64`.
fn content(item: &str) -> Result<(char, Vec<u8>), &'static str> {
    let mut chars = item.chars();
    let tag = chars.next().unwrap_or_default().to_ascii_uppercase();
    match (chars.next(), chars.as_str()) {
        (Some(':'), text) => Ok((tag, text.as_bytes().to_vec())),
        (Some('='), text) => {
            let decoded = BASE64.decode(text.as_bytes());
            decoded.map(|bytes| (tag, bytes)).map_err(|_| "what follows = is not base64")
        }
        _ => Err("an item is a letter, : or =, and the value: \"U:user\" \"P=c2VjcmV0\""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(value: &str) -> String {
        credentials(value).map_or_else(str::to_owned, |read| {
            format!("{read} is {}", String::from_utf8_lossy(&read.secret))
        })
    }

    #[test]
    fn items_are_tagged_and_quoted() {
        for (value, expected) in [
            (r#""U:user" "P:se cret""#, r#""U:user" "I:user" "P:***" is se cret"#),
            (r#""i:id" "p=c2VjcmV0""#, r#""U:id" "I:id" "P:***" is secret"#),
            (
                r#""U:u" "I:i" "P:x" "R:other.dom" "M:digest-md5 LOGIN""#,
                r#""U:u" "I:i" "P:***" "R:other.dom" "M:DIGEST-MD5 LOGIN" is x"#,
            ),
            (r#""U:a" "U:b""P:x""#, r#""U:b" "I:b" "P:***" is x"#),
            (r#""U:u""#, "the secret, \"P:…\", is missing"),
            (r#""P:x""#, "\"U:…\" or \"I:…\" is missing"),
            ("", "\"U:…\" or \"I:…\" is missing"),
            ("U:u P:x", "each item is in quotes: \"U:user\" \"P:secret\""),
            (r#""U:u" "P=c2Vj*""#, "what follows = is not base64"),
            (r#""U""#, "an item is a letter, : or =, and the value: \"U:user\" \"P=c2VjcmV0\""),
            (r#""U=/w==" "P:x""#, "an item is not UTF-8"),
        ] {
            assert_eq!(shown(value), expected, "{value}");
        }
        assert!(shown(r#""X:u""#).starts_with("the items are U"));
    }

    #[test]
    fn name_then_address_then_default() {
        let text = "AuthInfo:192.0.2.1 \"U:address\" \"P:x\"\nauthinfo:Mx.Test. \"U:name\" \"P:x\"\n\
                    AuthInfo: \"U:default\" \"P:x\"\nmx.test \"U:untagged\" \"P:secret\"\n\
                    AuthInfo:mx.test \"U:again\" \"P:secret\"\nAuthInfo:x \"secret\"\n\
                    AuthInfo:IPv6:2001:DB8:0::1 \"U:six\" \"P:x\"\n";
        let read = Authinfo::read("authinfo", text.as_bytes()).unwrap();
        let lines: Vec<_> = read.findings.iter().map(|finding| finding.line).collect();
        assert_eq!(lines, [4, 5, 6]);
        assert!(!format!("{:?}{:?}", read.findings, read.table).contains("secret\""));
        let found = |name, address: Option<&str>| {
            let found = read.table.find(name, address.map(|address| address.parse().unwrap()));
            found.map(|(credentials, place)| (credentials.user, place.line))
        };
        let expected = |user: &str, line| Some((user.to_owned(), line));
        assert_eq!(found("MX.test", Some("192.0.2.1")), expected("name", 2));
        assert_eq!(found("other.test", Some("192.0.2.1")), expected("address", 1));
        assert_eq!(found("sub.mx.test", Some("192.0.2.2")), expected("default", 3));
        assert_eq!(found("sub.mx.test", None), expected("default", 3));
        assert_eq!(found("other.test", Some("2001:db8::1")), expected("six", 7));
        assert_eq!(read.table.entries().count(), 4);
        assert_eq!(read.table.named("other.test"), None);
        let shown = format!("{:?}", read.table.find("mx.test", None));
        assert!(shown.contains("P:***") && !shown.contains('x'), "{shown}");
        assert_eq!(format!("{:?}", read.table), "Authinfo(4 entries)");
    }
}
