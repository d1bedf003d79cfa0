//! The trace field that every message gets on its way in (RFC 5321 §4.4).

use std::io::Write as _;
use std::net::IpAddr;

use envelope::{Address, Origin, OriginalClient, QueueId, ReversePath};

use crate::Date;

/// What a `Received` field tells.
#[derive(Debug, Clone)]
pub struct Received<'a> {
    pub origin: &'a Origin,
    /// The name of this host.
    pub by: &'a str,
    pub with: Protocol,
    /// From where a program of this machine has it, if it is one that is believed.
    pub client: Option<&'a OriginalClient>,
    /// The recipient, where there is exactly one: more would tell of blind copies
    /// (RFC 5321 §7.2).
    pub recipient: Option<&'a Address>,
    pub date: Date,
}

/// How the message came (RFC 3848, RFC 6531 §4.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// After HELO.
    Smtp,
    /// After EHLO.
    Esmtp,
    /// After EHLO and AUTH.
    EsmtpA,
    /// MAIL had SMTPUTF8.
    Utf8Smtp,
    /// The same after AUTH.
    Utf8SmtpA,
}

impl Protocol {
    const fn name(self) -> &'static str {
        match self {
            Self::Smtp => "SMTP",
            Self::Esmtp => "ESMTP",
            Self::EsmtpA => "ESMTPA",
            Self::Utf8Smtp => "UTF8SMTP",
            Self::Utf8SmtpA => "UTF8SMTPA",
        }
    }

    const fn takes_utf8(self) -> bool {
        matches!(self, Self::Utf8Smtp | Self::Utf8SmtpA)
    }
}

impl Received<'_> {
    /// Bytes of a name from outside that are shown (RFC 5321 §4.5.3.1.2).
    const MAX_NAME: usize = 255;

    /// Appends the field, folded, CRLF at the end. Returns the offset in `out` of the
    /// [`QueueId::WIDTH`] bytes that `qmgr` overwrites with the queue id.
    pub fn write(&self, out: &mut Vec<u8>) -> usize {
        out.extend_from_slice(b"Received: ");
        self.write_from(out);
        append(out, format_args!("by {} (Pennypost)", shown(self.by)));
        let said = self.client.and_then(|client| client.protocol.as_ref());
        match (said, self.origin) {
            (Some(protocol), _) => append(out, format_args!(" with {protocol}")),
            (None, Origin::Client { .. } | Origin::User { .. }) => {
                append(out, format_args!(" with {}", self.with.name()));
            }
            (None, Origin::Ourselves) => {}
        }
        append(out, format_args!("\r\n\tid "));
        let id_at = out.len();
        out.extend_from_slice(&[b'0'; QueueId::WIDTH]);
        // RFC 6531 §3.7.3: characters beyond ASCII only under the UTF8SMTP names.
        let utf8 = said.is_none() && self.with.takes_utf8();
        if let Some(address) = self.recipient.filter(|address| utf8 || !address.needs_utf8()) {
            append(out, format_args!("\r\n\tfor <{address}>"));
        }
        append(out, format_args!(";\r\n\t{}\r\n", self.date));
        id_at
    }

    fn write_from(&self, out: &mut Vec<u8>) {
        match self.origin {
            Origin::Client { address, helo } => {
                let literal = literal(*address);
                if helo.is_empty() {
                    append(out, format_args!("from {literal} ({literal})\r\n\t"));
                } else {
                    append(out, format_args!("from {} ({literal})\r\n\t", shown(helo)));
                }
            }
            Origin::User { uid, name } => {
                if let Some(client) = self.client {
                    write_client(out, client);
                }
                append(out, format_args!("(from {}, uid {uid})\r\n\t", shown(name)));
            }
            Origin::Ourselves => {}
        }
    }
}

/// `from mx.test (bob@[192.0.2.1])`, as far as it is known. Who says so follows.
fn write_client(out: &mut Vec<u8>, client: &OriginalClient) {
    let OriginalClient { address, name, protocol: _, user } = client;
    let literal = address.map(literal);
    let name = name.as_ref().map(ToString::to_string);
    let Some(host) = name.or_else(|| literal.clone()) else { return };
    append(out, format_args!("from {host}"));
    match (user, literal) {
        (Some(user), literal) => {
            append(out, format_args!(" ({user}@{})", literal.unwrap_or(host)));
        }
        (None, Some(literal)) => append(out, format_args!(" ({literal})")),
        (None, None) => {}
    }
    append(out, format_args!("\r\n\t"));
}

/// A field that tells who it was that sent in another's name, as sendmail words it; CRLF at the end.
#[must_use]
pub fn sender_warning(hostname: &str, user: &str, claimed: &ReversePath) -> String {
    let (hostname, user) = (shown(hostname), shown(user));
    let claimed = claimed.0.as_ref().map_or("<>".to_owned(), Address::to_string);
    format!("X-Authentication-Warning: {hostname}: {user} set sender to {claimed} using -f\r\n")
}

/// RFC 5321 §4.1.3.
fn literal(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(address) => format!("[{address}]"),
        IpAddr::V6(address) => format!("[IPv6:{address}]"),
    }
}

/// A name from outside, with a question mark for every character that could end or bend the field.
fn shown(name: &str) -> String {
    let safe = |c: char| c.is_ascii_alphanumeric() || "-._:[]+/@=~$!*".contains(c);
    name.chars().take(Received::MAX_NAME).map(|c| if safe(c) { c } else { '?' }).collect()
}

