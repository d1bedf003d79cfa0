use std::sync::Arc;
use std::time::{Duration, Instant};

use envelope::{
    Aliasing, Body, Disposition, Enhanced, Extension, Extensions, HeaderCare, Label, Origin,
    Submission,
};
use proptest::prelude::*;

use super::intake::PIECE;
use super::{Ending, Fate, Message, Peer, Protocol, Session, Settings, Step, Unqualified};
use crate::Reply;

/// A session and a policy that accepts everyone.
struct Dialogue {
    session: Session,
    now: Instant,
    pieces: Vec<Vec<u8>>,
    messages: Vec<Message>,
    questions: Vec<usize>,
    ending: Option<Ending>,
}

impl Dialogue {
    fn new(peer: Peer) -> Self {
        let settings = Settings {
            hostname: "mx.test".to_owned(),
            message_size: 1_000_000,
            recipients: 3,
            commands_in_error: 3,
            hops: 2,
            unqualified: Unqualified::Refused,
        };
        let now = Instant::now();
        let mut session = Session::new(Arc::new(settings), peer, now);
        session.greet(false);
        // As the driver does: what the client has from now on is its time.
        assert!(matches!(session.step(&mut &b""[..], now), Step::Read));
        session.output().clear();
        let (pieces, messages, questions) = (Vec::new(), Vec::new(), Vec::new());
        Self { session, now, pieces, messages, questions, ending: None }
    }

    fn network() -> Self {
        Self::new(Peer::Network("192.0.2.1".parse().unwrap()))
    }

    /// The codes of the replies to `input`.
    fn say(&mut self, input: &[u8]) -> Vec<u16> {
        self.say_some(input).0
    }

    /// The same, and the input that waits for more.
    fn say_some(&mut self, input: &[u8]) -> (Vec<u16>, Vec<u8>) {
        let mut rest = input;
        loop {
            match self.session.step(&mut rest, self.now) {
                Step::Read => break,
                Step::Check(question) => {
                    self.questions.push(question.recipients.len());
                    self.session
                        .verdicts(question.recipients.iter().map(|_| Ok(Disposition::Deliver)));
                }
                Step::Piece(piece) => self.pieces.push(piece),
                Step::Submit(message) => {
                    self.messages.push(message);
                    self.session.submitted(Reply::new(250, Enhanced::UNDEFINED, "Queued"));
                }
                Step::Close(ending) => {
                    self.ending = Some(ending);
                    break;
                }
            }
        }
        let output = String::from_utf8(std::mem::take(self.session.output())).unwrap();
        let last = output.lines().filter_map(|line| line.split_once(' '));
        (last.filter_map(|(code, _)| code.parse().ok()).collect(), rest.to_vec())
    }

    fn begin(&mut self) {
        assert_eq!(self.say(b"EHLO client.test\r\n"), [250]);
        assert_eq!(self.say(b"MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n"), [250, 250, 354]);
    }
}

#[test]
fn a_group_of_recipients_is_one_question() {
    let mut dialogue = Dialogue::network();
    dialogue.say(b"EHLO client.test\r\n");
    let group = b"MAIL FROM:<a@b>\r\nRCPT TO:<a@b>\r\nRCPT TO:<c@d>\r\nNOOP\r\nRCPT TO:<e@f>\r\n";
    assert_eq!(dialogue.say(group), [250; 5]);
    assert_eq!(dialogue.questions, [2, 1]);
    assert_eq!(dialogue.say(b"RCPT TO:<g@h>\r\n"), [452]);
}

#[test]
fn recipients_without_a_verdict_are_deferred() {
    let mut dialogue = Dialogue::network();
    dialogue.say(b"EHLO client.test\r\n");
    let mut input = &b"MAIL FROM:<a@b>\r\nRCPT TO:<a@b>\r\nRCPT TO:<c@d>\r\n"[..];
    let step = dialogue.session.step(&mut input, dialogue.now);
    assert!(matches!(step, Step::Check(_)));
    dialogue.session.verdicts([Ok(Disposition::Deliver)]);
    assert_eq!(dialogue.say(b""), [250, 250, 451]);
}

