//! The cases of `crates/routing`: where mail goes.

use std::collections::BTreeSet;

use crate::answers::Answer;
use crate::cases::{files, sections};
use crate::ours;
use crate::real::{Call, Output, Sendmail, Setting};

/// Sections that are tables.
const TABLES: [&str; 6] = [
    "aliases",
    "domaintable",
    "local-host-names",
    "mailertable",
    "virtuser-domains",
    "virtusertable",
];

/// Files about what Sendmail does not have, or does not show: the next hop by the reverse-path (a table of
/// Postfix), a host that is tried after all others, LMTP instead of mailboxes, and what counts where a null
/// client is its own hub.
const NOT_ASKED: [&str; 4] =
    ["senderrelay.txt", "fallback.txt", "store.txt", "null-client-ourselves.txt"];

/// One file of cases.
struct Case {
    file: String,
    setting: Setting,
    config: String,
    users: Option<BTreeSet<String>>,
    /// Addresses that have a way.
    ways: Vec<String>,
    /// Recipients, and our answer to RCPT, which the test of the crate keeps true.
    recipients: Vec<(String, String)>,
}

pub(crate) fn ask(sendmail: &Sendmail) -> Vec<Answer> {
    let cases = files("crates/routing/tests/cases");
    let cases = cases.iter().filter(|(file, _)| !NOT_ASKED.contains(&file.as_str()));
    cases.flat_map(|(file, text)| ask_case(sendmail, &read(file, text))).collect()
}

fn read(file: &str, text: &str) -> Case {
    let mut case = Case {
        file: file.to_owned(),
        setting: Setting::default(),
        config: String::new(),
        users: None,
        ways: Vec::new(),
        recipients: Vec::new(),
    };
    for (name, text) in sections(text) {
        match name.as_str() {
            "" => assert!(text.lines().all(|line| line.starts_with('#')), "{file}"),
            "routes" => case.questions(&text),
            // Who there is, where that is not everybody who gets mail.
            "users" => case.users = Some(text.lines().map(str::to_owned).collect()),
            "smarthost" => case.relay("SMART_HOST", "relay.smarthost", text.trim()),
            "hub" => case.relay("MAIL_HUB", "local.hub", text.trim()),
            "hub_except" => {
                case.setting.features += &format!("LOCAL_USER(`{}')\n", text.trim());
                case.config += &format!("local.hub_except = [\"{}\"]\n", text.trim());
            }
            "null_client" => {
                case.setting.null_client = Some(text.trim().to_owned());
                case.config += &format!("relay.null_client = \"{}\"\n", text.trim());
            }
            // What Sendmail does not have, and what does not show.
            "senderrelay" | "fallback" => {}
            table if TABLES.contains(&table) => {
                case.setting.tables.push((table.to_owned(), text));
            }
            other => panic!("{file}: how is [{other}] asked of Sendmail?"),
        }
    }
    case.finish()
}

impl Case {
    fn relay(&mut self, name: &str, key: &str, hop: &str) {
        self.setting.features += &format!("define(`{name}', `{hop}')\n");
        self.config += &format!("{key} = \"{hop}\"\n");
    }

    fn questions(&mut self, text: &str) {
        let mut users = BTreeSet::new();
        for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let (asked, answer) = line.split_once(" => ").unwrap();
            // Whoever gets mail here is a user.
            let user = answer.strip_prefix("local ").or(answer.strip_prefix("user "));
            let user = user.map(|user| user.split(' ').next().unwrap().trim_start_matches('\\'));
            users.extend(user.map(str::to_owned));
            if asked.contains(" FROM ") {
                continue;
            }
            match asked.strip_prefix("RCPT ") {
                Some(recipient) => {
                    self.recipients.push((recipient.to_owned(), answer.to_owned()));
                }
                None => self.ways.push(asked.to_owned()),
            }
        }
        self.setting.users = users.into_iter().collect();
    }

    /// Whether a user exists is not for the crate to say.
    fn finish(mut self) -> Self {
        if let Some(users) = self.users.take() {
            self.setting.users = users.into_iter().filter(|user| !user.is_empty()).collect();
        }
        for (_, answer) in &mut self.recipients {
            let known = answer
                .strip_prefix("user ")
                .map(|user| self.setting.users.iter().any(|name| name == user));
            match known {
                Some(false) => "550 5.1.1 User unknown".clone_into(answer),
                Some(true) => "accept".clone_into(answer),
                None if answer.starts_with("leaves for ") => "accept".clone_into(answer),
                None => {}
            }
        }
        self
    }
}