fn append(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("invariant: a Vec takes every write");
}

#[cfg(test)]
mod tests {
    use envelope::Label;

    use super::*;

    fn written(origin: &Origin, recipient: Option<&Address>, with: Protocol) -> (String, usize) {
        written_of(origin, recipient, with, None)
    }

    fn written_of(
        origin: &Origin,
        recipient: Option<&Address>,
        with: Protocol,
        client: Option<&OriginalClient>,
    ) -> (String, usize) {
        let date = Date::utc(1_795_235_750);
        let by = "mail.example.org";
        let received = Received { origin, by, with, client, recipient, date };
        let mut out = b"X: y\r\n".to_vec();
        let id_at = received.write(&mut out);
        assert_eq!(out.get(id_at..id_at + QueueId::WIDTH), Some(&b"0000000000000"[..]));
        (String::from_utf8(out).unwrap(), id_at)
    }

    #[test]
    fn tells_of_a_client() {
        let origin =
            Origin::Client { address: "192.0.2.1".parse().unwrap(), helo: "mx.test".to_owned() };
        let recipient = "bob@example.org".parse().unwrap();
        let (text, id_at) = written(&origin, Some(&recipient), Protocol::Esmtp);
        assert_eq!(
            text,
            "X: y\r\nReceived: from mx.test ([192.0.2.1])\r\n\
             \tby mail.example.org (Pennypost) with ESMTP\r\n\
             \tid 0000000000000\r\n\tfor <bob@example.org>;\r\n\
             \tSat, 21 Nov 2026 04:35:50 +0000\r\n"
        );
        assert_eq!(text.find("000000"), Some(id_at));
    }

    #[test]
    fn tells_of_a_user_and_of_ourselves() {
        let user = Origin::User { uid: 1000, name: "alice".to_owned() };
        let (text, _) = written(&user, None, Protocol::Esmtp);
        assert!(text.contains("Received: (from alice, uid 1000)\r\n\tby mail.example.org"));
        let (text, _) = written(&Origin::Ourselves, None, Protocol::Esmtp);
        assert!(text.contains("Received: by mail.example.org (Pennypost)\r\n\tid "), "{text}");
    }

    /// Whoever says it is named, too.
    #[test]
    fn tells_of_a_client_that_another_program_had() {
        let label = |text: &str| Label::read(text, Label::NAME);
        let user = Origin::User { uid: 105, name: "amavis".to_owned() };
        let address = "192.0.2.1".parse().ok();
        let (name, protocol) = (label("mx.test"), label("ESMTPS"));
        let none = OriginalClient::default();
        for (client, from, with) in [
            (none.clone(), "", "ESMTP"),
            (
                OriginalClient { address, ..none.clone() },
                "from [192.0.2.1] ([192.0.2.1])\r\n\t",
                "ESMTP",
            ),
            (OriginalClient { name: name.clone(), ..none.clone() }, "from mx.test\r\n\t", "ESMTP"),
            (OriginalClient { protocol: protocol.clone(), ..none.clone() }, "", "ESMTPS"),
            (OriginalClient { user: label("bob"), ..none }, "", "ESMTP"),
            (
                OriginalClient { address, name, protocol, user: label("bob") },
                "from mx.test (bob@[192.0.2.1])\r\n\t",
                "ESMTPS",
            ),
        ] {
            let (text, _) = written_of(&user, None, Protocol::Esmtp, Some(&client));
            let expected = format!(
                "X: y\r\nReceived: {from}(from amavis, uid 105)\r\n\tby mail.example.org (Pennypost) \
                 with {with}\r\n\tid 0000000000000;\r\n\tSat, 21 Nov 2026 04:35:50 +0000\r\n"
            );
            assert_eq!(text, expected);
        }
    }

    #[test]
    fn characters_beyond_ascii_only_under_utf8smtp() {
        let address = "dörte@bücher.example".parse().unwrap();
        let (text, _) = written(&Origin::Ourselves, Some(&address), Protocol::Esmtp);
        assert!(!text.contains("for"), "{text}");
        let (text, _) = written(&Origin::Ourselves, Some(&address), Protocol::Utf8SmtpA);
        assert!(text.contains("\r\n\tfor <dörte@bücher.example>;"), "{text}");
    }

    #[test]
    fn who_sends_in_anothers_name_is_told() {
        let warning = |user: &str, claimed: &str| {
            sender_warning("mx.test", user, &ReversePath(claimed.parse().ok()))
        };
        let field = "X-Authentication-Warning: mx.test: alice set sender to ";
        assert_eq!(warning("alice", "b@x.test"), format!("{field}b@x.test using -f\r\n"));
        assert_eq!(warning("alice", ""), format!("{field}<> using -f\r\n"));
        let forged = warning("a\r\nX: y", "\"b: c\"@x.test");
        assert_eq!(crate::fields(forged.as_bytes()).count(), 1, "{forged}");
    }

    #[test]
    fn a_name_from_outside_cannot_bend_the_field() {
        let helo = "evil)\r\nX-Forged: yes (\u{202e}\\".repeat(30);
        let origin = Origin::Client { address: "::ffff:192.0.2.1".parse().unwrap(), helo };
        let (text, _) = written(&origin, None, Protocol::Smtp);
        assert_eq!(crate::fields(text.as_bytes()).count(), 2, "{text}");
        assert!(text.is_ascii() && text.contains("([192.0.2.1])"), "{text}");
        assert!(text.lines().all(|line| line.len() < 300), "{text}");
    }
}
