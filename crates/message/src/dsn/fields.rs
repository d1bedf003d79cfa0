//! The part of a notification that programs read (RFC 3464 §2).

use std::fmt::{self, Write as _};

use envelope::{Address, Detail, OriginalRecipient};

use super::{Action, RecipientReport, Report};

/// What characters the part may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Characters {
    /// `message/delivery-status`
    Ascii,
    /// `message/global-delivery-status` (RFC 6533 §4)
    Utf8,
}

/// The fields of the message, then those of each recipient, CRLF at each line's end.
pub(super) fn write(report: &Report<'_>, characters: Characters) -> String {
    let mut out = Out { text: String::new(), characters };
    out.field("Reporting-MTA", format_args!("dns; {}", out.escaped(report.hostname)));
    if let Some(envid) = report.envid {
        out.field("Original-Envelope-Id", format_args!("{}", out.escaped(envid)));
    }
    out.field("Arrival-Date", format_args!("{}", report.arrival));
    if let Some(id) = report.id {
        out.field("X-Pennypost-Queue-Id", format_args!("{id}"));
    }
    for recipient in report.recipients {
        out.text.push_str("\r\n");
        out.recipient(recipient);
    }
    out.text
}

struct Out {
    text: String,
    characters: Characters,
}

impl Out {
    fn recipient(&mut self, recipient: &RecipientReport<'_>) {
        let detail = recipient.status.detail();
        if let Some(original) = recipient.original {
            let original = self.original(original);
            self.field("Original-Recipient", format_args!("{original}"));
        }
        let address = self.address(recipient.address);
        self.field("Final-Recipient", format_args!("{address}"));
        self.field("Action", format_args!("{}", recipient.action.name()));
        self.field("Status", format_args!("{}", recipient.status.code()));
        if let Some(remote) = &detail.remote {
            self.field("Remote-MTA", format_args!("dns; {}", self.escaped(remote)));
        }
        self.diagnostic(detail);
        if let Some(date) = recipient.last_attempt {
            self.field("Last-Attempt-Date", format_args!("{date}"));
        }
        if let Some(date) = recipient.retry_until {
            self.field("Will-Retry-Until", format_args!("{date}"));
        }
    }

    /// RFC 3464 §2.3.6: `smtp` is a reply, any other type is for people.
    fn diagnostic(&mut self, detail: &Detail) {
        let text = self.escaped(&detail.text.replace('\n', " "));
        match detail.code {
            Some(code) => self.field("Diagnostic-Code", format_args!("smtp; {code} {text}")),
            None if text.is_empty() => {}
            None => self.field("Diagnostic-Code", format_args!("X-Pennypost; {text}")),
        }
    }

    /// RFC 3464 §2.3.2, RFC 6533 §3.
    fn address(&self, address: &Address) -> String {
        let text = address.to_string();
        if address.needs_utf8() { self.utf8(&text) } else { format!("rfc822; {text}") }
    }

    fn original(&self, original: &OriginalRecipient) -> String {
        if original.kind.eq_ignore_ascii_case("utf-8") {
            return self.utf8(&original.address);
        }
        let is_atom = |c: char| c.is_ascii_alphanumeric() || c == '-';
        let kind: String = original.kind.chars().filter(|&c| is_atom(c)).collect();
        format!("{kind}; {}", self.escaped(&original.address))
    }

    /// `utf-8-addr-unitext` where UTF-8 may stand, else `utf-8-addr-xtext` (RFC 6533 §3).
    fn utf8(&self, address: &str) -> String {
        let mut text = "utf-8; ".to_owned();
        for c in address.chars() {
            let special = matches!(c, '\\' | '+' | '=' | ' ');
            push_escaped(&mut text, c, self.characters, special);
        }
        text
    }

    /// Text that can neither end a field nor hide in it.
    fn escaped(&self, text: &str) -> String {
        let mut escaped = String::with_capacity(text.len());
        for c in text.chars() {
            push_escaped(&mut escaped, c, self.characters, false);
        }
        escaped
    }

    /// Writes one field, folded between words, and within one only where a line could be too long.
    fn field(&mut self, name: &str, value: fmt::Arguments<'_>) {
        const FOLD_AT: usize = 76;
        self.text.push_str(name);
        self.text.push(':');
        let mut column = name.len() + 1;
        let value = value.to_string();
        for (index, piece) in value.split(' ').flat_map(pieces).enumerate() {
            // Never before the first piece: a line of white space only could be left.
            if index > 0 && column + 1 + piece.len() > FOLD_AT {
                self.text.push_str("\r\n");
                column = 0;
            }
            self.text.push(' ');
            self.text.push_str(piece);
            column += 1 + piece.len();
        }
        self.text.push_str("\r\n");
    }
}

/// A word in pieces that each fit into a line (RFC 5322 §2.1.1); none of an empty word.
fn pieces(word: &str) -> impl Iterator<Item = &str> {
    const MAX_PIECE: usize = 900;
    let mut rest = word;
    std::iter::from_fn(move || {
        let (piece, later) = rest.split_at_checked(rest.floor_char_boundary(MAX_PIECE))?;
        rest = later;
        Some(piece).filter(|piece| !piece.is_empty())
    })
}

/// RFC 6533 §3: `\x{HEX}` for what may not stand as it is.
fn push_escaped(text: &mut String, c: char, characters: Characters, special: bool) {
    if envelope::is_hidden(c) || special || (characters == Characters::Ascii && !c.is_ascii()) {
        write!(text, "\\x{{{:X}}}", u32::from(c)).expect("invariant: a String takes every write");
    } else {
        text.push(c);
    }
}

impl Action {
    const fn name(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Delayed => "delayed",
            Self::Delivered => "delivered",
            Self::Relayed => "relayed",
            Self::Expanded => "expanded",
        }
    }
}
