//! Plays `tests/dialogues/client/*.smtp` against the client. A file is
//!
//! ```text
//! # RFC 5321 §3.3: what this shows
//! from a@here.test size=10 8bit utf8 ret=hdrs envid=x     the message
//! to b@there.test notify=success orcpt=rfc822;c@d => delivered 2.0.0 by-host
//! content Subject: x                                      one line of content each
//! lmtp                                                    instead of SMTP
//! asks                                                    about the recipient, without a message
//! times 2                                                 as many transactions
//! then ready                                              or: closed
//!
//! s: 220 there.test                                       what the host says
//! c: EHLO here.test                                       what we must say, no more and no less
//! x:                                                      the connection breaks
//! ```
//!
//! An outcome is `delivered`, `deferred` or `failed` with its code, `by-host` if the host tells of
//! success, or `undecided` with the code of the deferral. Of a question it is `taken`, `refused` or
//! `unclear`.

#![cfg(test)]

use std::collections::VecDeque;
use std::path::Path;

use envelope::{
    Body, Heard, Notify, OriginalRecipient, Protocol, Recipient, Return, ReversePath, Status,
};
use smtp::client::{Answer, Ended, Mail, Session, Step, Stuffing};

#[derive(Debug, Default)]
struct Script {
    from: Vec<String>,
    recipients: Vec<Recipient>,
    outcomes: Vec<String>,
    content: String,
    protocol: Protocol,
    asks: bool,
    times: usize,
    then: String,
    turns: VecDeque<Turn>,
}

#[derive(Debug, PartialEq)]
enum Turn {
    Client(String),
    Server(String),
    Break,
}

#[test]
fn dialogues() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/dialogues/client");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|f| f.unwrap().path()).collect();
    files.sort();
    assert!(files.len() > 10, "the dialogues are gone");
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        println!("{}", file.display());
        assert!(text.starts_with("# RFC "), "the first line names a section");
        play(Script::read(&text));
    }
}

fn play(mut script: Script) {
    let mut session = Session::new("here.test", "there.test").speaking(script.protocol);
    let mut left = script.times;
    loop {
        match session.step() {
            Step::Reply(_) => {
                script.expect(&session.outgoing());
                match script.turns.pop_front() {
                    Some(Turn::Server(line)) => session.receive(format!("{line}\r\n").as_bytes()),
                    Some(Turn::Break) => session.lost("broken"),
                    other => panic!("the client waits for a reply, not for {other:?}"),
                }
            }
            Step::Content => {
                let (mut stuffing, mut out) = (Stuffing::default(), Vec::new());
                stuffing.push(script.content.as_bytes(), &mut out);
                stuffing.finish(&mut out);
                script.expect(&out);
                session.content_sent();
            }
            Step::Ready => {
                left -= 1;
                if script.asks {
                    session.ask_about(&script.recipients[0].address);
                    continue;
                }
                session.begin(&script.mail(&script.reverse_path()));
            }
            Step::Ended(ended) => {
                assert_eq!(outcomes(&ended, script.recipients.len()), script.outcomes);
                if left == 0 || !session.is_ready() {
                    break;
                }
            }
            Step::Closed => panic!("closed before its end"),
        }
    }
    assert_eq!(if session.is_ready() { "ready" } else { "closed" }, script.then);
    script.expect(&session.farewell());
    assert_eq!(script.turns, []);
}

fn outcomes(ended: &Ended, recipients: usize) -> Vec<String> {
    match ended {
        Ended::Decided(answers) => answers.iter().map(outcome).collect(),
        Ended::Undecided(detail) => {
            let code = Status::Deferred(detail.clone()).code();
            vec![format!("undecided {code}"); recipients]
        }
        Ended::Heard(Heard::Taken) => vec!["taken".to_owned()],
        Ended::Heard(Heard::Refused(detail)) => {
            vec![format!("refused {}", Status::Failed(detail.clone()).code())]
        }
        Ended::Heard(Heard::Unclear(detail)) => {
            vec![format!("unclear {}", Status::Deferred(detail.clone()).code())]
        }
    }
}

fn outcome(answer: &Answer) -> String {
    let word = match answer.status {
        Status::Delivered(_) => "delivered",
        Status::Deferred(_) => "deferred",
        Status::Failed(_) => "failed",
    };
    let by_host = if answer.host_notifies { " by-host" } else { "" };
    format!("{word} {}{by_host}", answer.status.code())
}

impl Script {
    fn read(text: &str) -> Self {
        let mut script = Self { times: 1, ..Self::default() };
        for line in text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
            let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
            match word {
                "from" => script.from = rest.split(' ').map(str::to_owned).collect(),
                "to" => script.read_recipient(rest),
                "content" => script.content += &format!("{rest}\r\n"),
                "lmtp" => script.protocol = Protocol::Lmtp,
                "asks" => script.asks = true,
                "times" => script.times = rest.parse().unwrap(),
                "then" => script.then = rest.to_owned(),
                "c:" => script.turns.push_back(Turn::Client(rest.to_owned())),
                "s:" => script.turns.push_back(Turn::Server(rest.to_owned())),
                "x:" => script.turns.push_back(Turn::Break),
                _ => panic!("{line}"),
            }
        }
        script
    }

    fn read_recipient(&mut self, line: &str) {
        let (recipient, outcome) = line.split_once(" => ").unwrap();
        let mut words = recipient.split(' ');
        let mut read = Recipient::plain(words.next().unwrap().parse().unwrap());
        for word in words {
            match word.split_once('=').unwrap() {
                ("notify", list) => {
                    let has = |event| list.split(',').any(|word| word == event);
                    let [success, failure, delay] = ["success", "failure", "delay"].map(has);
                    read.notify = Notify { success, failure, delay, stated: true };
                }
                ("orcpt", value) => {
                    let (kind, address) = value.split_once(';').unwrap();
                    let [kind, address] = [kind, address].map(str::to_owned);
                    read.orcpt = Some(OriginalRecipient { kind, address });
                }
                other => panic!("{other:?}"),
            }
        }
        self.recipients.push(read);
        self.outcomes.push(outcome.to_owned());
    }

    fn has(&self, word: &str) -> bool {
        self.from.iter().any(|one| one == word)
    }

    fn value(&self, name: &str) -> Option<&str> {
        self.from.iter().find_map(|word| word.strip_prefix(name)?.strip_prefix('='))
    }

    fn reverse_path(&self) -> ReversePath {
        let address = self.from[0].as_str();
        ReversePath((address != "<>").then(|| address.parse().unwrap()))
    }

    fn mail<'a>(&'a self, reverse_path: &'a ReversePath) -> Mail<'a> {
        let ret = |value| if value == "full" { Return::Full } else { Return::Headers };
        Mail {
            reverse_path,
            recipients: &self.recipients,
            body: if self.has("8bit") { Body::EightBitMime } else { Body::SevenBit },
            utf8_headers: self.has("utf8"),
            ret: self.value("ret").map(ret),
            envid: self.value("envid"),
            size: self.value("size").map_or(0, |size| size.parse().unwrap()),
            submission: None,
        }
    }

    /// All that the client says in one go.
    fn expect(&mut self, said: &[u8]) {
        let mut expected = String::new();
        while let Some(Turn::Client(line)) = self.turns.front() {
            expected += &format!("{line}\r\n");
            self.turns.pop_front();
        }
        assert_eq!(String::from_utf8_lossy(said), expected);
    }
}
