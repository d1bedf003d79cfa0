//! What dialogue files cannot show: replies out of turn, and what is kept of them.

use envelope::{Aliasing, Body, OriginalRecipient, Recipient, ReversePath, Status, Submission};

use proptest::prelude::*;

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
        submission: None,
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

/// While we write a long group of commands, a host may talk without end.
#[test]
fn a_flood_without_a_question_is_not_kept() {
    let mut session = greeted();
    session.begin(&mail(&[recipient()]));
    session.receive(b"550 no\r\n");
    for _ in 0..1000 {
        session.receive(&b"550 no\r\n".repeat(500));
    }
    assert!(session.replies.is_empty());
    assert_eq!(only_status(session.step()).code(), "5.0.0");
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

/// Plays the lines of a host against at most two transactions. How each ended, and whether the last
/// line heard was a 2xx to the content.
fn play(lines: &[&str]) -> (Vec<Ended>, bool) {
    let mut session = Session::new("here.test", "there.test");
    let recipients = [recipient(), recipient()];
    let (mut ends, mut lines, mut confirmed) = (Vec::new(), lines.iter(), false);
    loop {
        match session.step() {
            Step::Reply(phase) => {
                let _written = session.outgoing();
                let line = lines.next();
                confirmed = phase == Phase::FinalDot
                    && line.is_some_and(|l| l.starts_with('2') && !l.contains('-'));
                match line {
                    Some(line) => session.receive(format!("{line}\r\n").as_bytes()),
                    None => session.lost("broken"),
                }
            }
            Step::Content => session.content_sent(),
            Step::Ready if ends.len() < 2 => session.begin(&mail(&recipients)),
            Step::Ended(end) => ends.push(end),
            Step::Ready | Step::Closed => return (ends, confirmed),
        }
    }
}

proptest! {
    #[test]
    fn only_a_confirmed_message_is_delivered(
        changes in prop::collection::vec((0_usize..10, prop::sample::select(vec![
            "220 there.test", "250 ok", "250-more", "354 go on", "421 bye", "450 later",
            "550 5.1.1 no", "552 too many", "junk", "",
        ])), 0..4),
        pipelining in any::<bool>(),
        length in 0_usize..13,
    ) {
        let hello = if pipelining { "250-there.test\r\n250 PIPELINING" } else { "250 there.test" };
        let mut said = ["250 ok", "250 ok", "250 ok", "354 go on", "250 ok"].repeat(2);
        for (at, line) in changes {
            said[at] = line;
        }
        let all = [&["220 there.test", hello][..], &said].concat();
        let lines = &all[..length.min(all.len())];
        let (ends, confirmed) = play(lines);
        prop_assert!(!ends.is_empty());
        let Some(Ended::Decided(answers)) = ends.last() else { return Ok(()) };
        prop_assert_eq!(answers.len(), 2);
        let delivered = answers.iter().any(|a| matches!(a.status, Status::Delivered(_)));
        prop_assert!(!delivered || confirmed, "{lines:?}: {answers:?}");
    }
}

/// Only a daemon of this machine offers to hear it.
#[test]
fn more_of_a_submission_is_said_only_where_it_is_offered() {
    let said = Submission { aliasing: Aliasing::Skipped, ..Submission::default() };
    let recipients = [recipient()];
    let mail = Mail { submission: Some(&said), ..mail(&recipients) };
    for (offer, expected) in
        [("250 XSUBMIT", "MAIL FROM:<> XNOALIASES\r\n"), ("250 HELP", "MAIL FROM:<>\r\n")]
    {
        let mut session = Session::new("here.test", "there.test");
        session.receive(b"220 there.test\r\n");
        let _ = session.outgoing();
        session.receive(format!("250-there.test\r\n{offer}\r\n").as_bytes());
        session.begin(&mail);
        assert_eq!(String::from_utf8(session.outgoing()).unwrap(), expected);
    }
}