#[test]
fn what_becomes_of_a_message_follows_from_all_its_recipients() {
    use Disposition::{Deliver, Discard, Omit, Quarantine};
    let why = |text: &str| Quarantine(text.to_owned());
    let hold = |text: &str| Fate::Hold(text.to_owned());
    for (dispositions, fate, to) in [
        (vec![Deliver, Deliver], Fate::Deliver, 2),
        (vec![Deliver, why("first"), why("second")], hold("first"), 3),
        (vec![why("held"), Discard, why("held")], Fate::Discard, 3),
        (vec![Deliver, Omit], Fate::Deliver, 1),
        (vec![Omit, why("held")], hold("held"), 1),
        (vec![Omit, Omit], Fate::Discard, 0),
    ] {
        let mut dialogue = Dialogue::network();
        dialogue.say(b"EHLO client.test\r\n");
        dialogue.say(b"MAIL FROM:<a@b>\r\n");
        let omitted = dispositions.iter().filter(|it| **it == Omit).count();
        for disposition in dispositions {
            let step = dialogue.session.step(&mut b"RCPT TO:<c@d>\r\n".as_slice(), dialogue.now);
            assert!(matches!(step, Step::Check(_)), "{step:?}");
            dialogue.session.verdicts([Ok(disposition)]);
        }
        assert_eq!(dialogue.say(b"DATA\r\n").last(), Some(&354));
        assert_eq!(dialogue.say(b"x\r\n.\r\n"), [250]);
        let opening = &dialogue.messages[0].opening;
        assert_eq!((&opening.fate, opening.envelope.recipients.len()), (&fate, to));
        assert_eq!(opening.omitted.len(), omitted);
    }
}

#[test]
fn long_content_is_handed_on_in_pieces() {
    let mut dialogue = Dialogue::network();
    dialogue.begin();
    let line = [b"x".repeat(998), b"\r\n".to_vec()].concat();
    for _ in 0..200 {
        assert!(dialogue.say(&line).is_empty());
        assert!(dialogue.session.in_content());
    }
    assert_eq!(dialogue.say(b".\r\nNOOP\r\n"), [250, 250]);
    assert!(!dialogue.session.in_content());
    let last = &dialogue.messages[0];
    assert!(dialogue.pieces.len() >= 2 && dialogue.pieces.iter().all(|p| p.len() == PIECE + 1));
    let pieces = dialogue.pieces.concat();
    assert_eq!([&pieces[..], &last.content].concat(), line.repeat(200));
    assert_eq!(last.size, 200_000);
}

#[test]
fn a_message_of_one_piece_is_handed_on_whole() {
    let mut dialogue = Dialogue::network();
    dialogue.begin();
    let content = "x\r\n".repeat(PIECE / 3);
    assert_eq!(dialogue.say(format!("{content}.\r\n").as_bytes()), [250]);
    assert!(dialogue.pieces.is_empty());
    assert_eq!(dialogue.messages[0].content, content.as_bytes());
}

#[test]
fn content_that_cannot_be_taken_is_thrown_away_and_refused_at_its_end() {
    let mut dialogue = Dialogue::network();
    dialogue.begin();
    dialogue.say(&b"x\r\n".repeat(PIECE));
    dialogue.session.refuse_content(Reply::new(452, Enhanced::SYSTEM_FULL, "full"));
    let before = dialogue.pieces.len();
    dialogue.say(&b"x\r\n".repeat(PIECE));
    assert_eq!(dialogue.pieces.len(), before);
    assert_eq!(dialogue.say(b".\r\n"), [452]);
    assert!(dialogue.messages.is_empty());
}

#[test]
fn the_envelope_tells_what_was_said() {
    let mut dialogue = Dialogue::network();
    dialogue.begin();
    dialogue.say("\u{e4}\r\n.\r\n".as_bytes());
    let opening = &dialogue.messages[0].opening;
    assert_eq!(opening.envelope.body, Body::EightBitMime);
    assert_eq!(opening.protocol, Protocol::Esmtp);
    let address = "192.0.2.1".parse().unwrap();
    let origin = Origin::Client { address, helo: "client.test".to_owned() };
    assert_eq!(opening.envelope.origin, origin);
    assert_eq!(opening.envelope.recipients.len(), 1);
}

#[test]
fn a_dripping_client_has_five_minutes_for_a_command() {
    let mut dialogue = Dialogue::network();
    let start = dialogue.now;
    for seconds in 1..300 {
        dialogue.now = start + Duration::from_secs(seconds);
        dialogue.say(b"x");
    }
    assert_eq!(dialogue.session.deadline(), start + Duration::from_secs(300));
    dialogue.session.time_out();
    assert_eq!(dialogue.say(b""), [421]);
    assert_eq!(dialogue.ending, Some(Ending::Forced));
}

