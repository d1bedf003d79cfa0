//! The cases of `crates/tables/tests/cases/members.txt`: whom a list and a `.forward` name.

use std::collections::BTreeSet;

use crate::answers::Answer;
use crate::real::{Call, Sendmail, Setting};

const CASES: &str = include_str!("../../crates/tables/tests/cases/members.txt");

const USERS: [&str; 3] = ["anna", "emil", "otto"];

/// A file, and those whom it names as the test of the crate keeps true.
#[derive(Default)]
struct Case {
    title: String,
    /// As it is written in the cases.
    lines: Vec<String>,
    named: Vec<String>,
}

pub(crate) fn ask(sendmail: &Sendmail) -> Vec<Answer> {
    let cases = read();
    let mut setting = Setting::default();
    setting.users.extend(USERS.map(str::to_owned));
    let (mut calls, mut aliases) = (Vec::new(), String::new());
    for (number, case) in cases.iter().enumerate() {
        let text = case.lines.join("\n").replace('␍', "\r").replace('␇', "\u{7}") + "\n";
        aliases += &format!("list{number}: :include:@FOLDER@/lists/{number}\n");
        setting.users.push(format!("user{number}"));
        setting.files.push((format!("lists/{number}"), text.clone()));
        setting.files.push((format!("home/user{number}/.forward"), text));
        calls.push(Call::new(&["-bv", &format!("list{number}")]));
        calls.push(Call::new(&["-bv", &format!("user{number}")]));
    }
    setting.tables.push(("aliases".to_owned(), aliases));
    let outputs = sendmail.run(&setting, &calls);
    let answers = outputs.chunks(2).map(|both| [&both[0].0, &both[1].0].map(|text| theirs(text)));
    let answers = answers.zip(cases).map(|([list, forward], case)| Answer {
        case: format!("members.txt, {}", case.title),
        question: case.lines.join(" ¶ "),
        ours: shown(case.named.iter().map(|name| ours(name)).collect()),
        sendmail: if list == forward { list } else { format!("{list} (list), {forward}") },
    });
    answers.collect()
}

fn read() -> Vec<Case> {
    let mut cases = vec![Case::default()];
    for line in CASES.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let begins = line.starts_with(['>', '=']) && !cases.last().unwrap().named.is_empty();
        if begins {
            let title = cases.last().unwrap().title.clone();
            cases.push(Case { title, ..Case::default() });
        }
        let case = cases.last_mut().unwrap();
        match (line.strip_prefix("== "), line.strip_prefix('>')) {
            (Some(title), _) => title.clone_into(&mut case.title),
            (None, Some(text)) => {
                case.lines.push(text.strip_prefix(' ').unwrap_or(text).to_owned());
            }
            (None, None) => case.named.push(line.split_once(' ').unwrap().1.to_owned()),
        }
    }
    cases
}

/// Nobody is named twice, and a user who is not there is as good as no name.
fn ours(name: &str) -> String {
    let (kind, name) = name.split_once([' ', ':']).unwrap();
    let user = name.split('+').next().unwrap().to_lowercase();
    match kind {
        "local" | "user" if USERS.contains(&user.as_str()) => {
            format!("{kind} {}", name.to_lowercase())
        }
        "local" | "user" | "wrong" => "wrong".to_owned(),
        "address" if name.ends_with("@here.test") => {
            format!("local {}", name.strip_suffix("@here.test").unwrap())
        }
        _ => format!("{kind} {name}"),
    }
}

fn theirs(text: &str) -> String {
    shown(text.lines().filter_map(named).collect())
}

fn shown(named: BTreeSet<String>) -> String {
    if named.is_empty() {
        return "nobody".to_owned();
    }
    Vec::from_iter(named).join("; ")
}

/// `anna... deliverable: mailer local, host x, user anna`
fn named(line: &str) -> Option<String> {
    // Of a list that names nobody.
    if line == "aliasing/forwarding loop broken" {
        return None;
    }
    if let Some((_, why)) = line.split_once("... Cannot open ") {
        return Some(format!("include {}", why.rsplit_once(": ")?.0));
    }
    let Some((_, way)) = line.split_once("... deliverable: mailer ") else {
        return Some("wrong".to_owned());
    };
    let (way, user) = way.split_once(", user ")?;
    match way.split_once(", host ").unwrap_or((way, "")) {
        // Who has an empty `.forward` keeps his mail.
        ("local", "") if user.starts_with("user") => None,
        ("local", detail) => {
            let (kind, user) = user.strip_prefix('\\').map_or(("local", user), |it| ("user", it));
            let detail = if detail.is_empty() { "" } else { &format!("+{detail}") };
            Some(format!("{kind} {user}{detail}"))
        }
        ("prog", _) => {
            let command = unquoted(user).trim_start_matches('|').trim().to_owned();
            Some(format!("program {}", unquoted(&command)).trim_end().to_owned())
        }
        ("*file*", _) => Some(format!("file {}", unquoted(user))),
        _ => Some(format!("address {user}")),
    }
}

fn unquoted(text: &str) -> String {
    let inner = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
    inner.map_or(text.to_owned(), |inner| inner.replace("\\\"", "\""))
}
