use std::convert::Infallible;
use std::io::Write as _;

use bytes::Bytes;
use envelope::{QueueId, Recipient};
use message::MAX_HEADER;
use routing::{Masquerade, Settings};
use tables::{Reader, Source};

use super::*;
use crate::content::PIECE;

/// Tables by name.
struct Tables<'a>(&'a [(&'a str, &'a str)]);

impl Source for Tables<'_> {
    type Error = Infallible;

    fn table<T: Default>(&self, name: &str, read: Reader<T>) -> Result<T, Infallible> {
        let table = self.0.iter().find(|(table, _)| *table == name);
        let text = table.map_or("", |(_, text)| *text);
        Ok(read(name, &mut text.as_bytes()).unwrap().table)
    }
}

/// At `in.test`.
pub(crate) fn border(tables: &[(&str, &str)], name: Option<&str>) -> Border {
    let settings = Settings { hostname: "in.test".into(), ..Settings::default() };
    let name = name.map(str::to_owned);
    let masquerade = Masquerade { name, envelope: true, ..Masquerade::default() };
    let Ok(border) = routing::Border::read(settings, masquerade, &Tables(tables));
    Border::new(border)
}

fn attempt(size: usize) -> Attempt {
    Attempt {
        id: QueueId::new(1).unwrap(),
        reverse_path: ReversePath("alice@in.test".parse().ok()),
        recipients: vec![Recipient::plain("bob@far.test".parse().unwrap())],
        destination: Destination::Remote(NextHop::parse("far.test").unwrap()),
        body: Body::SevenBit,
        smtputf8: false,
        ret: None,
        envid: None,
        size: size as u64,
        arrival: 0,
        watched: false,
        priority: 30_000,
        histories: Vec::new(),
    }
}

fn whole(content: &Content) -> Vec<u8> {
    let mut all = Vec::new();
    loop {
        let piece = content.piece(all.len() as u64).unwrap();
        if piece.is_empty() {
            return all;
        }
        all.extend_from_slice(&piece);
    }
}

/// The attempt and the content as they leave, the same wherever the content is.
fn crossed(border: &Border, text: &[u8]) -> (Attempt, Vec<u8>) {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(text).unwrap();
    let inline = Content::new(Bytes::copy_from_slice(text), None, 0);
    let spooled = Content::new(Bytes::new(), Some(file.into()), text.len() as u64);
    let [inline, spooled] = [inline, spooled].map(|content| {
        let mut attempt = attempt(text.len());
        let content = border.cross(&mut attempt, content).unwrap();
        let text = whole(&content);
        assert_eq!(attempt.size, text.len() as u64);
        (attempt, text)
    });
    assert_eq!(inline, spooled);
    inline
}

#[test]
fn header_and_reverse_path_get_their_names() {
    let border = border(&[], Some("out.test"));
    let body = "From: alice@in.test\r\n".repeat(PIECE / 10);
    for body in ["", "\r\n", "\r\nFrom: alice@in.test\r\n", &format!("\r\n{body}")] {
        let text = format!("Received: x\r\nFrom: A <alice@in.test>\r\nTo: b\r\nX: y\r\n{body}");
        let (attempt, content) = crossed(&border, text.as_bytes());
        let expected =
            format!("Received: x\r\nFrom: A <alice@out.test>\r\nTo: b@in.test\r\nX: y\r\n{body}");
        assert_eq!(String::from_utf8(content).unwrap(), expected);
        assert_eq!(attempt.reverse_path.to_string(), "alice@out.test");
        assert!(!attempt.smtputf8);
    }
}

#[test]
fn where_nothing_is_said_nothing_is_looked_at() {
    let border = border(&[], None);
    assert!(border.0.is_none());
    let (attempt, content) = crossed(&border, b"From: alice\r\n\r\n");
    assert_eq!(content, b"From: alice\r\n\r\n");
    assert_eq!(attempt.reverse_path.to_string(), "alice@in.test");
}

#[test]
fn a_name_beyond_ascii_needs_a_host_that_takes_it() {
    let tables = [("genericstable", "alice j\u{f6}rg@out.test"), ("generics-domains", "in.test")];
    let (attempt, content) = crossed(&border(&tables, None), b"From: alice@in.test\r\n\r\nx");
    assert_eq!(String::from_utf8(content).unwrap(), "From: j\u{f6}rg@out.test\r\n\r\nx");
    assert!(attempt.smtputf8 && attempt.body == Body::EightBitMime);
}

#[test]
fn a_mailbox_here_by_lmtp_is_no_other_system() {
    let border = border(&[], Some("out.test"));
    let mut lmtp = attempt(0);
    lmtp.destination = Destination::Remote(NextHop {
        protocol: Protocol::Lmtp,
        ..NextHop::parse("[::1]:24").unwrap()
    });
    let content = Content::new(Bytes::from_static(b"From: a@in.test\r\n"), None, 0);
    assert_eq!(whole(&border.cross(&mut lmtp, content).unwrap()), b"From: a@in.test\r\n");
}

#[test]
fn of_an_endless_header_only_the_beginning_is_held() {
    let field = format!("X: {}\r\n", "x".repeat(1000));
    let many = field.repeat(MAX_HEADER / field.len() + 10);
    let text = format!("From: a@in.test\r\n{many}Sender: b@in.test\r\n\r\nbody");
    let (_, content) = crossed(&border(&[], Some("out.test")), text.as_bytes());
    let expected = format!("From: a@out.test\r\n{many}Sender: b@in.test\r\n\r\nbody");
    assert!(content == expected.as_bytes());
    // A field that does not fit whole stays.
    let text =
        format!("From: a@in.test,\r\n {}z@in.test\r\n\r\n", "b@in.test, ".repeat(MAX_HEADER / 10));
    let (_, content) = crossed(&border(&[], Some("out.test")), text.as_bytes());
    assert!(content == text.as_bytes());
}