#[test]
fn content_may_take_as_long_as_its_size_grants() {
    let mut dialogue = Dialogue::network();
    dialogue.begin();
    let start = dialogue.now;
    let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
    assert_eq!(dialogue.session.deadline(), start + minutes(5));
    for minute in 1..=8 {
        dialogue.now = start + minutes(minute);
        dialogue.say(b"x");
    }
    assert_eq!(dialogue.session.deadline(), start + minutes(10));
    dialogue.say(&b"x".repeat(500 * 60));
    assert_eq!(dialogue.session.deadline(), start + minutes(11));
}

#[test]
fn commands_without_a_message_have_an_hour_and_in_a_crowd_a_minute() {
    let mut dialogue = Dialogue::network();
    let (start, minutes) = (dialogue.now, |minutes: u64| Duration::from_secs(60 * minutes));
    assert_eq!(dialogue.session.deadline_in_a_crowd(), start + minutes(1));
    for _ in 0..14 {
        dialogue.now += minutes(4);
        assert_eq!(dialogue.say(b"NOOP\r\n"), [250]);
    }
    assert_eq!(dialogue.session.deadline(), start + minutes(60));
    assert_eq!(dialogue.session.deadline_in_a_crowd(), start + minutes(1));
    dialogue.begin();
    assert_eq!(dialogue.say(b"x\r\n.\r\n"), [250]);
    let accepted = dialogue.now;
    assert_eq!(dialogue.session.deadline(), accepted + minutes(5));
    assert_eq!(dialogue.session.deadline_in_a_crowd(), accepted + minutes(1));
    dialogue.session.make_room();
    assert_eq!(dialogue.say(b""), [421]);
    assert_eq!(dialogue.ending, Some(Ending::Forced));
}

#[test]
fn content_grants_time_in_a_crowd_too() {
    let mut dialogue = Dialogue::network();
    let start = dialogue.now;
    dialogue.begin();
    dialogue.say(&b"x\r\n".repeat(20_000));
    let granted = dialogue.session.deadline_in_a_crowd() - start;
    assert_eq!(granted.as_secs(), 60 + 60_000 / 500);
}

#[test]
fn draining_lets_a_transaction_end() {
    let mut dialogue = Dialogue::network();
    dialogue.begin();
    dialogue.session.drain();
    assert_eq!(dialogue.say(b"x\r\n"), []);
    assert_eq!(dialogue.say(b".\r\n"), [250, 421]);
    assert_eq!(dialogue.messages.len(), 1);
}

#[test]
fn users_of_this_machine_may_send_ahead() {
    let script = b"EHLO x\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\nx\r\n.\r\nQUIT\r\n";
    let mut user = Dialogue::new(Peer::User { uid: 1000, name: "alice".to_owned() });
    assert_eq!(user.say(script), [250, 250, 250, 354, 250, 221]);
    assert_eq!(user.ending, Some(Ending::Agreed));
    let mut client = Dialogue::network();
    assert_eq!(client.say(script), [554]);
    assert_eq!(client.ending, Some(Ending::Forced));
}

/// Some clients send megabytes in chunks of 8 KiB.
#[test]
fn chunks_are_bounded_by_the_size_of_the_message_only() {
    let mut dialogue = Dialogue::network();
    dialogue.say(b"EHLO client.test\r\n");
    dialogue.say(b"MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n");
    let chunk = [b"BDAT 1000\r\n".to_vec(), b"x".repeat(998), b"\r\n".to_vec()].concat();
    for _ in 0..900 {
        assert_eq!(dialogue.say(&chunk), [250]);
    }
    assert_eq!(dialogue.say(b"BDAT 0 LAST\r\n"), [250]);
    dialogue.say(b"MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n");
    assert_eq!(dialogue.say(&b"BDAT 0\r\n".repeat(300)).last(), Some(&421));
}

#[test]
fn errors_before_a_message_are_forgiven() {
    let mut dialogue = Dialogue::network();
    dialogue.say(b"EHLO client.test\r\n");
    for _ in 0..10 {
        assert_eq!(dialogue.say(b"what\r\nRCPT TO:<a@b>\r\n"), [500, 503]);
        dialogue.say(b"MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n");
        assert_eq!(dialogue.say(b"\r\n.\r\n"), [250]);
    }
    assert_eq!(dialogue.say(&b"what\r\n".repeat(3)), [500, 500, 500, 421]);
}