fn ask_case(sendmail: &Sendmail, case: &Case) -> Vec<Answer> {
    let mut calls: Vec<_> = case.ways.iter().map(|way| Call::new(&["-bv", way])).collect();
    let lines: String = case.ways.iter().map(|way| format!("3,0 {way}\n")).collect();
    calls.push(Call::reading(&["-bt"], &lines));
    let mut theirs = sendmail.run(&case.setting, &[&calls[..], &[session(case)]].concat());
    let replies = theirs.pop().unwrap();
    let mut ours = ours::run_all(&case.setting, &case.config, &calls);
    let triples = [theirs.pop().unwrap(), ours.pop().unwrap()].map(|output| triples(&output));
    assert!(triples.iter().all(|triples| triples.len() == case.ways.len()), "{triples:?}");
    let [their_triples, our_triples] = triples;
    let answer = |question: String, sendmail: String, ours: String| Answer {
        case: case.file.clone(),
        question,
        sendmail,
        ours,
    };
    let verified = case.ways.iter().zip(theirs.iter().zip(&ours));
    let verified = verified.map(|(way, (theirs, ours))| {
        answer(format!("-bv {way}"), deliverable(theirs), deliverable(ours))
    });
    let triples = case.ways.iter().zip(their_triples.into_iter().zip(our_triples));
    let triples =
        triples.map(|(way, (theirs, ours))| answer(format!("-bt 3,0 {way}"), theirs, ours));
    let replies = replies_to_rcpt(&replies.0);
    assert_eq!(replies.len(), case.recipients.len(), "{replies:?}");
    let replies = case.recipients.iter().zip(replies);
    let replies = replies.map(|((recipient, ours), theirs)| {
        answer(format!("RCPT {recipient}"), theirs, ours.clone())
    });
    verified.chain(triples).chain(replies).collect()
}

fn session(case: &Case) -> Call {
    let recipients = case.recipients.iter().map(|(to, _)| format!("RCPT TO:<{to}>\r\n"));
    let recipients: String = recipients.collect();
    let input = format!("EHLO client.test\r\nMAIL FROM:<>\r\n{recipients}QUIT\r\n");
    Call::reading(&["-bs"], &input)
}

/// The lines of `-bv` in a fixed order, and the exit code.
fn deliverable((text, exit): &Output) -> String {
    let mut lines: Vec<_> = text.lines().map(str::trim_end).collect();
    lines.sort_unstable();
    one_smtp(&format!("{}; exit {exit}", lines.join("; ")))
}

/// What each line of input to `-bt` that asks a ruleset returned at last.
pub(crate) fn triples((text, _): &Output) -> Vec<String> {
    let last = |block: &str| {
        let mut returned = block.lines().filter_map(|line| line.split_once(" returns: "));
        returned.next_back().map(|(_, triple)| one_smtp(triple.trim()))
    };
    text.split("\n> ").filter_map(last).collect()
}

/// We speak SMTP in one way: this is a row of the documentation of its own.
fn one_smtp(text: &str) -> String {
    let mut text = text.to_owned();
    for name in ["smtp", "smtp8", "dsmtp", "DSMTP", "relay"] {
        text = text.replace(&format!("mailer {name}, "), "mailer esmtp, ");
        text = text.replace(&format!("$# {name} "), "$# esmtp ");
    }
    text
}

/// `accept`, or `550 5.1.1 User unknown`.
fn replies_to_rcpt(text: &str) -> Vec<String> {
    let lines = text.lines().skip_while(|line| !line.starts_with("250 2.1.0 ")).skip(1);
    let lines = lines.take_while(|line| !line.starts_with("221 "));
    let shown = |line: &str| match line.split_once("... ") {
        Some((head, _)) if head.starts_with("250 ") => "accept".to_owned(),
        Some((head, text)) => {
            let codes: Vec<_> = head.split(' ').take(2).collect();
            format!("{} {text}", codes.join(" "))
        }
        None => line.to_owned(),
    };
    lines.map(shown).collect()
}
