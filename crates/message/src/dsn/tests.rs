//! What a notification looks like, and that nothing from outside can bend it.

use envelope::{Detail, Enhanced};
use mail_parser::{Message, MessageParser};
use proptest::prelude::*;

use super::*;

const CONTENT: &[u8] = b"Received: from x\r\nSubject: =?utf-8?Q?K=C3=A4se?=\r\n\
    Message-ID: <1@x.test>\r\n\r\nHello\r\n";

fn address(text: &str) -> Address {
    text.parse().unwrap()
}

fn report<'a>(
    kind: Kind,
    to: &'a Address,
    recipients: &'a [RecipientReport<'a>],
    content: &'a [u8],
) -> Report<'a> {
    Report {
        kind,
        hostname: "mail.example.org",
        id: QueueId::new(0),
        to,
        envid: Some("job 7"),
        arrival: Date::utc(1_795_235_750),
        date: Date { seconds: 1_795_667_750, offset: 3600 },
        random: 0x1234_5678_9abc_def0,
        recipients,
        original: Original { content, whole: true, ret: None, smtputf8: false },
    }
}

fn recipient<'a>(address: &'a Address, action: Action, status: &'a Status) -> RecipientReport<'a> {
    RecipientReport {
        address,
        original: None,
        action,
        status,
        last_attempt: None,
        retry_until: None,
    }
}

fn shown(built: &Built) -> String {
    str::from_utf8(&built.content).unwrap().replace("\r\n", "\n")
}

#[test]
fn failure() {
    let (to, bob, eve) = (address("alice@x.test"), address("bob@y.test"), address("eve@z.test"));
    let original =
        OriginalRecipient { kind: "rfc822".to_owned(), address: "bobby@y.test".to_owned() };
    let refused =
        Detail::reply("mx.y.test", 550, Enhanced::BAD_MAILBOX, "5.1.1 <bob@y.test>:\nno such user");
    let refused = Status::Failed(refused);
    let late =
        Status::Failed(Detail::ours(Enhanced::EXPIRED, "no answer from mx.z.test for 5 days"));
    let recipients = [
        RecipientReport {
            original: Some(&original),
            last_attempt: Some(Date::utc(1_795_667_000)),
            ..recipient(&bob, Action::Failed, &refused)
        },
        recipient(&eve, Action::Failed, &late),
    ];
    let built = report(Kind::Failure, &to, &recipients, CONTENT).build();
    assert_eq!((built.body, built.smtputf8), (Body::SevenBit, false));
    insta::assert_snapshot!(shown(&built));
}

#[test]
fn delay() {
    let (to, bob) = (address("alice@x.test"), address("bob@y.test"));
    let status =
        Status::Deferred(Detail::ours(Enhanced::NO_ANSWER, "connection to mx.y.test timed out"));
    let recipients = [RecipientReport {
        retry_until: Some(Date::utc(1_795_667_750)),
        ..recipient(&bob, Action::Delayed, &status)
    }];
    insta::assert_snapshot!(shown(&report(Kind::Delay, &to, &recipients, CONTENT).build()));
}

#[test]
fn success() {
    let (to, bob, list) = (address("alice@x.test"), address("bob@y.test"), address("list@z.test"));
    let relayed =
        Status::Delivered(Detail::reply("mx.y.test", 250, Enhanced::UNDEFINED, "2.0.0 ok"));
    let done = Status::Delivered(Detail::ours(Enhanced::UNDEFINED, ""));
    let recipients = [
        recipient(&bob, Action::Relayed, &relayed),
        recipient(&list, Action::Expanded, &done),
        recipient(&to, Action::Delivered, &done),
    ];
    insta::assert_snapshot!(shown(&report(Kind::Success, &to, &recipients, CONTENT).build()));
}