#[test]
fn endless_recipients_end_the_session() {
    let mut dialogue = Dialogue::network();
    dialogue.say(b"EHLO client.test\r\n");
    dialogue.say(b"MAIL FROM:<a@b>\r\n");
    let crowd = b"RCPT TO:<c@d>\r\n".repeat(1000);
    let replies = dialogue.say(&crowd);
    assert_eq!((replies[2], replies[3], replies.len()), (250, 452, 1000));
    for _ in 0..10 {
        dialogue.say(&crowd);
    }
    assert_eq!(dialogue.ending, Some(Ending::Forced));
}

#[test]
fn addresses_are_bounded_however_many_there_may_be() {
    let mut dialogue = Dialogue::network();
    Arc::make_mut(&mut dialogue.session.settings).recipients = 10_000;
    dialogue.say(b"EHLO client.test\r\n");
    dialogue.say(b"MAIL FROM:<a@b>\r\n");
    let long = format!("RCPT TO:<{}@d> ORCPT=rfc822;{}\r\n", "x".repeat(60), "y".repeat(400));
    let replies: Vec<u16> = (0..700).flat_map(|_| dialogue.say(long.as_bytes())).collect();
    let accepted = replies.iter().take_while(|code| **code == 250).count();
    assert!((550..600).contains(&accepted), "{accepted}");
    assert!(replies[accepted..].iter().all(|code| *code == 452));
}

#[test]
fn endless_excess_ends_the_session() {
    let mut dialogue = Dialogue::network();
    dialogue.begin();
    let block = b"x\r\n".repeat(PIECE);
    let mut replies = Vec::new();
    for _ in 0..200 {
        replies.extend(dialogue.say(&block));
        if dialogue.ending.is_some() {
            break;
        }
    }
    assert_eq!((replies.as_slice(), dialogue.ending), (&[552][..], Some(Ending::Forced)));
}

/// What a client may say, sense or nonsense.
fn words() -> impl Strategy<Value = Vec<u8>> {
    let word = prop::sample::select(vec![
        &b"EHLO x\r\n"[..],
        b"MAIL FROM:<a@b>\r\n",
        b"MAIL FROM:<a@b> BODY=7BIT\r\n",
        b"RCPT TO:<c@d>\r\n",
        b"RCPT TO:<>\r\n",
        b"DATA\r\n",
        b"BDAT 4\r\n",
        b"BDAT 7 LAST\r\n",
        b"RSET\r\n",
        b"QUIT\r\n",
        b"x\r\n",
        b"..\r\n",
        b"Received: x\r\n",
        b".\r\n",
        b"\xe4\0",
        b"\r",
        b"\n",
    ]);
    let start = Just(b"EHLO x\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n".to_vec());
    let rest = prop::collection::vec(word, 0..20).prop_map(|words| words.concat());
    (start, rest).prop_map(|(start, rest)| [start, rest].concat())
}

proptest! {
    #[test]
    fn every_cut_gives_the_same_session(
        words in words(),
        cuts in prop::collection::vec(0_usize..9, 0..60),
    ) {
        let user = || Dialogue::new(Peer::User { uid: 1000, name: "alice".to_owned() });
        let mut whole = user();
        let replies = whole.say(&words);
        let refusals = whole.session.refusals();
        let mut cut = user();
        let mut cut_replies = Vec::new();
        let mut unread = Vec::new();
        let mut rest = words.as_slice();
        for length in cuts.into_iter().chain([usize::MAX]) {
            let (piece, later) = rest.split_at(length.min(rest.len()));
            unread.extend_from_slice(piece);
            let (said, left) = cut.say_some(&unread);
            cut_replies.extend(said);
            unread = left;
            rest = later;
        }
        prop_assert_eq!(replies, cut_replies);
        prop_assert_eq!(refusals, cut.session.refusals());
        prop_assert_eq!(whole.messages, cut.messages);
        prop_assert_eq!(whole.ending, cut.ending);
    }
}

