//! What a submission lacks, and what it must not carry on (RFC 6409 §8, RFC 5322 §3.6).
//!
//! A message that is being resent (it has a `Resent-` field) gets `Resent-Date`, `Resent-From` and
//! `Resent-Message-ID` instead (RFC 5322 §3.6.6).

use std::io::Write as _;

use envelope::Address;
use mail_builder::headers::{Header as _, address::EmailAddress};

use crate::{Date, end_of_header, fields, has};

/// Fields that end with the submission: the blind copies and what only final delivery may say
/// (RFC 5322 §3.6.3, RFC 5321 §4.4), and a length that is no longer right.
pub const UNSENT_FIELDS: [&str; 4] = ["Bcc", "Resent-Bcc", "Return-Path", "Content-Length"];

/// What the missing fields are made of.
#[derive(Debug, Clone, Copy)]
pub struct Completion<'a> {
    pub date: Date,
    /// Makes the `Message-ID` unique.
    pub random: u64,
    /// The name of this host.
    pub hostname: &'a str,
    /// The author; `None` adds no `From`.
    pub from: Option<&'a Address>,
    /// The author's full name, as it came: quoted or encoded where it needs to be.
    pub full_name: Option<&'a str>,
}

/// The text to put in front of `content`: the fields it lacks, and an empty line where it has no
/// header at all. Empty where nothing is missing.
#[must_use]
pub fn completion(content: &[u8], with: &Completion<'_>) -> Vec<u8> {
    let resent = fields(content).any(|field| starts_resent(field.name));
    let prefix = if resent { "Resent-" } else { "" };
    let lacks = |name: &str| !has(content, &format!("{prefix}{name}"));
    let mut text = Vec::new();
    if lacks("Date") {
        append(&mut text, format_args!("{prefix}Date: {}\r\n", with.date));
    }
    if let Some(from) = with.from.filter(|_| lacks("From")) {
        append(&mut text, format_args!("{prefix}From: "));
        write_author(&mut text, from, with.full_name, prefix.len() + "From: ".len());
    }
    if lacks("Message-ID") {
        let id = message_id(with.date, with.random, with.hostname);
        append(&mut text, format_args!("{prefix}Message-ID: <{id}>\r\n"));
    }
    text.extend_from_slice(separator(content));
    text
}

/// What has to stand between fields put in front and `content`: an empty line where it has no
/// header at all, since the first line of its body would otherwise join the fields; else nothing.
#[must_use]
pub fn separator(content: &[u8]) -> &'static [u8] {
    if end_of_header(content) == 0 && !starts_with_empty_line(content) { b"\r\n" } else { b"" }
}

/// A `Message-ID` without its angle brackets (RFC 5322 §3.6.4).
#[must_use]
pub fn message_id(date: Date, random: u64, hostname: &str) -> String {
    format!("{}.{random:016x}@{hostname}", date.civil().strftime("%Y%m%d%H%M%S"))
}

/// `content` without the fields of these names, and with an empty line between header and body
/// where there was none.
#[must_use]
pub fn without_fields(content: &[u8], names: &[&str]) -> Vec<u8> {
    let mut kept = Vec::with_capacity(content.len() + 2);
    let mut end = 0;
    for field in fields(content) {
        end = field.range.end;
        if !names.iter().any(|name| field.is(name)) {
            kept.extend_from_slice(content.get(field.range).unwrap_or_default());
        }
    }
    let body = content.get(end..).unwrap_or_default();
    if end > 0 && !body.is_empty() && !starts_with_empty_line(body) {
        kept.extend_from_slice(b"\r\n");
    }
    kept.extend_from_slice(body);
    kept
}

pub(crate) fn starts_resent(name: &str) -> bool {
    name.get(..7).is_some_and(|start| start.eq_ignore_ascii_case("Resent-"))
}

/// Writes the mailbox, folded and encoded, and CRLF.
fn write_author(text: &mut Vec<u8>, from: &Address, full_name: Option<&str>, column: usize) {
    let name = full_name.map(str::trim).filter(|name| !name.is_empty());
    let author = EmailAddress { name: name.map(Into::into), email: from.to_string().into() };
    author.write_header(text, column);
}

