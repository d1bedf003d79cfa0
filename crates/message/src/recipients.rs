//! Recipients named in a header, for `sendmail -t`, or in a word of its command line.
//!
//! What is no address is told, and costs the others nothing.

use std::collections::HashSet;
use std::fmt;

use envelope::{Address, AddressError, printable};
use mail_parser::{HeaderForm, Mailbox};

use crate::complete::starts_resent;
use crate::{Field, fields};

/// Recipients that one header may name.
pub const MAX_RECIPIENTS: usize = 10_000;

/// Errors that are told of one header.
const MAX_ERRORS: usize = 100;

/// Who is named.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recipients {
    /// In order, each once, at most [`MAX_RECIPIENTS`].
    pub addresses: Vec<Address>,
    /// What else was meant, at most 101.
    pub errors: Vec<RecipientsError>,
}

/// What of a header names no recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecipientsError {
    /// Not an address: the field (empty: a word of a command line), the text, what is wrong with it.
    Address { field: String, text: String, error: AddressError },
    /// More than [`MAX_RECIPIENTS`]: those that follow are left out.
    TooMany,
}

impl fmt::Display for RecipientsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address { field, text, error } => {
                if !field.is_empty() {
                    write!(f, "{}: ", printable(field))?;
                }
                write!(f, "\"{}\": {error}", printable(text))
            }
            Self::TooMany => {
                write!(f, "more than {MAX_RECIPIENTS} recipients: the rest is left out")
            }
        }
    }
}

impl std::error::Error for RecipientsError {}

/// Everyone in `To`, `Cc` and `Bcc`, or, in a message that is being resent, in the same fields of
/// the latest `Resent-` block, which is the topmost (RFC 5322 §3.6.6).
/// A name without domain is completed with `domain`. A header may name nobody.
#[must_use]
pub fn recipients(content: &[u8], domain: &str) -> Recipients {
    let mut found = Found::default();
    for field in recipient_fields(content) {
        found.add(field.name, field.value, domain);
    }
    found.recipients
}

/// Everyone in one word of a command line, which is what a recipient field may hold: a list, with
/// names and comments.
#[must_use]
pub fn addresses(text: &str, domain: &str) -> Recipients {
    let mut found = Found::default();
    // A line end would begin another field.
    match text.chars().find(|&c| c.is_control()) {
        Some(c) => found.fault("", text, AddressError::Character(c)),
        None => found.add("", text.as_bytes(), domain),
    }
    found.recipients
}

fn recipient_fields(content: &[u8]) -> Vec<Field<'_>> {
    let resent = latest_resent(content);
    let (fields, prefix) =
        if resent.is_empty() { (fields(content).collect(), "") } else { (resent, "Resent-") };
    let names = ["To", "Cc", "Bcc"].map(|name| format!("{prefix}{name}"));
    fields.into_iter().filter(|field| names.iter().any(|name| field.is(name))).collect()
}

/// The topmost run of `Resent-` fields, up to the first whose name repeats: there the block
/// of an earlier resending begins.
fn latest_resent(content: &[u8]) -> Vec<Field<'_>> {
    let mut block: Vec<Field<'_>> = Vec::new();
    let from_first = fields(content).skip_while(|field| !starts_resent(field.name));
    for field in from_first.take_while(|field| starts_resent(field.name)) {
        if block.iter().any(|earlier| earlier.is(field.name)) {
            break;
        }
        block.push(field);
    }
    block
}

#[derive(Default)]
struct Found {
    recipients: Recipients,
    seen: HashSet<Address>,
}

impl Found {
    fn add(&mut self, field: &str, value: &[u8], domain: &str) {
        // The parser takes the colons of `x@[IPv6:2001:db8::1]` for those of a group.
        if let Some(address) = std::str::from_utf8(value).ok().and_then(|it| it.trim().parse().ok())
        {
            return self.recipient(address);
        }
        let parsed = HeaderForm::Addresses.parse(value);
        let value = parsed.value();
        for mailbox in value.as_address().into_iter().flat_map(|list| list.mailboxes()) {
            match address(&mailbox, domain) {
                Ok(address) => self.recipient(address),
                Err(error) => self.fault(field, written(&mailbox), error),
            }
        }
    }

    fn recipient(&mut self, address: Address) {
        if self.seen.contains(&address) {
            return;
        }
        if self.recipients.addresses.len() < MAX_RECIPIENTS {
            self.seen.insert(address.clone());
            self.recipients.addresses.push(address);
        } else if !self.recipients.errors.contains(&RecipientsError::TooMany) {
            self.recipients.errors.push(RecipientsError::TooMany);
        }
    }

    fn fault(&mut self, field: &str, text: &str, error: AddressError) {
        if self.recipients.errors.len() < MAX_ERRORS {
            let (field, text) = (field.to_owned(), text.to_owned());
            self.recipients.errors.push(RecipientsError::Address { field, text, error });
        }
    }
}

/// The address as written, without comments and display name; without domain or angle brackets the
/// parser takes it for a display name.
fn written<'m>(mailbox: &Mailbox<'m>) -> &'m str {
    mailbox.address().or(mailbox.name()).unwrap_or_default()
}

