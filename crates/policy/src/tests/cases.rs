//! The cases of `cases/*.txt`: each says which lines of sendmail's papers it comes from.
//!
//! `== …` begins a case with empty tables. `access| …`, `domaintable| …` and `relay-domains| …` are
//! lines of tables.
//! Each other line is a question and its answer: the client's address (or `user`), its name (`-` has
//! none, `?` cannot be found out), the reverse-path, the recipient; after `=` reply code, enhanced
//! code, the text if it matters in `(…)`, and the lines of tables that had a part in it.

use std::fmt::Write;

use super::*;

const FILES: [(&str, &str); 3] = [
    ("access.txt", include_str!("../../tests/cases/access.txt")),
    ("domaintable.txt", include_str!("../../tests/cases/domaintable.txt")),
    ("relay.txt", include_str!("../../tests/cases/relay.txt")),
];

/// What a case has so far.
#[derive(Default)]
struct Case {
    title: String,
    access: String,
    relay_domains: String,
    domaintable: String,
    questions: usize,
}

impl Case {
    fn policy(&self) -> Policy {
        let access = Access::read("access", self.access.as_bytes()).unwrap();
        let domains = RelayDomains::read("relay-domains", self.relay_domains.as_bytes()).unwrap();
        let names = Domaintable::read("domaintable", self.domaintable.as_bytes()).unwrap();
        let findings = [access.findings, domains.findings, names.findings].concat();
        assert_eq!(findings, [], "{}", self.title);
        let mut policy = policy();
        policy.router.domaintable = names.table;
        Policy { access: access.table, relay_domains: domains.table, ..policy }
    }

    /// What the policy answers, in the words of a case.
    fn answer(&self, question: &str) -> String {
        let words: Vec<_> = question.split_whitespace().collect();
        let [client, name, from, to] = *words.as_slice() else { panic!("{question}") };
        let name = match name {
            "-" => ClientName::None,
            "?" => ClientName::Unknown,
            name => ClientName::Confirmed(name.to_owned()),
        };
        let client = match client {
            "user" => Client::User,
            address => Client::Network { address: address.parse().unwrap(), name: &name },
        };
        let from = ReversePath((from != "<>").then(|| from.parse().unwrap()));
        let (verdict, trace) = decide(&self.policy(), &Sending { client, reverse_path: &from }, to);
        let mut answer = match verdict {
            Verdict::Accept => "250".to_owned(),
            Verdict::Refuse { code, text } => {
                let (enhanced, text) = text.split_once(' ').unwrap();
                let text = text.split_once(">... ").unwrap().1;
                format!("{code} {enhanced} ({text})")
            }
        };
        for step in trace {
            let line = step.split_once(": ").map_or("", |(line, _)| line);
            if ["access:", "domaintable:", "relay-domains:"].iter().any(|it| line.starts_with(it)) {
                write!(answer, " {line}").unwrap();
            }
        }
        answer
    }
}

#[test]
fn the_tables_decide_as_sendmail_says() {
    let mut wrong = Vec::new();
    for (file, text) in FILES {
        let mut case = Case::default();
        for (number, line) in text.lines().enumerate() {
            if line.trim().is_empty() || line.starts_with('#') {
            } else if let Some(title) = line.strip_prefix("== ") {
                assert!(case.title.is_empty() || case.questions > 0, "{}", case.title);
                case = Case { title: title.to_owned(), ..Case::default() };
            } else if let Some(entry) = line.strip_prefix("access|") {
                writeln!(case.access, "{entry}").unwrap();
            } else if let Some(entry) = line.strip_prefix("domaintable|") {
                writeln!(case.domaintable, "{entry}").unwrap();
            } else if let Some(entry) = line.strip_prefix("relay-domains|") {
                writeln!(case.relay_domains, "{entry}").unwrap();
            } else {
                case.questions += 1;
                let (question, expected) = line.split_once(" = ").unwrap();
                let mut answer = case.answer(question);
                if !expected.contains('(') {
                    // The text does not matter.
                    let (start, rest) = answer.split_once(" (").unwrap_or((&answer, ""));
                    let rest = rest.split_once(')').map_or("", |(_, rest)| rest);
                    answer = format!("{start}{rest}");
                }
                if answer != expected.trim() {
                    wrong.push(format!("{file}:{}: {line}\n   got {answer}", number + 1));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