fn starts_with_empty_line(content: &[u8]) -> bool {
    content.starts_with(b"\r\n") || content.starts_with(b"\n")
}

fn append(text: &mut Vec<u8>, what: std::fmt::Arguments<'_>) {
    text.write_fmt(what).expect("invariant: a Vec takes every write");
}

#[cfg(test)]
mod tests {
    use mail_parser::MessageParser;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_a_body_without_header_is_separated() {
        for (content, expected) in
            [("A: b\r\n", ""), ("\r\nA: b", ""), ("no field\r\n", "\r\n"), ("", "\r\n")]
        {
            assert_eq!(separator(content.as_bytes()), expected.as_bytes(), "{content:?}");
        }
    }

    fn completed(content: &str, full_name: Option<&str>) -> String {
        let from = "alice@x.test".parse().unwrap();
        let with = Completion {
            date: Date::utc(1_795_235_750),
            random: 7,
            hostname: "mail.x.test",
            from: Some(&from),
            full_name,
        };
        String::from_utf8(completion(content.as_bytes(), &with)).unwrap()
    }

    #[test]
    fn only_what_is_missing_is_added() {
        assert_eq!(
            completed("Subject: x\r\n\r\nbody\r\n", Some("Alice \"Al\" Smith")),
            "Date: Sat, 21 Nov 2026 04:35:50 +0000\r\n\
             From: \"Alice \\\"Al\\\" Smith\" <alice@x.test>\r\n\
             Message-ID: <20261121043550.0000000000000007@mail.x.test>\r\n"
        );
        assert_eq!(completed("date: x\r\nFROM: y\r\nMessage-Id: <z>\r\n\r\n", None), "");
        assert_eq!(
            completed("Date: x\r\nMessage-ID: <z>\r\n\r\n", Some(" ")),
            "From: <alice@x.test>\r\n"
        );
    }

    #[test]
    fn a_resent_message_is_completed_as_such() {
        let text = completed("Resent-To: bob@x.test\r\nResent-Date: x\r\n\r\n", None);
        assert!(text.starts_with("Resent-From: <alice@x.test>\r\nResent-Message-ID: <"), "{text}");
    }

    #[test]
    fn content_without_a_header_gets_an_empty_line() {
        assert!(completed("Hello\r\n", None).ends_with(">\r\n\r\n"));
        assert!(completed("", None).ends_with(">\r\n\r\n"));
        assert!(completed("\r\nHello\r\n", None).ends_with(".test>\r\n"));
    }

    #[test]
    fn fields_are_taken_out_and_the_body_stays() {
        let content = b"Bcc: a@x.test,\r\n b@x.test\r\nTo: c\r\nbcc : d\r\n\r\nBcc: body\r\n";
        assert_eq!(without_fields(content, &UNSENT_FIELDS), b"To: c\r\n\r\nBcc: body\r\n");
        assert_eq!(without_fields(b"To: c\r\nbody\r\n", &[]), b"To: c\r\n\r\nbody\r\n");
        assert_eq!(without_fields(b"body\r\n", &[]), b"body\r\n");
        assert_eq!(without_fields(b"Bcc: a\r\n\r\nbody\r\n", &["Bcc"]), b"\r\nbody\r\n");
    }

    proptest! {
        /// A full name is one field whatever it holds, and reads back as it was.
        #[test]
        fn any_full_name_is_one_field(name in prop_oneof!["\\PC{1,80}", "[ -~]{1,80}", "(?s).{1,40}"]) {
            let text = completed("Date: x\r\nMessage-ID: <y>\r\n\r\n", Some(&name));
            prop_assert!(text.is_ascii(), "{text}");
            prop_assert_eq!(crate::fields(text.as_bytes()).count(), 1);
            prop_assert!(text.lines().all(|line| line.len() <= 998));
            let content = format!("{text}\r\n");
            let message = MessageParser::new().parse(&content).unwrap();
            let from = message.from().unwrap();
            prop_assert_eq!(from.mailboxes().count(), 1);
            prop_assert_eq!(from.first().unwrap().address(), Some("alice@x.test"));
        }
    }
}
