//! What dialogue files cannot show: replies out of turn, and what is kept of them.

use envelope::{Body, OriginalRecipient, Recipient, ReversePath, Status};

use super::*;

fn recipient() -> Recipient {
    Recipient::plain("b@there.test".parse().unwrap())
}

fn mail(recipients: &[Recipient]) -> Mail<'_> {
    Mail {
        reverse_path: &ReversePath::NULL,
        recipients,
        body: Body::SevenBit,
        utf8_headers: false,
        ret: None,
        envid: None,
        size: 0,
    }
}

fn greeted() -> Session {
    let mut session = Session::new("here.test", "there.test");
    session.receive(b"220 there.test\r\n");
    assert_eq!(session.outgoing(), b"EHLO here.test\r\n");
    session.receive(b"250-there.test\r\n250-DSN\r\n250 PIPELINING\r\n");
    assert!(session.is_ready());
    session
}

fn only_status(step: Step) -> Status {
    let Step::Ended(Ended::Decided(answers)) = step else { panic!("{step:?}") };
    let [answer] = answers.try_into().unwrap();
    answer.status
}

#[test]
fn a_reply_before_its_command_delivers_nothing() {
    let mut session = greeted();
    session.begin(&mail(&[recipient()]));
    session.receive(b"250 ok\r\n250 ok\r\n354 go on\r\n250 taken already\r\n");
    assert_eq!(only_status(session.step()).code(), "4.5.0");
    assert!(!session.is_ready());
}

#[test]
fn words_unasked_end_a_kept_connection() {
    let mut session = greeted();
    session.receive(b"421 4.4.2 idle for too long\r\n");
    assert!(!session.is_ready());
    session.begin(&mail(&[recipient()]));
    assert!(matches!(session.step(), Step::Ended(Ended::Undecided(_))));
    assert_eq!(session.step(), Step::Closed);
}

#[test]
fn an_envelope_cannot_carry_commands() {
    let mut session = greeted();
    let kind = "x\r\nRSET".to_owned();
    let orcpt = Some(OriginalRecipient { kind, address: String::new() });
    session.begin(&mail(&[Recipient { orcpt, ..recipient() }]));
    assert_eq!(only_status(session.step()).code(), "4.3.0");
    assert_eq!(session.outgoing(), b"");
    assert!(session.is_ready());
}

#[test]
fn a_reply_is_kept_as_it_came() {
    let mut session = greeted();
    session.begin(&mail(&[recipient()]));
    session.receive(b"250 ok\r\n550-5.7.1 Go\r\n550 5.7.1  away \r\n503 no\r\n");
    let Status::Failed(detail) = only_status(session.step()) else { panic!("not failed") };
    let expected = Detail::reply("there.test", 550, Enhanced(7, 1), "5.7.1 Go\n5.7.1  away ");
    assert_eq!(detail, expected);
}
