//! MAIL and RCPT as we send them.

use envelope::{Body, OriginalRecipient, Recipient, Return, ReversePath, Submission};

use super::Offers;
use crate::{submission, xtext};

/// What one transaction is about; the content comes apart from it.
#[derive(Debug, Clone, Copy)]
pub struct Mail<'a> {
    pub reverse_path: &'a ReversePath,
    pub recipients: &'a [Recipient],
    pub body: Body,
    /// The header section is not all ASCII (RFC 6532), so that the host must know SMTPUTF8.
    pub utf8_headers: bool,
    pub ret: Option<Return>,
    /// Decoded.
    pub envid: Option<&'a str>,
    /// Bytes of content, before dots are doubled.
    pub size: u64,
    /// What is said only to a daemon of this machine.
    pub submission: Option<&'a Submission>,
}

impl Mail<'_> {
    /// The whole message, whoever gets it, needs SMTPUTF8 (RFC 6531 §3.4).
    pub(super) fn needs_utf8(&self) -> bool {
        self.utf8_headers || self.reverse_path.0.as_ref().is_some_and(envelope::Address::needs_utf8)
    }

    /// `utf8`: this transaction needs SMTPUTF8, and the host offers it.
    ///
    /// 8-bit content goes to a host without 8BITMIME as it is, which is sendmail's
    /// EightBitMode=pass8: hosts that clear the eighth bit are gone, and a bounce would lose
    /// mail that arrives.
    pub(super) fn command(&self, offers: &Offers, utf8: bool) -> String {
        let mut command = format!("MAIL FROM:<{}>", self.reverse_path);
        if offers.size.is_some() {
            command.push_str(&format!(" SIZE={}", self.size));
        }
        if offers.eight_bit_mime && self.body == Body::EightBitMime {
            command.push_str(" BODY=8BITMIME");
        }
        if utf8 {
            command.push_str(" SMTPUTF8");
        }
        if offers.dsn {
            command.push_str(match self.ret {
                Some(Return::Full) => " RET=FULL",
                Some(Return::Headers) => " RET=HDRS",
                None => "",
            });
            if let Some(envid) = self.envid {
                command.push_str(&format!(" ENVID={}", xtext::encode(envid)));
            }
        }
        if let Some(said) = self.submission.filter(|_| offers.submission) {
            submission::write(said, &mut command);
        }
        command.push_str("\r\n");
        command
    }
}

/// RFC 3461 §5.2.1: what the client stated is passed on, and nothing is added.
pub(super) fn rcpt(recipient: &Recipient, offers: &Offers) -> String {
    let mut command = format!("RCPT TO:<{}>", recipient.address);
    if offers.dsn {
        let notify = recipient.notify;
        if notify.stated {
            let events =
                [(notify.success, "SUCCESS"), (notify.failure, "FAILURE"), (notify.delay, "DELAY")];
            let named = events.iter().filter(|(wanted, _)| *wanted).map(|(_, name)| *name);
            let list = named.collect::<Vec<_>>().join(",");
            command.push_str(" NOTIFY=");
            command.push_str(if list.is_empty() { "NEVER" } else { &list });
        }
        if let Some(orcpt) = &recipient.orcpt {
            command.push_str(" ORCPT=");
            command.push_str(&written(orcpt));
        }
    }
    command.push_str("\r\n");
    command
}

/// In ASCII, whatever the host offers. RFC 6533 §3: kind `utf-8` has its own way for that.
fn written(original: &OriginalRecipient) -> String {
    let OriginalRecipient { kind, address } = original;
    if !kind.eq_ignore_ascii_case("utf-8") {
        return format!("{kind};{}", xtext::encode(address));
    }
    let plain = |c: char| matches!(c, '!'..='~') && !matches!(c, '+' | '=' | '\\');
    let mut out = format!("{kind};");
    for c in address.chars() {
        if plain(c) {
            out.push(c);
        } else {
            out.push_str(&format!("\\x{{{:02X}}}", u32::from(c)));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_original_recipient_stays_ascii() {
        let original =
            |kind: &str| OriginalRecipient { kind: kind.into(), address: "ä+\\@x".into() };
        assert_eq!(written(&original("rfc822")), "rfc822;+C3+A4+2B\\@x");
        assert_eq!(written(&original("utf-8")), "utf-8;\\x{E4}\\x{2B}\\x{5C}@x");
    }
}
