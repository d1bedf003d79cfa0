//! The types of the sources of a table, and several sources as one content.
//!
//! A content of several sources has a mark before each of them, with its type and its name, as C has
//! `#line`. No text can hold the mark's first byte: control characters are refused. Without a mark
//! all of it is text, as the file itself is.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::cdb;

/// How a source is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// As sendmail has it.
    Text,
    /// Networks with their length: the first line that has a client's address.
    Cidr,
    /// `/expression/ value`: the first line that matches the whole key, in time linear to it.
    Regex,
    /// A constant database, as `makemap` and others write it.
    Cdb,
}

/// Sources of one table.
pub const MAX_SOURCES: usize = 16;

/// ASCII's record separator.
const MARK: u8 = 0x1e;

impl Kind {
    /// `text`, `cidr`, `regex`, `cdb`
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        [Self::Text, Self::Cidr, Self::Regex, Self::Cdb]
            .into_iter()
            .find(|kind| kind.to_string() == name)
    }

    /// The types that a table may have.
    #[must_use]
    pub fn of_table(table: &str) -> &'static [Self] {
        match table {
            "access" => &[Self::Text, Self::Cidr, Self::Regex, Self::Cdb],
            "relay-domains" => &[Self::Text, Self::Cidr],
            "virtusertable" | "mailertable" => &[Self::Text, Self::Regex, Self::Cdb],
            "aliases" | "authinfo" | "domaintable" | "genericstable" => &[Self::Text, Self::Cdb],
            // Lists of names, and what is for the eyes of few.
            _ => &[Self::Text],
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Text => "text",
            Self::Cidr => "cidr",
            Self::Regex => "regex",
            Self::Cdb => "cdb",
        })
    }
}

/// Adds a source to the content of `table`.
///
/// # Errors
/// It is no database, though it should be one.
pub fn add_source(
    content: &mut Vec<u8>,
    table: &str,
    kind: Kind,
    name: &str,
    source: &[u8],
) -> Result<(), &'static str> {
    if !content.is_empty() && !content.ends_with(b"\n") {
        content.push(b'\n');
    }
    // The source that every table has needs no mark if it is the first.
    if !content.is_empty() || kind != Kind::Text || name != table {
        content.push(MARK);
        content.extend(format!("{kind} {name}\n").bytes());
    }
    if kind == Kind::Cdb {
        let records = cdb::records(source).ok_or("this is not a cdb file")?;
        let separator: &[u8] = if table == "aliases" { b": " } else { b"\t" };
        for (key, value) in records {
            content.extend(key.iter().map(plain));
            content.extend(separator);
            content.extend(value.iter().map(plain));
            content.push(b'\n');
        }
        return Ok(());
    }
    content.extend(source.iter().map(|byte| if *byte == MARK { b'\0' } else { *byte }));
    Ok(())
}

/// A byte that ends no line.
fn plain(byte: &u8) -> u8 {
    if matches!(*byte, b'\n' | b'\r' | MARK) { b'\0' } else { *byte }
}

/// What a mark says; `None`: it is none.
pub(crate) fn mark(line: &[u8]) -> Option<(Kind, Arc<str>)> {
    let text = std::str::from_utf8(line.strip_prefix(&[MARK])?).ok()?;
    let (kind, name) = text.trim_end_matches('\n').split_once(' ')?;
    Some((Kind::named(kind)?, name.into()))
}
