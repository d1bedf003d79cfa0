//! The cases of `crates/policy`: who may send what to whom.

mod questions;
mod replies;
mod terms;

use crate::answers::Answer;
use crate::cases::files;
use crate::ours;
use crate::real::{Call, Sendmail, Setting};

use questions::{Case, Question, read};
use replies::replies;

/// What the cases of the crate begin with: see `policy()` in `crates/policy/src/tests.rs`. There
/// `relay.networks` says who may relay; here it is class R, which the rulesets ask at the same place.
const LOCAL: &str = "example.org\n[192.0.2.1]\n";
const NETWORKS: &str = "10\nIPv6:2001:db8\n";
const VIRTUAL: &str = "info@virt.test\talice\nold@virt.test\terror:5.1.6:550 moved\n\
                       gone@virt.test\tbob\nfar@virt.test\tx@far.test\n";
/// With postmaster, who is root here without an alias.
const ALIASES: &str = "postmaster: root\nroot: alice\nstaff: alice, bob@far.test\nlist+dev: bob\n";

/// What only the two programs answer.
const MORE: &str = include_str!("cases/access.txt");

/// Files whose questions our own `-bt` answers, too.
const ASKED_OF_BOTH: [&str; 3] = ["access.txt", "domaintable.txt", "relay.txt"];

/// Files with questions about the DNS, HELO and a delivery, of which `-bt` here knows nothing: our answer is the one
/// that the test of the crate keeps true.
const ANSWERED: [&str; 2] = ["fates.txt", "sender.txt"];

/// Rules in an order that a `sendmail.cf` cannot have.
const NOT_ASKED: &str =
    "the house: rules in the administrator's order, the first that refuses is told";

pub(crate) fn ask(sendmail: &Sendmail) -> Vec<Answer> {
    let mut answers = Vec::new();
    for (file, text) in files("crates/policy/tests/cases") {
        let cases = read(&file, &text);
        match file.as_str() {
            "connection.txt" => {
                answers.extend(cases.iter().flat_map(|case| terms::ask_case(sendmail, case)));
            }
            file if ASKED_OF_BOTH.contains(&file) => {
                answers.extend(cases.iter().flat_map(|case| ask_both(sendmail, case)));
            }
            file if ANSWERED.contains(&file) => {
                let cases = cases.iter().filter(|case| !case.title.ends_with(NOT_ASKED));
                answers.extend(cases.flat_map(|case| ask_theirs(sendmail, case)));
            }
            other => panic!("{other}: how is it asked of Sendmail?"),
        }
    }
    answers.extend(read("more.txt", MORE).iter().flat_map(|case| ask_both(sendmail, case)));
    answers
}

fn ask_both(sendmail: &Sendmail, case: &Case) -> Vec<Answer> {
    let setting = setting(case);
    let questions: Vec<_> = case.questions.iter().collect();
    let calls = calls(&questions, false);
    let outputs = [sendmail.run(&setting, &calls), ours::run_all(&setting, "", &calls)];
    let [theirs, ours] = outputs
        .map(|outputs| replies(&outputs, false).into_iter().map(|reply| reply.codes).collect());
    answers(case, &questions, theirs, ours)
}

/// Once with all domains of senders, once with none; the mark of a question says which it is about.
fn ask_theirs(sendmail: &Sendmail, case: &Case) -> Vec<Answer> {
    let asks_for_pairs = case.access.contains("Compat:");
    let mut setting = setting(case);
    let (exist, none): (Vec<_>, Vec<_>) =
        case.questions.iter().partition(|question| !question.from.ends_with('!'));
    let domains = exist.iter().filter_map(|question| question.from.split_once('@'));
    let domains = domains.map(|(_, domain)| domain.trim_end_matches('.').to_owned()).collect();
    let mut found = Vec::new();
    for (questions, domains) in [(exist, domains), (none, Vec::new())] {
        if questions.is_empty() {
            continue;
        }
        setting.domains = case.asks_for_domains().then_some(domains);
        let theirs = sendmail.run(&setting, &calls(&questions, asks_for_pairs));
        let theirs = replies(&theirs, asks_for_pairs);
        let ours: Vec<_> = questions.iter().map(|question| question.reply()).collect();
        // The text, where it matters to the case.
        let theirs = theirs
            .into_iter()
            .zip(&ours)
            .map(|(reply, ours)| if ours.contains('(') { reply.to_string() } else { reply.codes });
        let theirs = theirs.collect();
        found.extend(answers(case, &questions, theirs, ours));
    }
    found
}

fn setting(case: &Case) -> Setting {
    let tables = [
        ("local-host-names", LOCAL.to_owned()),
        ("relay-domains", format!("{NETWORKS}{}", case.relay_domains)),
        ("domaintable", case.domaintable.clone()),
        ("virtuser-domains", "virt.test\n".to_owned()),
        ("virtusertable", VIRTUAL.to_owned()),
        ("aliases", ALIASES.to_owned()),
        ("access", case.access.clone()),
    ];
    Setting {
        hostname: "mx.example.org".to_owned(),
        tables: tables.map(|(name, text)| (name.to_owned(), text)).to_vec(),
        users: vec!["alice".to_owned()],
        features: case.features(),
        ..Setting::default()
    }
}

/// All rulings, then who is known.
fn calls(questions: &[&Question], asks_for_pairs: bool) -> Vec<Call> {
    let lines = questions.iter().map(|question| question.input(asks_for_pairs));
    let mut calls = vec![Call::reading(&["-bt"], &lines.collect::<String>())];
    calls.extend(questions.iter().map(|question| Call::new(&["-bv", &question.to])));
    calls
}

fn answers(
    case: &Case,
    questions: &[&Question],
    theirs: Vec<String>,
    ours: Vec<String>,
) -> Vec<Answer> {
    let counts = [questions.len(), theirs.len(), ours.len()];
    assert!(counts.iter().all(|count| *count == counts[0]), "{}: {counts:?}", case.title);
    let answers = questions.iter().zip(theirs.into_iter().zip(ours));
    let answer = |(question, (sendmail, ours)): (&&Question, (String, String))| Answer {
        case: case.title.clone(),
        question: question.to_string(),
        sendmail,
        ours,
    };
    answers.map(answer).collect()
}
