//! Recipients named in a header, for `sendmail -t`.

use std::collections::HashSet;
use std::fmt;

use envelope::{Address, AddressError, printable};
use mail_parser::{HeaderForm, Mailbox};

use crate::complete::starts_resent;
use crate::{Field, fields};

/// Recipients that one header may name.
pub const MAX_RECIPIENTS: usize = 10_000;

/// Why the recipients of a header cannot be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecipientsError {
    /// Not an address: the field, the text, what is wrong with it.
    Address { field: String, text: String, error: AddressError },
    /// More than [`MAX_RECIPIENTS`].
    TooMany,
}

impl fmt::Display for RecipientsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address { field, text, error } => {
                write!(f, "{}: \"{}\": {error}", printable(field), printable(text))
            }
            Self::TooMany => write!(f, "the header names more than {MAX_RECIPIENTS} recipients"),
        }
    }
}

impl std::error::Error for RecipientsError {}

/// Everyone in `To`, `Cc` and `Bcc`, or, in a message that is being resent, in the same fields of
/// the latest `Resent-` block, which is the topmost (RFC 5322 §3.6.6).
/// In order, each once; a name without domain is completed with `domain`.
///
/// # Errors
/// [`RecipientsError`]. A header that names nobody is no error.
pub fn recipients(content: &[u8], domain: &str) -> Result<Vec<Address>, RecipientsError> {
    let mut found = Found::default();
    for field in recipient_fields(content) {
        found.add(&field, domain)?;
    }
    Ok(found.in_order)
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
    in_order: Vec<Address>,
    seen: HashSet<Address>,
}

impl Found {
    fn add(&mut self, field: &Field<'_>, domain: &str) -> Result<(), RecipientsError> {
        let parsed = HeaderForm::Addresses.parse(field.value);
        let value = parsed.value();
        for mailbox in value.as_address().into_iter().flat_map(|list| list.mailboxes()) {
            let address = address(&mailbox, domain).map_err(|error| RecipientsError::Address {
                field: field.name.to_owned(),
                text: written(&mailbox).to_owned(),
                error,
            })?;
            if !self.seen.insert(address.clone()) {
                continue;
            }
            if self.in_order.len() == MAX_RECIPIENTS {
                return Err(RecipientsError::TooMany);
            }
            self.in_order.push(address);
        }
        Ok(())
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

    fn found(header: &str) -> Result<Vec<String>, RecipientsError> {
        let content = format!("{header}\r\n\r\nTo: body@x.test\r\n");
        let addresses = recipients(content.as_bytes(), "here.test")?;
        Ok(addresses.iter().map(ToString::to_string).collect())
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
            assert_eq!(found(header), Ok(vec![address.to_owned()]), "{header}");
        }
    }

    #[test]
    fn lists_and_groups_in_order_each_once() {
        let header = "To: team: a@x.test,\r\n b@x.test;, c\r\nSubject: x\r\nCc: a@X.test\r\nTo: d";
        let all = ["a@x.test", "b@x.test", "c@here.test", "d@here.test"].map(str::to_owned);
        assert_eq!(found(header), Ok(all.to_vec()));
        for nobody in ["Subject: x", "To: undisclosed-recipients:;", "To:", "To: <>"] {
            assert_eq!(found(nobody), Ok(Vec::new()), "{nobody}");
        }
    }

    #[test]
    fn the_latest_resending_counts() {
        let header = "Received: x\r\nResent-To: new\r\nResent-Date: x\r\nResent-Cc: two\r\n\
                      Resent-To: older\r\nTo: first\r\nResent-Bcc: oldest";
        let all = ["new@here.test", "two@here.test"].map(str::to_owned);
        assert_eq!(found(header), Ok(all.to_vec()));
        assert_eq!(found("Resent-Date: x\r\nTo: first"), Ok(Vec::new()));
    }

    #[test]
    fn errors_name_the_field() {
        let error = found("To: a\r\nCc: Bob Smith, c\u{1b}d").unwrap_err();
        assert_eq!(
            error.to_string(),
            "Cc: \"Bob Smith\": ' ' needs quotes or has no place in an address"
        );
        for bad in ["To: a@", "To: a@b@c", "To: <@relay:user@x.test>", "To: x@[IPv6:::1]"] {
            assert!(matches!(found(bad), Err(RecipientsError::Address { .. })), "{bad}");
        }
        let many =
            "x,".repeat(3) + &(0..=MAX_RECIPIENTS).map(|i| format!("u{i},")).collect::<String>();
        assert_eq!(found(&format!("To: {many}")), Err(RecipientsError::TooMany));
    }

    proptest! {
        #[test]
        fn any_bytes_name_addresses_or_are_refused(value in prop::collection::vec(any::<u8>(), 0..200)) {
            let content = [b"To: ", value.as_slice(), b"\r\n\r\n"].concat();
            for address in recipients(&content, "here.test").unwrap_or_default() {
                prop_assert_eq!(address.to_string().parse(), Ok(address));
            }
        }
    }
}