fn address(mailbox: &Mailbox<'_>, domain: &str) -> Result<Address, AddressError> {
    let text = written(mailbox);
    if let (Some(local), Some(domain)) = (mailbox.name(), text.strip_prefix('@')) {
        // A quoted local part outside angle brackets, which the parser splits.
        return Address::new(local, domain);
    }
    if text.contains('@') { text.parse() } else { format!("{text}@{domain}").parse() }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn found(header: &str) -> Recipients {
        recipients(format!("{header}\r\n\r\nTo: body@x.test\r\n").as_bytes(), "here.test")
    }

    fn texts(recipients: &Recipients) -> Vec<String> {
        recipients.addresses.iter().map(ToString::to_string).collect()
    }

    #[track_caller]
    fn assert_found(header: &str, expected: &[&str]) {
        let found = found(header);
        assert_eq!(texts(&found), expected, "{header}");
        assert_eq!(found.errors, [], "{header}");
    }

    #[test]
    fn every_form_of_a_recipient() {
        let forms = [
            ("To: alice", "alice@here.test"),
            ("to : \\root", "root@here.test"),
            ("Cc: Bob Smith <bob@x.test>", "bob@x.test"),
            ("Bcc: =?utf-8?Q?J=C3=B6rg?= <joerg@x.test> (comment)", "joerg@x.test"),
            ("To: bob (Bob Smith)", "bob@here.test"),
            ("To: \"a b\"@x.test", "\"a b\"@x.test"),
            ("To: <\"a@b\"@x.test>", "\"a@b\"@x.test"),
            ("To: \"Smith, Bob\" <bob@[192.0.2.1]>", "bob@[192.0.2.1]"),
            ("To: <bob@[IPv6:2001:db8::1]>", "bob@[IPv6:2001:db8::1]"),
            ("To: dörte@bücher.example", "dörte@bücher.example"),
        ];
        for (header, address) in forms {
            assert_found(header, &[address]);
        }
    }

    #[test]
    fn lists_and_groups_in_order_each_once() {
        let header = "To: team: a@x.test,\r\n b@x.test;, c\r\nSubject: x\r\nCc: a@X.test\r\nTo: d";
        assert_found(header, &["a@x.test", "b@x.test", "c@here.test", "d@here.test"]);
        for nobody in ["Subject: x", "To: undisclosed-recipients:;", "To:", "To: <>"] {
            assert_found(nobody, &[]);
        }
    }

    #[test]
    fn the_latest_resending_counts() {
        let header = "Received: x\r\nResent-To: new\r\nResent-Date: x\r\nResent-Cc: two\r\n\
                      Resent-To: older\r\nTo: first\r\nResent-Bcc: oldest";
        assert_found(header, &["new@here.test", "two@here.test"]);
        assert_found("Resent-Date: x\r\nTo: first", &[]);
    }

    #[test]
    fn errors_name_the_field_and_cost_nobody_the_mail() {
        let mixed = found("To: a\r\nCc: Bob Smith, b, c\u{1b}d\r\nBcc: e@x.test");
        assert_eq!(texts(&mixed), ["a@here.test", "b@here.test", "e@x.test"]);
        let errors: Vec<_> = mixed.errors.iter().map(ToString::to_string).collect();
        assert_eq!(
            errors,
            [
                "Cc: \"Bob Smith\": ' ' needs quotes or has no place in an address",
                "Cc: \"c\\u{1b}d\": '\\u{1b}' needs quotes or has no place in an address",
            ]
        );
        for bad in ["To: a@", "To: a@b@c", "To: <@relay:user@x.test>"] {
            let found = found(bad);
            assert!(found.addresses.is_empty(), "{bad}");
            assert!(matches!(*found.errors, [RecipientsError::Address { .. }]), "{bad}");
        }
    }

    #[test]
    fn a_crowd_is_bounded() {
        let list = |range: std::ops::RangeInclusive<usize>| -> String {
            range.map(|i| format!("u{i},")).collect()
        };
        let many = found(&format!("To: x,{}x,u1,", list(0..=MAX_RECIPIENTS + 5)));
        assert_eq!(many.addresses.len(), MAX_RECIPIENTS);
        assert_eq!(many.errors, [RecipientsError::TooMany]);
        let bad = found(&format!("To: {}{}", "a@,".repeat(2000), list(0..=MAX_RECIPIENTS)));
        assert_eq!((bad.addresses.len(), bad.errors.len()), (MAX_RECIPIENTS, MAX_ERRORS + 1));
    }

    #[test]
    fn a_word_of_the_command_line_is_a_list_too() {
        let found = addresses("Carol <carol@x.test>, bob, a b c@", "here.test");
        assert_eq!(texts(&found), ["carol@x.test", "bob@here.test"]);
        assert_eq!(found.errors.len(), 1);
        assert!(found.errors[0].to_string().starts_with("\"a b c@\": "), "{}", found.errors[0]);
        let literal = addresses(" x@[IPv6:2001:db8::1] ", "here.test");
        assert_eq!(literal.errors, []);
        assert_eq!(literal.addresses[0].to_string(), "x@[IPv6:2001:db8::1]");
        let forged = addresses("a\r\nBcc: b", "here.test");
        assert_eq!((forged.addresses.len(), forged.errors.len()), (0, 1));
    }

    proptest! {
        #[test]
        fn any_bytes_name_addresses_or_are_refused(value in prop::collection::vec(any::<u8>(), 0..200)) {
            let content = [b"To: ", value.as_slice(), b"\r\n\r\n"].concat();
            for address in recipients(&content, "here.test").addresses {
                prop_assert_eq!(address.to_string().parse(), Ok(address));
            }
        }
    }
}
