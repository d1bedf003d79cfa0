//! The cases of `crates/routing/tests/borders`: what addresses are called where mail goes.

use crate::answers::Answer;
use crate::cases::{files, sections};
use crate::ours;
use crate::real::{Call, Output, Sendmail, Setting};

pub(crate) fn ask(sendmail: &Sendmail) -> Vec<Answer> {
    let cases = files("crates/routing/tests/borders");
    cases.iter().flat_map(|(file, text)| ask_case(sendmail, file, text)).collect()
}

fn ask_case(sendmail: &Sendmail, file: &str, text: &str) -> Vec<Answer> {
    let mut setting = Setting { users: vec!["alice".to_owned()], ..Setting::default() };
    let (mut config, mut questions) = (String::new(), Vec::new());
    for (name, text) in sections(text) {
        match name.as_str() {
            "" => {}
            "masquerade" => {
                setting.features = text.lines().map(feature).collect();
                if !text.contains("exposed_users") {
                    setting.features += "EXPOSED_USER(`root')\n";
                }
                config = format!("[masquerade]\n{text}");
            }
            "names" => questions = asked(&text),
            _ => setting.tables.push((name, text)),
        }
    }
    let lines: String = questions.iter().map(|question| input(question)).collect();
    let calls = [Call::reading(&["-bt"], &lines)];
    let theirs = rewritten(&sendmail.run(&setting, &calls)[0]);
    let ours = rewritten(&ours::run_all(&setting, &config, &calls)[0]);
    let counts = [questions.len(), theirs.len(), ours.len()];
    assert!(counts.iter().all(|count| *count == counts[0]), "{file}: {counts:?}");
    let answers = questions.into_iter().zip(theirs.into_iter().zip(ours));
    let answer =
        |(question, (sendmail, ours))| Answer { case: file.to_owned(), question, sendmail, ours };
    answers.map(answer).collect()
}

/// `HS esmtp ann@foo.org`
fn asked(text: &str) -> Vec<String> {
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(|line| line.split_once(" => ").unwrap().0.to_owned()).collect()
}

fn input(question: &str) -> String {
    let (flags, rest) = question.split_once(' ').unwrap();
    format!("/tryflags {flags}\n/try {rest}\n")
}

/// What `Rcode = 0, addr = …` says.
fn rewritten((text, _): &Output) -> Vec<String> {
    text.lines().filter_map(|line| Some(line.split_once(", addr = ")?.1.to_owned())).collect()
}

/// The line of `sendmail.mc` for a key of `[masquerade]`.
fn feature(line: &str) -> String {
    let (key, value) = line.split_once(" = ").unwrap();
    let feature = |name: &str| format!("FEATURE(`{name}')\n");
    let each = |name: &str| {
        let values = value.split('"').skip(1).step_by(2);
        values.map(|value| format!("{name}(`{value}')\n")).collect()
    };
    match (key, value) {
        ("as", _) => each("MASQUERADE_AS"),
        ("exceptions", _) => each("MASQUERADE_EXCEPTION"),
        ("exposed_users", _) => each("EXPOSED_USER"),
        ("envelope", "true") => feature("masquerade_envelope"),
        ("all", "true") => feature("allmasquerade"),
        ("entire_domain", "true") => feature("masquerade_entire_domain"),
        ("limited", "true") => feature("limited_masquerade"),
        ("local", "false") => feature("local_no_masquerade"),
        ("generics_entire_domain", "true") => feature("generics_entire_domain"),
        _ => panic!("{line}"),
    }
}
