use envelope::{Detail, Enhanced, QueueId, ReversePath};
use ipc::admin::{Message, Recipient, State};
use jiff::tz::TimeZone;

use super::*;

const MICROS: u64 = 1_795_235_750_000_000;

fn recipient(address: &str, last: Option<Status>) -> Recipient {
    let attempts = u32::from(last.is_some());
    Recipient {
        address: address.parse().unwrap(),
        attempts,
        last_time: last.as_ref().map(|_| 1_795_235_800),
        last,
        route: "mx example.net".to_owned(),
    }
}

fn refused() -> Status {
    Status::Deferred(Detail::reply(
        "mx.example.net",
        451,
        Enhanced(7, 1),
        "4.7.1 Greylisted,\nplease \u{1b}try again",
    ))
}

/// A deferred message, one under way, a held bounce with a UTF-8 recipient, the same with a reason.
fn messages() -> Vec<Message> {
    let id = |number: u64| QueueId::new((MICROS + number) * 256).unwrap();
    let base = Message {
        id: id(0),
        reverse_path: ReversePath(Some("a@example.org".parse().unwrap())),
        arrival: 1_795_235_750,
        size: 1024,
        eight_bit: true,
        next_attempt: Some(1_795_236_050),
        state: State::Waiting,
        quarantine: None,
        origin: "user alice".to_owned(),
        recipients: vec![
            recipient("b@example.net", Some(refused())),
            recipient("c@example.net", Some(refused())),
        ],
    };
    let long = format!("{}@example.net", "x".repeat(60));
    let active = Message {
        id: id(1),
        eight_bit: false,
        size: 2_000_000,
        next_attempt: None,
        state: State::Active,
        reverse_path: ReversePath(Some(long.parse().unwrap())),
        recipients: vec![recipient(&long, None)],
        ..base.clone()
    };
    let held = Message {
        id: id(2),
        reverse_path: ReversePath::NULL,
        next_attempt: None,
        state: State::Held,
        eight_bit: false,
        origin: "Pennypost".to_owned(),
        recipients: vec![recipient("dörte@bücher.example", None)],
        ..base.clone()
    };
    let quarantined = Message {
        id: id(3),
        quarantine: Some(format!("suspicious \u{1b}[31m {}", "text ".repeat(20).trim_end())),
        ..held.clone()
    };
    vec![base, active, held, quarantined]
}

fn sendmail(detailed: Detailed, messages: &[Message]) -> String {
    let mut out = Vec::new();
    let mut listing = Sendmail::new(detailed, TimeZone::UTC);
    listing.begin(messages.len() as u64, &mut out).unwrap();
    messages.iter().for_each(|message| listing.message(message, &mut out).unwrap());
    listing.end(&mut out).unwrap();
    String::from_utf8(out).unwrap()
}

fn postfix(messages: &[Message]) -> String {
    let mut out = Vec::new();
    let mut listing = Postfix::new(TimeZone::UTC);
    messages.iter().for_each(|message| listing.message(message, &mut out).unwrap());
    listing.end(&mut out).unwrap();
    String::from_utf8(out).unwrap()
}

/// sendmail-compat §5.7, byte by byte.
#[test]
fn as_sendmail() {
    assert_eq!(sendmail(Detailed::No, &[]), "/var/spool/mqueue is empty\n\t\tTotal requests: 0\n");
    insta::assert_snapshot!("sendmail_one", sendmail(Detailed::No, &messages()[..1]));
    insta::assert_snapshot!("sendmail", sendmail(Detailed::No, &messages()));
    insta::assert_snapshot!("sendmail_verbose", sendmail(Detailed::Yes, &messages()));
}

#[test]
fn as_postfix() {
    assert_eq!(postfix(&[]), "Mail queue is empty\n");
    insta::assert_snapshot!("postfix_one", postfix(&messages()[..1]));
    insta::assert_snapshot!("postfix", postfix(&messages()));
}

#[test]
fn as_json() {
    let lines: Vec<_> = messages().iter().map(|message| postqueue(message).to_string()).collect();
    insta::assert_snapshot!("postqueue", lines.join("\n"));
    let lines: Vec<_> =
        messages().iter().map(|message| json_message(message).to_string()).collect();
    insta::assert_snapshot!("pennypost_json", lines.join("\n"));
}

#[test]
fn one_message() {
    let shown: Vec<_> = messages()
        .iter()
        .map(|message| {
            let mut out = Vec::new();
            show(message, &TimeZone::UTC, 1_795_235_900, &mut out).unwrap();
            String::from_utf8(out).unwrap()
        })
        .collect();
    insta::assert_snapshot!("show", shown.join("\n"));
}

#[test]
fn ages() {
    let ages = [-5, 0, 59, 60, 3599, 3600, 86_400 + 3600].map(age);
    assert_eq!(ages, ["0s", "0s", "59s", "1m 0s", "59m 59s", "1h 0m", "1d 1h"]);
}
