//! A client that says anything gets replies that are lines, and hands over messages only when it
//! was allowed to, clean and whole.

#![no_main]

use std::sync::Arc;
use std::time::Instant;

use envelope::{Disposition, Enhanced};
use libfuzzer_sys::fuzz_target;
use smtp::Reply;
use smtp::server::{Peer, Session, Settings, Step, Unqualified};

/// More than any input needs: each step but the last consumes or answers something.
const MAX_STEPS: usize = 100_000;

fuzz_target!(|input: (u8, bool, &[u8])| {
    let (cut, user, bytes) = input;
    let settings = Settings {
        hostname: "mail.test".to_owned(),
        message_size: 1000,
        recipients: 5,
        commands_in_error: 10,
        hops: 3,
        unqualified: if user { Unqualified::Ours } else { Unqualified::Refused },
    };
    let peer = if user {
        Peer::User { uid: 1000, name: "alice".to_owned() }
    } else {
        Peer::Network([192, 0, 2, 1].into())
    };
    let now = Instant::now();
    let mut session = Session::new(Arc::new(settings), peer, now);
    session.greet(false);
    let mut watch = Watch::default();
    let mut waiting = Vec::new();
    for piece in bytes.chunks(usize::from(cut) + 1) {
        waiting.extend_from_slice(piece);
        let mut input = &waiting[..];
        if !run(&mut session, &mut input, now, &mut watch) {
            return;
        }
        waiting = input.to_vec();
        assert!(waiting.len() <= 4096, "a line without an end is kept");
    }
});

/// What was handed over of the message under way.
#[derive(Default)]
struct Watch {
    accepted: usize,
    content: Vec<u8>,
    steps: usize,
}

/// Goes on until more input is needed; `false`: the session is over.
fn run(session: &mut Session, input: &mut &[u8], now: Instant, watch: &mut Watch) -> bool {
    loop {
        watch.steps += 1;
        assert!(watch.steps < MAX_STEPS, "no progress");
        let step = session.step(input, now);
        let output = std::mem::take(session.output());
        assert!(output.is_empty() || output.ends_with(b"\r\n"));
        for line in output.split_inclusive(|&byte| byte == b'\n') {
            let text = line.strip_suffix(b"\r\n").expect("a reply line ends with CRLF");
            assert!(text.len() <= 510 && !text.iter().any(u8::is_ascii_control));
            assert!(text.iter().take(3).all(u8::is_ascii_digit));
        }
        match step {
            Step::Read => return true,
            Step::Close(_) => return false,
            Step::Check(question) => {
                assert!(!question.recipients.is_empty());
                let verdicts: Vec<_> = question
                    .recipients
                    .iter()
                    .map(|address| match address.local().starts_with('x') {
                        true => Err(Reply::new(550, Enhanced(1, 1), "No such user")),
                        false => Ok(Disposition::Deliver),
                    })
                    .collect();
                watch.accepted += verdicts.iter().filter(|verdict| verdict.is_ok()).count();
                session.verdicts(verdicts);
            }
            Step::Piece(piece) => watch.content.extend(piece),
            Step::Submit(message) => {
                let recipients = message.opening.envelope.recipients.len();
                assert!((1..=watch.accepted.min(5)).contains(&recipients));
                watch.content.extend(&message.content);
                clean(&watch.content);
                assert_eq!(message.size, watch.content.len() as u64);
                *watch = Watch { steps: watch.steps, ..Watch::default() };
                session.submitted(Reply::new(250, Enhanced::UNDEFINED, "Queued"));
            }
        }
        if !session.in_content() {
            watch.content.clear();
        }
    }
}

/// Lines that end with CRLF, and no other CR or LF.
fn clean(content: &[u8]) {
    assert!(content.len() <= 1000 && !content.contains(&0));
    for line in content.split_inclusive(|&byte| byte == b'\n') {
        let text = line.strip_suffix(b"\r\n").expect("a line ends with CRLF");
        assert!(!text.contains(&b'\r'));
    }
}
