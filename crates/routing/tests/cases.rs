//! The cases of `cases/*.txt`: tables, and where mail goes by them.
//!
//! A line of the section `[routes]` is `ADDRESS => WHERE as ADDRESS by FILE:LINE …`, without `as` where
//! the address stays and without `by` where no line says anything; or `RCPT ADDRESS => ANSWER`, what can
//! be said when the recipient is named. `FROM ADDRESS` before the arrow is the reverse-path. The comment above tells the place in sendmail's papers.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "test code: what goes wrong is to stop the test"
)]

use std::collections::HashMap;
use std::path::Path;
use std::{fs, io};

use envelope::{Address, Aliasing, Enhanced, NextHop, ReversePath};
use routing::{Admission, Relays, Route, Router, Settings};
use tables::{Reader, Source};

#[test]
fn every_case_holds() {
    let mut wrong = Vec::new();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        let sections = sections(&text);
        let router = router(&sections);
        let routes = sections["routes"].lines().filter(|line| !line.is_empty());
        let mut cases = routes.filter(|line| !line.starts_with('#')).peekable();
        assert!(cases.peek().is_some(), "{} has no cases", path.display());
        for case in cases {
            let (asked, _) = case.split_once(" => ").unwrap();
            let (question, from) = asked.split_once(" FROM ").unwrap_or((asked, ""));
            let from = ReversePath(from.parse().ok());
            let answer = match question.strip_prefix("RCPT ") {
                Some(address) => admitted(&router, address),
                None => routed(&router, question, &from),
            };
            let actual = format!("{asked} => {answer}");
            if actual != case {
                let file = path.file_name().unwrap().display();
                wrong.push(format!("{file}\n  expected {case}\n  is       {actual}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn sections(text: &str) -> HashMap<String, String> {
    let mut sections = HashMap::new();
    let mut section = String::new();
    for line in text.lines() {
        match line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            Some(name) if !name.contains(' ') => section = name.to_owned(),
            _ => sections
                .entry(section.clone())
                .or_insert_with(String::new)
                .push_str(&format!("{line}\n")),
        }
    }
    sections
}

/// The sections are the tables.
struct Sections<'a>(&'a HashMap<String, String>);

impl Source for Sections<'_> {
    type Error = io::Error;

    fn table<T: Default>(&self, name: &str, read: Reader<T>) -> io::Result<T> {
        let text = self.0.get(name).map(String::as_bytes).unwrap_or_default();
        let read = read(name, &mut &*text)?;
        assert_eq!(read.findings, [], "a case with a bad line");
        Ok(read.table)
    }
}

fn router(sections: &HashMap<String, String>) -> Router {
    let value = |name: &str| sections.get(name).map(|text| text.trim());
    let hop = |name: &str| value(name).map(|hop| NextHop::parse(hop).unwrap());
    let relays = Relays {
        smarthost: hop("smarthost"),
        fallback: hop("fallback"),
        null_client: hop("null_client"),
        hub: hop("hub"),
        hub_except: value("hub_except").map(str::to_owned).into_iter().collect(),
    };
    let settings = Settings {
        hostname: "here.test".into(),
        relays,
        store: value("store").map(|lmtp| NextHop::lmtp(lmtp).unwrap()),
        detail: value("detail").unwrap_or("+").into(),
        ..Settings::default()
    };
    Router::read(settings, &Sections(sections)).unwrap()
}

fn routed(router: &Router, address: &str, from: &ReversePath) -> String {
    let address: Address = address.parse().unwrap();
    let routed = router.route(&address, from, &[], Aliasing::Followed);
    let mut shown = match &routed.route {
        Route::List { members, owner } => {
            let list = if members.len() == 1 { "list " } else { "" };
            let members = members.iter().map(envelope::Member::to_string);
            let members = members.collect::<Vec<_>>().join(", ");
            let owner = owner.as_ref().map(|owner| format!(" owned by {owner}"));
            format!("{list}{members}{}", owner.unwrap_or_default())
        }
        Route::Local { user, detail: Some(detail), .. } => {
            format!("local {user} detail {detail:?}")
        }
        Route::Local { user, detail: None, verbatim: true } => format!("local \\{user}"),
        route @ (Route::Remote(_)
        | Route::Local { .. }
        | Route::Special(_)
        | Route::Refused(_)
        | Route::Over(_)) => route.to_string(),
    };
    if routed.address != address {
        shown += &format!(" as {}", routed.address);
    }
    let lines =
        routed.trace.iter().filter_map(|step| Some(format!("{}:{}", step.file, step.line?)));
    let lines: Vec<_> = lines.collect();
    if !lines.is_empty() {
        shown += &format!(" by {}", lines.join(" "));
    }
    shown
}

fn admitted(router: &Router, address: &str) -> String {
    match router.admit(
        &address.parse().unwrap(),
        &ReversePath(None),
        Aliasing::Followed,
        &mut Vec::new(),
    ) {
        Admission::Accept => "accept".to_owned(),
        Admission::User(user) => format!("user {user}"),
        Admission::Mailbox(hop, address) => format!("mailbox {address} at {hop}"),
        Admission::Leaves(hop, address) => format!("leaves for {hop} as {address}"),
        Admission::Refuse(refusal) => {
            let Enhanced(subject, detail) = refusal.enhanced;
            let (code, text) = (refusal.code, refusal.text);
            format!("{code} {}.{subject}.{detail} {text}", code / 100)
        }
    }
}
