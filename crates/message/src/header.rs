//! The header section, read without allocation: where it ends, its fields, how many of a name.
//!
//! Tolerant as RFC 5322 §4 asks: white space before the colon and bare LF line ends are taken.
//! The first line that is no field ends the header, whether or not it is empty.

use std::borrow::Cow;
use std::ops::Range;

use memchr::memchr;

/// One field of a header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field<'a> {
    /// The name as written, without the colon and white space before it.
    pub name: &'a str,
    /// What follows the colon, folds included, without the last line end.
    pub value: &'a [u8],
    /// Where the field stands in the content, last line end included.
    pub range: Range<usize>,
}

impl Field<'_> {
    /// Field names ignore case (RFC 5322 §1.2.2).
    #[must_use]
    pub fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }

    /// The value unfolded (RFC 5322 §2.2.3) and without white space around it; bytes that are not
    /// UTF-8 are replaced.
    #[must_use]
    pub fn text(&self) -> Cow<'_, str> {
        let text = String::from_utf8_lossy(self.value.trim_ascii());
        if text.contains(['\r', '\n']) { text.replace(['\r', '\n'], "").into() } else { text }
    }
}

/// The fields of `content` in order, up to the end of its header.
#[must_use]
pub const fn fields(content: &[u8]) -> Fields<'_> {
    Fields { content, at: 0 }
}

/// Where the header ends: the offset of the empty line, or of the first line that is no field.
#[must_use]
pub fn end_of_header(content: &[u8]) -> usize {
    fields(content).last().map_or(0, |field| field.range.end)
}

/// How many fields have this name.
#[must_use]
pub fn count(content: &[u8], name: &str) -> usize {
    fields(content).filter(|field| field.is(name)).count()
}

/// Is there a field of this name?
#[must_use]
pub fn has(content: &[u8], name: &str) -> bool {
    first(content, name).is_some()
}

/// The topmost field of this name.
#[must_use]
pub fn first<'a>(content: &'a [u8], name: &str) -> Option<Field<'a>> {
    fields(content).find(|field| field.is(name))
}

/// What [`fields`] returns.
#[derive(Debug, Clone)]
pub struct Fields<'a> {
    content: &'a [u8],
    at: usize,
}

impl<'a> Iterator for Fields<'a> {
    type Item = Field<'a>;

    fn next(&mut self) -> Option<Field<'a>> {
        let rest = self.content.get(self.at..)?;
        let (name, after_colon) = name_of(rest)?;
        let length = field_length(rest);
        let value = without_line_end(rest.get(after_colon..length)?);
        let range = self.at..self.at + length;
        self.at = range.end;
        Some(Field { name, value, range })
    }
}

/// The name at the start of `rest`, and the offset after its colon.
fn name_of(rest: &[u8]) -> Option<(&str, usize)> {
    let name_end = rest.iter().position(|&byte| !is_name_byte(byte))?;
    let (name, after) = rest.split_at_checked(name_end)?;
    let spaces = after.iter().position(|byte| !matches!(byte, b' ' | b'\t'))?;
    if name.is_empty() || after.get(spaces) != Some(&b':') {
        return None;
    }
    Some((str::from_utf8(name).ok()?, name_end + spaces + 1))
}

/// RFC 5322 §2.2: printable ASCII except the colon.
const fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_graphic() && byte != b':'
}

/// Bytes up to the first line end that white space does not follow.
fn field_length(rest: &[u8]) -> usize {
    let mut length = 0;
    while let Some(line) = rest.get(length..).and_then(|tail| memchr(b'\n', tail)) {
        length += line + 1;
        if !matches!(rest.get(length), Some(b' ' | b'\t')) {
            return length;
        }
    }
    rest.len()
}

fn without_line_end(value: &[u8]) -> &[u8] {
    let value = value.strip_suffix(b"\n").unwrap_or(value);
    value.strip_suffix(b"\r").unwrap_or(value)
}
