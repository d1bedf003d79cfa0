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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn names(content: &str) -> Vec<(&str, String)> {
        fields(content.as_bytes()).map(|field| (field.name, field.text().into_owned())).collect()
    }

    #[test]
    fn fields_end_where_the_body_begins() {
        let content = "A: 1\r\nb :2\r\n\t3\r\nC:\r\n\r\nD: body\r\n";
        let all = [("A", "1"), ("b", "2\t3"), ("C", "")];
        assert_eq!(names(content), all.map(|(name, value)| (name, value.to_owned())));
        let (_, body) = content.split_at(end_of_header(content.as_bytes()));
        assert_eq!(body, "\r\nD: body\r\n");
        assert_eq!(names("A: 1\nB: 2\n\nC: 3\n").len(), 2);
        assert_eq!(names("A: no line end").len(), 1);
        for none in [
            "",
            "\r\nA: 1\r\n",
            " A: 1\r\n",
            "From alice Sat Nov 21 04:35:50\r\nA: 1\r\n",
            ": x\r\n",
            "Grüße: x\r\n",
        ] {
            assert_eq!(end_of_header(none.as_bytes()), 0, "{none}");
        }
        assert_eq!(names("A: 1\r\nnot a field\r\nB: 2\r\n").len(), 1);
    }

    #[test]
    fn found_whatever_the_case() {
        let content = b"received: a\r\nX: y\r\nRECEIVED : b\r\n\r\nReceived: c\r\n";
        assert_eq!(count(content, "Received"), 2);
        assert_eq!(first(content, "Received").unwrap().value, b" a");
        assert!(has(content, "x") && !has(content, "Y"));
    }

    /// Fields counted line by line, without looking at how the reader does it.
    fn oracle(content: &[u8], wanted: &str) -> usize {
        let mut found = 0;
        for (index, line) in content.split_inclusive(|&byte| byte == b'\n').enumerate() {
            if index > 0 && matches!(line[0], b' ' | b'\t') {
                continue;
            }
            let line = String::from_utf8_lossy(line);
            let Some((name, _)) = line.split_once(':') else { break };
            let name = name.trim_end_matches([' ', '\t']);
            if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_graphic()) {
                break;
            }
            found += usize::from(name.eq_ignore_ascii_case(wanted));
        }
        found
    }

    proptest! {
        #[test]
        fn any_bytes_are_taken(content in prop::collection::vec(any::<u8>(), 0..300)) {
            let end = end_of_header(&content);
            prop_assert!(end <= content.len());
            let lengths: usize = fields(&content).map(|field| field.range.len()).sum();
            prop_assert_eq!(lengths, end);
        }

        #[test]
        fn counts_as_a_reader_of_lines_does(
            lines in prop::collection::vec(
                prop_oneof![
                    Just("Received: from a"), Just("received:x"), Just("RECEIVED \t: y"), Just(" fold"),
                    Just("\tfold: x"), Just("Other: Received:"), Just(""), Just("no field"),
                    Just("Re ceived: x"), Just("Receivéd: x"), Just(": x"), Just("Received:"),
                ], 0..12),
            ends in prop::collection::vec(prop::bool::weighted(0.8), 12),
        ) {
            let content: String = lines.iter().zip(ends)
                .map(|(line, crlf)| format!("{line}{}", if crlf { "\r\n" } else { "\n" }))
                .collect();
            prop_assert_eq!(count(content.as_bytes(), "Received"), oracle(content.as_bytes(), "Received"));
        }
    }
}