#[test]
fn beyond_ascii() {
    let content = "Subject: Grüße\r\n\r\nHallo Welt, schöne Grüße\r\n".as_bytes();
    let (to, bob) = (address("jörg@bücher.example"), address("zoë+x@y.test"));
    let status =
        Status::Failed(Detail::reply("mx.y.test", 550, Enhanced::BAD_MAILBOX, "kein Käse"));
    let recipients = [recipient(&bob, Action::Failed, &status)];
    let mut report = report(Kind::Failure, &to, &recipients, content);
    report.original.smtputf8 = true;
    let built = report.build();
    assert_eq!((built.body, built.smtputf8), (Body::EightBitMime, true));
    insta::assert_snapshot!(shown(&built));

    let to = address("joerg@x.test");
    let built = Report { to: &to, ..report }.build();
    assert_eq!((built.body, built.smtputf8), (Body::EightBitMime, false));
    let text = shown(&built);
    assert!(text.contains("Content-Type: message/delivery-status\n"), "{text}");
    assert!(text.contains("Final-Recipient: utf-8; zo\\x{EB}\\x{2B}x@y.test\n"), "{text}");
    assert!(text.contains("Diagnostic-Code: smtp; 550 kein K\\x{E4}se\n"), "{text}");
    assert!(text.contains("Content-Type: message/global\n"), "{text}");
}

#[test]
fn the_subject_names_who_and_an_id_is_told_only_where_there_was_one() {
    let (to, bob) = (address("alice@x.test"), address("bob@y.test"));
    let status = Status::Failed(Detail::ours(Enhanced::BAD_MAILBOX, "User unknown"));
    let recipients = [(); 4].map(|()| recipient(&bob, Action::Failed, &status));
    let text = |recipients: &[RecipientReport<'_>], id| {
        let report = Report { id, ..report(Kind::Failure, &to, recipients, CONTENT) };
        shown(&report.build())
    };
    let subjects = [
        "Your message to bob@y.test could not be delivered",
        "Your message to bob@y.test and another recipient could not be delivered",
        "Your message to bob@y.test and 2 others could not be delivered",
    ];
    for (count, subject) in (1..).zip(subjects) {
        let built = report(Kind::Failure, &to, &recipients[..count], CONTENT).build();
        let message = MessageParser::new().parse(&built.content).unwrap();
        assert_eq!(message.subject(), Some(subject));
    }
    let unqueued = text(&recipients, None);
    assert!(!unqueued.contains("Queue-Id") && !unqueued.contains("Our id"), "{unqueued}");
    let queued = text(&recipients, QueueId::new(7));
    assert!(queued.contains("Queue-Id: ") && queued.contains("Our id: "), "{queued}");
}

/// The media types of the parts, and the last part's bytes.
fn parts(built: &Built) -> (Vec<String>, Vec<u8>) {
    let message: Message<'_> = MessageParser::new().parse(&built.content).unwrap();
    let children: Vec<_> = message.root_part().children().collect();
    let types = children.iter().map(|part| {
        let content_type = part.content_type().unwrap();
        format!("{}/{}", content_type.ctype(), content_type.subtype().unwrap_or_default())
    });
    (types.collect(), children.last().unwrap().raw_body().to_vec())
}

#[test]
fn a_guessed_boundary_ends_no_part() {
    let (to, bob) = (address("alice@x.test"), address("bob@y.test"));
    let status = Status::Failed(Detail::ours(Enhanced::BAD_MAILBOX, "User unknown"));
    let recipients = [recipient(&bob, Action::Failed, &status)];
    let guesses = "--=_123456789abcdef0\r\n--=_123456789abcdef1\r\n--=_123456789abcdef0--\r\n";
    let content = format!("Subject: x\r\n\r\n{guesses}Content-Type: text/html\r\n\r\nx\r\n");
    let built = report(Kind::Failure, &to, &recipients, content.as_bytes()).build();
    let (types, returned) = parts(&built);
    assert_eq!(types.len(), 3, "{types:?}");
    assert_eq!(returned, content.as_bytes());
}

