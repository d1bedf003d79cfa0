//! Delivery status notifications: what became of a message, told to its reverse-path
//! (RFC 3464 in RFC 6522, RFC 6533 for addresses beyond ASCII, RFC 3834 for automatic answers).
//!
//! **Invariant:** what comes from outside (addresses, replies, the subject, the message itself)
//! cannot add a field, a line or a part.

mod fields;
mod returned;
mod words;

use envelope::{Address, Body, OriginalRecipient, QueueId, Return, Status};
use mail_builder::MessageBuilder;
use mail_builder::headers::{content_type::ContentType, raw::Raw};
use mail_builder::mime::{BodyPart, MimePart};
use memchr::memmem;

use crate::{Date, first, message_id};
use fields::Characters;
use returned::Returned;

/// One notification: a message, and the recipients of whom the same kind of thing is to be told.
#[derive(Debug, Clone)]
pub struct Report<'a> {
    pub kind: Kind,
    /// The name of this host.
    pub hostname: &'a str,
    /// The id of the message that is told of; `None`: it was never queued.
    pub id: Option<QueueId>,
    /// Whom to tell: the reverse-path of the message, or the postmaster.
    pub to: &'a Address,
    pub envid: Option<&'a str>,
    /// When the message arrived.
    pub arrival: Date,
    /// Now.
    pub date: Date,
    /// Makes the boundary and the `Message-ID` unique, and hard to guess.
    pub random: u64,
    /// At least one.
    pub recipients: &'a [RecipientReport<'a>],
    pub original: Original<'a>,
}

/// What the notification is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// These recipients will never get the message.
    Failure,
    /// They have not got it yet, and it is being tried on.
    Delay,
    /// They have got it, as NOTIFY=SUCCESS asked to be told (RFC 3461 §4.1).
    Success,
}

/// What became of one recipient.
#[derive(Debug, Clone)]
pub struct RecipientReport<'a> {
    pub address: &'a Address,
    /// ORCPT.
    pub original: Option<&'a OriginalRecipient>,
    pub action: Action,
    pub status: &'a Status,
    pub last_attempt: Option<Date>,
    /// When it will be given up; of a delay only.
    pub retry_until: Option<Date>,
}

/// RFC 3464 §2.3.3.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    Failed,
    Delayed,
    Delivered,
    /// To a system that offers no DSN: nothing more will be heard.
    Relayed,
    /// To several recipients, by an alias.
    Expanded,
}

/// The message that is told of.
#[derive(Debug, Clone, Copy)]
pub struct Original<'a> {
    /// Its content, or as much of its beginning as is at hand.
    pub content: &'a [u8],
    /// `content` is all of it.
    pub whole: bool,
    pub ret: Option<Return>,
    /// MAIL had SMTPUTF8.
    pub smtputf8: bool,
}

/// A notification, ready for the queue; its reverse-path is null.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Built {
    pub content: Vec<u8>,
    /// What it needs of the next hop.
    pub body: Body,
    pub smtputf8: bool,
}

impl Report<'_> {
    /// Writes the notification.
    #[must_use]
    pub fn build(&self) -> Built {
        let smtputf8 = self.to.needs_utf8();
        let returned = Returned::choose(self);
        let body = if smtputf8 || !returned.bytes.is_ascii() {
            Body::EightBitMime
        } else {
            Body::SevenBit
        };
        let mut content = Vec::new();
        self.message(body, returned, smtputf8).serialize(&mut content);
        Built { content, body, smtputf8 }
    }

    fn message<'a>(
        &'a self,
        body: Body,
        returned: Returned<'a>,
        smtputf8: bool,
    ) -> MessageBuilder<'a> {
        let daemon = format!("MAILER-DAEMON@{}", self.hostname);
        let mut message = MessageBuilder::new()
            .from(("Mail Delivery System".to_owned(), daemon))
            .to(self.to.to_string())
            .subject(words::subject(self))
            .header("Date", Raw::new(self.date.to_string()))
            .message_id(message_id(self.date, self.random, self.hostname))
            // RFC 3834 §5: so that no automaton answers.
            .header("Auto-Submitted", Raw::new("auto-replied"));
        if let Some(id) = original_id(self.original.content) {
            message = message.in_reply_to(id.to_owned()).references(id.to_owned());
        }
        message.body(self.multipart(body, returned, smtputf8))
    }

    /// RFC 6522 §3: words, fields, message.
    fn multipart<'a>(&'a self, body: Body, returned: Returned<'a>, smtputf8: bool) -> MimePart<'a> {
        let words = MimePart::new("text/plain", words::write(self, returned.extent));
        let (fields_type, characters) = if smtputf8 {
            ("message/global-delivery-status", Characters::Utf8)
        } else {
            ("message/delivery-status", Characters::Ascii)
        };
        let fields = fields::write(self, characters).into_bytes();
        let encoding = encoding_of(&fields);
        let fields = MimePart::new(fields_type, fields).transfer_encoding(encoding);
        let encoding = encoding_of(&returned.bytes);
        let boundary = self.boundary(&returned.bytes);
        let returned = MimePart::new(returned.media_type, BodyPart::Binary(returned.bytes))
            .transfer_encoding(encoding);
        let report = ContentType::new("multipart/report")
            .attribute("report-type", "delivery-status")
            .attribute("boundary", boundary);
        MimePart::new(report, vec![words, fields, returned]).transfer_encoding(match body {
            Body::SevenBit => "7bit",
            Body::EightBitMime => "8bit",
        })
    }

    /// Whatever goes back cannot end its part, even if its author could guess.
    fn boundary(&self, returned: &[u8]) -> String {
        let mut random = self.random;
        let mut boundary = format!("=_{random:016x}");
        while memmem::find(returned, boundary.as_bytes()).is_some() {
            random = random.wrapping_add(1);
            boundary = format!("=_{random:016x}");
        }
        boundary
    }
}

fn encoding_of(bytes: &[u8]) -> &'static str {
    if bytes.is_ascii() { "7bit" } else { "8bit" }
}

/// The `Message-ID` of the original without its brackets, if it is one that may be repeated
/// (RFC 5322 §3.6.4).
fn original_id(content: &[u8]) -> Option<&str> {
    const MAX_ID: usize = 250;
    let field = first(content, "Message-ID")?;
    let id = field.value.trim_ascii().strip_prefix(b"<")?.strip_suffix(b">")?;
    let plain = |byte: &u8| byte.is_ascii_graphic() && !matches!(byte, b'<' | b'>');
    if id.is_empty() || id.len() > MAX_ID || !id.iter().all(plain) {
        return None;
    }
    str::from_utf8(id).ok()
}

#[cfg(test)]
mod tests;
