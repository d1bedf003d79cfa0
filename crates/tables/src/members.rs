//! Who is named in a file of addresses: a `.forward`, or one of `:include:` (include() and
//! sendtolist() in sendmail's recipient.c). `tests/cases/members.txt` has a case for each rule.

use crate::aliases::{Target, split_outside_quotes, target};
use crate::lines::Wrong;

/// Reads such a file: names between commas or on lines of their own, each as in `aliases`, or as in a
/// header (`Full Name <user@domain>`, `user@domain (comment)`). A line that begins with `#` is a
/// comment. Each name comes with its line, from 1; one that is none, with why.
pub fn members(text: &str) -> impl Iterator<Item = (usize, Result<Target, String>)> {
    let lines = (1..).zip(text.lines()).filter(|(_, line)| !line.starts_with('#'));
    lines.flat_map(|(number, line)| {
        let line = without_comments(end_removed(line));
        let words = split_outside_quotes(&line, ',', usize::MAX);
        let words = words.into_iter().map(str::trim).filter(|word| !word.is_empty());
        words.map(|word| (number, one(word))).collect::<Vec<_>>()
    })
}

/// A word of the list.
fn one(word: &str) -> Result<Target, String> {
    let read = |word: &str| {
        if word.contains(|c: char| c.is_control() && c != '\t') {
            return Err("there is a control character in it".to_owned());
        }
        let found = target(word).map_err(Wrong::into_text)?;
        if let Target::Special(special) = &found {
            special.check()?;
        }
        Ok(found)
    };
    let is_special = word.starts_with(['|', '/', ':', '\\']);
    read(if is_special { word } else { address_in(word) })
}

/// ` #@# `: sendmail's comment at the end of a line.
fn end_removed(line: &str) -> &str {
    let is_end = |rest: &str| rest.is_empty() || rest.starts_with(char::is_whitespace);
    let mut ends = line.match_indices("#@#").filter_map(|(at, mark)| {
        let (before, rest) = line.split_at(at);
        Some((before, rest.strip_prefix(mark)?))
    });
    let end = ends.find(|(before, after)| before.ends_with(char::is_whitespace) && is_end(after));
    end.map_or(line, |(before, _)| before)
}

/// A line without what stands in parentheses (RFC 5322 §3.2.2), except between quotes.
fn without_comments(line: &str) -> String {
    let (mut quoted, mut escaped, mut depth) = (false, false, 0_usize);
    let kept = line.chars().filter(|&c| {
        let counts = !quoted && !escaped;
        let opened = counts && c == '(';
        let closed = counts && c == ')' && depth > 0;
        depth = depth + usize::from(opened) - usize::from(closed);
        quoted ^= c == '"' && !escaped && depth == 0;
        escaped = c == '\\' && !escaped;
        depth == 0 && !closed
    });
    kept.collect()
}

/// The address of `Full Name <address>`.
fn address_in(word: &str) -> &str {
    let inner = word.strip_suffix('>').and_then(|word| word.rsplit_once('<'));
    inner.map_or(word, |(_, address)| address.trim())
}