#[test]
fn only_whole_and_small_and_clean_messages_go_back_whole() {
    let (to, bob) = (address("alice@x.test"), address("bob@y.test"));
    let status = Status::Failed(Detail::ours(Enhanced::EXPIRED, "late"));
    let recipients = [recipient(&bob, Action::Failed, &status)];
    let whole = report(Kind::Failure, &to, &recipients, CONTENT);
    let last_type = |report: &Report<'_>| parts(&report.build()).0.pop().unwrap();
    assert_eq!(last_type(&whole), "message/rfc822");

    let header_only = |original: Original<'_>, kind: Kind| {
        let built = Report { original, kind, ..whole.clone() }.build();
        assert_eq!(parts(&built).0.last().unwrap(), "text/rfc822-headers");
        parts(&built).1
    };
    let header = &CONTENT[..CONTENT.len() - "\r\nHello\r\n".len()];
    let trimmed = |bytes: Vec<u8>| bytes.trim_ascii_end().to_vec();
    let ret = Some(Return::Headers);
    assert_eq!(
        trimmed(header_only(Original { ret, ..whole.original }, Kind::Failure)),
        header.trim_ascii_end()
    );
    assert_eq!(
        trimmed(header_only(Original { whole: false, ..whole.original }, Kind::Failure)),
        header.trim_ascii_end()
    );
    assert_eq!(trimmed(header_only(whole.original, Kind::Delay)), header.trim_ascii_end());

    let long = [CONTENT, b"x".repeat(999).as_slice(), b"\r\n"].concat();
    header_only(Original { content: &long, ..whole.original }, Kind::Failure);
    let cut = b"A: b\r\nC: d\0\r\nE: f\r\nG: cut he";
    assert_eq!(
        trimmed(header_only(Original { content: cut, ..whole.original }, Kind::Failure)),
        b"A: b\r\nE: f"
    );
}

fn outside() -> impl Strategy<Value = String> {
    prop_oneof![
        "\\PC{0,40}",
        "[a-z\r\n\t :\u{e4}\u{202e}\0.-]{0,60}",
        Just("x\r\nBcc: all@x.test\r\n\r\n--=_123456789abcdef0--\r\n".to_owned()),
        Just("w".repeat(1500)),
        Just("ü".repeat(700)),
    ]
}

proptest! {
    /// Whatever the other side, the author and the message say: the same fields, the same parts,
    /// lines that SMTP carries.
    #[test]
    fn nothing_from_outside_bends_it(
        (text, remote, envid, orcpt, kind) in (outside(), outside(), outside(), outside(), outside()),
        content in prop::collection::vec(any::<u8>(), 0..200),
        subject in outside(),
        whole in any::<bool>(),
        smtputf8 in any::<bool>(),
        code in prop::option::of(200_u16..600),
    ) {
        let (to, bob) = (address("alice@x.test"), address("bob@y.test"));
        let detail = Detail { enhanced: Enhanced(1, 1), code, text, remote: Some(remote) };
        let status = Status::Failed(detail);
        let original = OriginalRecipient { kind, address: orcpt };
        let recipients =
            [RecipientReport { original: Some(&original), ..recipient(&bob, Action::Failed, &status) }];
        let content = [b"Subject: ", subject.as_bytes(), b"\r\n", &content].concat();
        let mut report = report(Kind::Failure, &to, &recipients, &content);
        report.envid = Some(&envid);
        report.original = Original { content: &content, whole, ret: None, smtputf8 };
        let built = report.build();

        prop_assert!(built.content.ends_with(b"\r\n"));
        for line in built.content.split_inclusive(|&byte| byte == b'\n') {
            prop_assert!(line.ends_with(b"\r\n") && line.len() <= 1000);
            prop_assert!(!line[..line.len() - 2].iter().any(|byte| matches!(byte, 0 | b'\r')));
        }
        prop_assert_eq!(built.content.is_ascii(), built.body == Body::SevenBit);
        let header = &built.content[..crate::end_of_header(&built.content)];
        prop_assert!(header.is_ascii());
        let names: Vec<_> = crate::fields(header).map(|field| field.name.to_owned()).collect();
        let wanted = ["From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted",
            "MIME-Version", "Content-Type", "Content-Transfer-Encoding"];
        prop_assert_eq!(names, wanted);

        let message = MessageParser::new().parse(&built.content).unwrap();
        let children: Vec<_> = message.root_part().children().collect();
        prop_assert_eq!(children.len(), 3);
        let status = children[1].raw_body();
        prop_assert!(status.is_ascii());
        let (first, second) = status.split_at(crate::end_of_header(status));
        prop_assert_eq!(crate::fields(first).count(), 4);
        prop_assert_eq!(crate::count(&second[2..], "Status"), 1);
        prop_assert!(crate::fields(&second[2..]).count() <= 6);
    }
}
