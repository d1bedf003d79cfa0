use std::io;

use envelope::{Detail, Enhanced, QueueId, ReversePath};
use ipc::admin::{Message, Recipient, State};
use jiff::tz::TimeZone;

use super::*;

const MICROS: u64 = 1_795_235_750_000_000;
pub(crate) const NOW: i64 = 1_795_235_900;

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

/// A deferred message, one under way, a held bounce with a UTF-8 recipient, the same with a reason, and
/// one that waits for a busy machine.
pub(crate) fn messages() -> Vec<Message> {
    let id = |number: u64| QueueId::new((MICROS + number) * 256).unwrap();
    let base = Message {
        id: id(0),
        reverse_path: ReversePath(Some("a@example.org".parse().unwrap())),
        arrival: 1_795_235_750,
        size: 1024,
        eight_bit: true,
        next_attempt: Some(1_795_236_050),
        state: State::Waiting,
        priority: 61_024,
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
    let overload =
        Message { id: id(4), state: State::Overload, next_attempt: None, ..base.clone() };
    vec![base, active, held, quarantined, overload]
}

/// What is written.
pub(crate) fn text(write: impl FnOnce(&mut Vec<u8>) -> io::Result<()>) -> String {
    let mut out = Vec::new();
    write(&mut out).unwrap();
    String::from_utf8(out).unwrap()
}

fn sendmail(detailed: Detailed, messages: &[Message], out: &mut Vec<u8>) -> io::Result<()> {
    let mut listing = Sendmail::new(detailed, TimeZone::UTC);
    listing.begin(messages.len() as u64, out)?;
    messages.iter().try_for_each(|message| listing.message(message, out))?;
    listing.end(out)
}

fn postfix(messages: &[Message], out: &mut Vec<u8>) -> io::Result<()> {
    let mut listing = Postfix::new(TimeZone::UTC);
    messages.iter().try_for_each(|message| listing.message(message, out))?;
    listing.end(out)
}

/// sendmail-compat §5.7, byte by byte: no message, one, two of which one is under way, held ones, and
/// one that waits for the load to fall.
#[test]
fn listings_of_the_queue() {
    type Listing = fn(&[Message], &mut Vec<u8>) -> io::Result<()>;
    let listings: [(&str, Listing); 6] = [
        ("sendmail", |messages, out| sendmail(Detailed::No, messages, out)),
        ("sendmail_verbose", |messages, out| sendmail(Detailed::Yes, messages, out)),
        ("postfix", postfix),
        ("postqueue", |messages, out| {
            messages.iter().try_for_each(|message| json_line(&postqueue(message), out))
        }),
        ("pennypost_json", |messages, out| {
            messages.iter().try_for_each(|message| json_line(&json_message(message), out))
        }),
        ("show", |messages, out| {
            messages.iter().try_for_each(|message| show(message, &TimeZone::UTC, NOW, out))
        }),
    ];
    let messages = messages();
    for (name, listing) in listings {
        let shown = [0, 1, 2, 5].map(|count| {
            format!("-- {count} --\n{}", text(|out| listing(&messages[..count], out)))
        });
        insta::assert_snapshot!(name, shown.concat());
    }
}

#[test]
fn ages() {
    let ages = [-5, 0, 59, 60, 3599, 3600, 86_400 + 3600].map(age);
    assert_eq!(ages, ["0s", "0s", "59s", "1m 0s", "59m 59s", "1h 0m", "1d 1h"]);
}
