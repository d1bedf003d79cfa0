//! The cases of `cases/*.txt`: tables, and where mail goes by them.
//!
//! A line of the section `[routes]` is `ADDRESS => WHERE as ADDRESS by FILE:LINE …`, without `as` where
//! the address stays and without `by` where no line says anything; or `RCPT ADDRESS => ANSWER`, what can
//! be said when the recipient is named. The comment above tells the place in sendmail's papers.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "test code: what goes wrong is to stop the test"
)]

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use envelope::{Address, Enhanced, NextHop};
use routing::{Admission, Route, Router};
use tables::{Aliases, LocalDomains, Mailertable, Names, Virtusertable};

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
            let actual = match asked.strip_prefix("RCPT ") {
                Some(address) => format!("{asked} => {}", admitted(&router, address)),
                None => format!("{asked} => {}", routed(&router, asked)),
            };
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

fn router(sections: &HashMap<String, String>) -> Router {
    let text = |name: &str| sections.get(name).cloned().unwrap_or_default();
    let value = |name: &str| sections.get(name).map(|text| text.trim());
    let read = |name: &str| text(name).into_bytes();
    let names = |name: &str| Names::read(name, read(name).as_slice()).unwrap().table;
    let virtusertable =
        Virtusertable::read("virtusertable", read("virtusertable").as_slice()).unwrap();
    let aliases = Aliases::read("aliases", read("aliases").as_slice()).unwrap();
    let mailertable = Mailertable::read("mailertable", read("mailertable").as_slice()).unwrap();
    assert_eq!([virtusertable.findings, aliases.findings, mailertable.findings].concat(), []);
    Router {
        local: LocalDomains {
            hostname: "here.test".into(),
            names: names("local-host-names"),
            addresses: Vec::new(),
            virtual_names: names("virtuser-domains"),
        },
        virtusertable: virtusertable.table,
        aliases: aliases.table,
        mailertable: mailertable.table,
        smarthost: value("smarthost").map(|hop| NextHop::parse(hop).unwrap()),
        detail: value("detail").unwrap_or("+").into(),
    }
}

fn routed(router: &Router, address: &str) -> String {
    let address: Address = address.parse().unwrap();
    let routed = router.route(&address, &[]);
    let mut shown = match &routed.route {
        Route::List { members, owner } => {
            let members = members.iter().map(|member| {
                let verbatim = if member.verbatim { "\\" } else { "" };
                format!("{verbatim}{}", member.address)
            });
            let owner = owner.as_ref().map(|owner| format!(" owned by {owner}"));
            members.collect::<Vec<_>>().join(", ") + &owner.unwrap_or_default()
        }
        Route::Local { user, detail: Some(detail) } => format!("local {user} detail {detail:?}"),
        route @ (Route::Remote(_) | Route::Local { .. } | Route::Refused(_) | Route::Over(_)) => {
            route.to_string()
        }
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
    match router.admit(&address.parse().unwrap(), &mut Vec::new()) {
        Admission::Accept => "accept".to_owned(),
        Admission::User(user) => format!("user {user}"),
        Admission::Refuse(refusal) => {
            let Enhanced(subject, detail) = refusal.enhanced;
            let (code, text) = (refusal.code, refusal.text);
            format!("{code} {}.{subject}.{detail} {text}", code / 100)
        }
    }
}
