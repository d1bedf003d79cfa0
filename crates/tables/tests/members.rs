//! The cases of `cases/members.txt`: whom a list or a `.forward` names.

#![cfg(test)]

use envelope::Special;
use tables::{Target, members};

const CASES: &str = include_str!("cases/members.txt");

/// A file, and those whom it names, a line each.
#[derive(Default)]
struct Case {
    file: String,
    named: String,
}

fn cases() -> Vec<Case> {
    let mut cases = vec![Case::default()];
    for line in CASES.lines().filter(|line| !line.is_empty() && !line.starts_with(['#', '='])) {
        let text = line.strip_prefix('>');
        if text.is_some() && !cases.last().unwrap().named.is_empty() {
            cases.push(Case::default());
        }
        let case = cases.last_mut().unwrap();
        match text {
            Some(text) => {
                let text = text.strip_prefix(' ').unwrap_or(text);
                case.file += &text.replace('␍', "\r").replace('␇', "\u{7}");
                case.file.push('\n');
            }
            None => case.named += &format!("{line}\n"),
        }
    }
    cases
}

fn named(file: &str) -> String {
    let shown = |target: Target| match target {
        Target::Local(name) => format!("local {name}"),
        Target::User(name) => format!("user {name}"),
        Target::Address(address) => format!("address {address}"),
        Target::Special(Special::Program(command)) => format!("program {command}"),
        Target::Special(Special::File(path)) => format!("file {path}"),
        Target::Special(Special::Include(path)) => format!("include {path}"),
        Target::Special(Special::CatchAll) => panic!("nobody can name it"),
    };
    let named = members(file).map(|(line, member)| {
        let member = member.map_or_else(|why| format!("wrong: {why}"), shown);
        format!("{line} {member}\n")
    });
    named.collect()
}

#[test]
fn names_as_sendmail_reads_them() {
    for case in cases() {
        assert_eq!(named(&case.file), case.named, "{:?}", case.file);
    }
}
