//! What the access table says before the greeting (`connection.txt`): limits, the pause, and what is not offered.

use std::collections::BTreeSet;

use super::questions::{Case, Client};
use super::setting;
use crate::answers::Answer;
use crate::real::{Call, Sendmail};
use crate::routes::triples;

const FEATURES: &str = "FEATURE(`ratecontrol')\nFEATURE(`conncontrol')\nFEATURE(`greet_pause')\n";

/// The ruleset of each limit, and the macro with which it compares.
const LIMITS: [(&str, &str); 2] =
    [("RateControl", "client_rate"), ("ConnControl", "client_connections")];

/// A question, and our answer.
struct Question<'a> {
    kind: &'a str,
    address: &'a str,
    name: &'a str,
    ours: String,
}

pub(super) fn ask_case(sendmail: &Sendmail, case: &Case) -> Vec<Answer> {
    // What EHLO offers is no business of rulesets.
    let asked = case.terms.iter().filter(|(words, _)| !words.starts_with("ehlo "));
    let questions: Vec<_> = asked.map(|(words, answer)| question(words, answer)).collect();
    let numbers = numbers(&case.access);
    let mut setting = setting(case);
    setting.features.insert_str(0, FEATURES);
    let lines: String = questions.iter().map(|question| question.input(&numbers)).collect();
    let returned = triples(&sendmail.run(&setting, &[Call::reading(&["-bt"], &lines)])[0]);
    let mut returned = returned.into_iter();
    let answers = questions.iter().map(|question| Answer {
        case: case.title.clone(),
        question: format!("{} {} {}", question.kind, question.address, question.name),
        sendmail: question.theirs(&numbers, &mut returned),
        ours: question.ours.clone(),
    });
    let answers = answers.collect();
    assert_eq!(returned.next(), None, "{}", case.title);
    answers
}

fn question<'a>(words: &'a str, answer: &str) -> Question<'a> {
    let [kind, address, name] = words.split(' ').collect::<Vec<_>>().try_into().unwrap();
    let answer = answer.split(" access:").next().unwrap();
    let ours = match answer.split(' ').collect::<Vec<_>>().as_slice() {
        [rate, sessions, pause] if kind == "terms" => {
            // No limit, whether nothing says so or a line.
            let [rate, sessions] = [rate, sessions].map(|it| if *it == "0" { "-" } else { *it });
            format!("{rate} {sessions} {pause}")
        }
        _ => answer.to_owned(),
    };
    Question { kind, address, name, ours }
}

/// Each number that a line has.
fn numbers(access: &str) -> BTreeSet<u32> {
    let words = access.lines().filter_map(|line| line.split_whitespace().last());
    words.filter_map(|word| word.parse().ok()).collect()
}

impl Question<'_> {
    /// A limit shows where one more is too many.
    fn input(&self, numbers: &BTreeSet<u32>) -> String {
        let client = Client::read(self.address, self.name);
        let mut input = client.macros();
        let Client { address, name, .. } = client;
        if self.kind == "features" {
            return format!("{input}srv_features {name}\n");
        }
        for (ruleset, counted) in LIMITS {
            for count in numbers.iter().flat_map(|number| [*number, number + 1]) {
                input += &format!(".D{{{counted}}}{count}\n{ruleset} x\n");
            }
        }
        format!("{input}Start,greet_pause {name} $| {address}\n")
    }

    fn theirs(
        &self,
        numbers: &BTreeSet<u32>,
        returned: &mut impl Iterator<Item = String>,
    ) -> String {
        let mut next = || returned.next().expect("a ruleset says nothing");
        let word = |returned: String| match returned.strip_prefix("$# ") {
            Some(word) => word.to_owned(),
            None => "-".to_owned(),
        };
        if self.kind == "features" {
            return word(next());
        }
        let limits = LIMITS.map(|_| {
            let ends = numbers.iter().filter(|_| {
                let [at, over] = [next(), next()].map(|it| it.starts_with("$# error "));
                !at && over
            });
            let found: Vec<_> = ends.map(u32::to_string).collect();
            if found.is_empty() { "-".to_owned() } else { found.join(",") }
        });
        let [rate, sessions] = limits;
        format!("{rate} {sessions} {}", word(next()))
    }
}
