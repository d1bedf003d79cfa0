//! Who is named in a file of addresses: a `.forward`, or one of `:include:` (include() and
//! sendtolist() in sendmail's recipient.c).

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
    let is_special = word.starts_with(['|', '/', ':', '"', '\\']);
    read(if is_special { word } else { address_in(word) })
}

/// ` #@# `: sendmail's comment at the end of a line.
fn end_removed(line: &str) -> &str {
    let is_end = |rest: &str| rest.is_empty() || rest.starts_with(char::is_whitespace);
    match line.split_once("#@#") {
        Some((before, after)) if before.ends_with(char::is_whitespace) && is_end(after) => before,
        Some(_) | None => line,
    }
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
    let inner = word.split_once('<').and_then(|(_, rest)| rest.split_once('>'));
    inner.filter(|(_, rest)| rest.trim().is_empty()).map_or(word, |(address, _)| address.trim())
}

#[cfg(test)]
mod tests {
    use envelope::Special;

    use super::{Target, members};

    fn read(text: &str) -> Vec<(usize, Option<Target>)> {
        members(text).map(|(line, member)| (line, member.ok())).collect()
    }

    #[test]
    fn names_as_sendmail_reads_them() {
        let local = |name: &str| Some(Target::Local(name.into()));
        let address = |text: &str| Some(Target::Address(text.parse().unwrap()));
        let program = |text: &str| Some(Target::Special(Special::Program(text.into())));
        for (text, expected) in [
            // aliases(5): "\user" in a .forward prevents further forwarding.
            ("\\anna, otto", vec![(1, Some(Target::User("anna".into()))), (1, local("otto"))]),
            // recipient.c, include(): a comment is a line that begins with #, and ` #@# ` anywhere.
            ("# otto\nanna\n\n#x\nemil #@# boss", vec![(2, local("anna")), (5, local("emil"))]),
            // sendtolist(): addresses as in a header.
            ("Anna B. <anna@a.test>", vec![(1, address("anna@a.test"))]),
            ("anna@a.test (Anna, at \"home)", vec![(1, address("anna@a.test"))]),
            ("(all) \"(a)\"@a.test (x(y)", vec![(1, address("\"(a)\"@a.test"))]),
            ("Anna <anna@a.test> (x), otto", vec![(1, address("anna@a.test")), (1, local("otto"))]),
            ("anna@a.test (Anna)", vec![(1, address("anna@a.test"))]),
            // aliases(5): a program with arguments is quoted.
            ("\"|vacation -a x, anna\"", vec![(1, program("vacation -a x, anna"))]),
            ("|\"vacation anna\"", vec![(1, program("vacation anna"))]),
            ("/mail/old", vec![(1, Some(Target::Special(Special::File("/mail/old".into()))))]),
            ("a b", vec![(1, None)]),
            ("anna\r\n", vec![(1, local("anna"))]),
            ("|a >b", vec![(1, None)]),
            ("an\u{7}na", vec![(1, None)]),
        ] {
            assert_eq!(read(text), expected, "{text:?}");
        }
    }
}