/// Parameters by which nobody beyond this machine says anything.
#[test]
fn more_of_a_submission_says_only_who_is_on_this_machine() {
    let mail = b"EHLO x\r\nMAIL FROM:<a@b.test> XNOALIASES XASIS XTAG=cron XADDR=192.0.2.7\r\n";
    let rest = b"RCPT TO:<c@d.test>\r\nDATA\r\nx\r\n.\r\n";
    let mut stranger = Dialogue::network();
    let (hello, mail_command) = mail.split_at(8);
    assert_eq!(stranger.say(hello), [250]);
    assert_eq!(stranger.say(mail_command), [555]);
    assert!(stranger.session.refusals().iter().all(|refusal| refusal.tag.is_none()));

    let mut user = Dialogue::new(Peer::User { uid: 1000, name: "alice".to_owned() });
    assert_eq!(user.say(mail), [250, 250]);
    assert_eq!(user.say(b"FOO\r\n"), [500]);
    let tag = Label::read("cron", Label::WORD);
    assert_eq!(user.session.refusals()[0].tag, tag);
    assert_eq!(user.say(rest), [250, 354, 250]);
    let Message { opening, .. } = &user.messages[0];
    let Submission { aliasing, header, tag: heard, client } = &*opening.submission;
    assert_eq!((*aliasing, *header), (Aliasing::Skipped, HeaderCare::Leave));
    assert_eq!((heard, client.address), (&tag, "192.0.2.7".parse().ok()));
    assert_eq!(opening.envelope.aliasing, Aliasing::Skipped);
    // Who it is stays what the kernel says, and it is of this message alone.
    assert_eq!(opening.envelope.origin, Origin::User { uid: 1000, name: "alice".to_owned() });
    user.say(b"MAIL FROM:<a@b.test>\r\n");
    user.say(rest);
    assert_eq!(*user.messages[1].opening.submission, Submission::default());
}

#[test]
fn each_extension_can_be_left_out() {
    let offered = |withheld| {
        let mut dialogue = Dialogue::network();
        dialogue.session = dialogue.session.without(withheld);
        dialogue.session.step(&mut b"EHLO client.test\r\n".as_slice(), dialogue.now);
        String::from_utf8(std::mem::take(dialogue.session.output())).unwrap()
    };
    let all = offered(Extensions::NONE);
    for extension in Extension::ALL {
        let is_its = |line: &&str| line.get(4..).unwrap().starts_with(extension.keyword());
        assert_eq!(all.lines().filter(is_its).count(), 1, "{all}");
        let rest: Vec<_> = all.lines().filter(|line| !is_its(line)).collect();
        assert_eq!(offered(Extensions::NONE.with(extension)).lines().collect::<Vec<_>>(), rest);
    }
    assert!(
        offered(Extension::ALL.into_iter().fold(Extensions::NONE, Extensions::with))
            .ends_with("250 HELP\r\n")
    );
}

/// Whether CHUNKING was offered or not: what follows BDAT is no command.
#[test]
fn a_chunk_that_is_not_offered_is_no_command_either() {
    let mut dialogue = Dialogue::network();
    dialogue.session = dialogue.session.without(Extensions::NONE.with(Extension::Chunking));
    dialogue.say(b"EHLO client.test\r\n");
    dialogue.say(b"MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n");
    assert_eq!(dialogue.say(b"BDAT 6 LAST\r\nRSET\r\nNOOP\r\n"), [502, 250]);
    assert!(dialogue.messages.is_empty() && dialogue.ending.is_none());
    dialogue.begin();
    assert_eq!(dialogue.say(b"x\r\n.\r\n"), [250]);
}

/// RFC 6531 §3.7.4.2: whoever has asked for SMTPUTF8 understands it, in this transaction.
#[test]
fn addresses_are_shown_to_whom_they_are_written_by() {
    for (parameter, shown) in
        [(" SMTPUTF8", "550 5.1.1 d\u{f6}rte?\r\n"), ("", "550 5.1.1 d?rte?\r\n")]
    {
        let mut dialogue = Dialogue::network();
        dialogue.say(b"EHLO client.test\r\n");
        dialogue.say(format!("MAIL FROM:<a@b>{parameter}\r\n").as_bytes());
        let step = dialogue.session.step(&mut b"RCPT TO:<c@d>\r\n".as_slice(), dialogue.now);
        assert!(matches!(step, Step::Check(_)), "{step:?}");
        dialogue.session.verdicts([Err(Reply::from_text(550, "5.1.1 d\u{f6}rte\u{1b}"))]);
        assert_eq!(String::from_utf8_lossy(dialogue.session.output()), shown);
    }
}
