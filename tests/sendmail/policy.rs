//! The cases of `crates/policy`: who may send what to whom.

use crate::answers::Answer;
use crate::cases::files;
use crate::ours;
use crate::real::{Call, Output, Sendmail, Setting};
use crate::routes::triples;

/// What the cases of the crate begin with: see `policy()` in `crates/policy/src/tests.rs`. There
/// `relay.networks` says who may relay; here it is class R, which the rulesets ask at the same place.
const LOCAL: &str = "example.org\n[192.0.2.1]\n";
const NETWORKS: &str = "10\nIPv6:2001:db8\n";
const VIRTUAL: &str = "info@virt.test\talice\nold@virt.test\terror:5.1.6:550 moved\n\
                       gone@virt.test\tbob\nfar@virt.test\tx@far.test\n";
const ALIASES: &str = "root: alice\nstaff: alice, bob@far.test\nlist+dev: bob\n";

/// What only the two programs answer.
const MORE: &str = include_str!("cases/access.txt");

/// The files whose questions can be asked of rulesets; what others need (names in the DNS, milters, counts of
/// clients) these cannot be told.
const ASKED: [&str; 3] = ["access.txt", "domaintable.txt", "relay.txt"];

/// Tables and questions below one `== title`.
#[derive(Default)]
struct Case {
    title: String,
    access: String,
    relay_domains: String,
    domaintable: String,
    questions: Vec<String>,
}

pub(crate) fn ask(sendmail: &Sendmail) -> Vec<Answer> {
    let cases = files("crates/policy/tests/cases");
    let cases = cases.into_iter().filter(|(file, _)| ASKED.contains(&file.as_str()));
    let cases = cases.chain([("more.txt".to_owned(), MORE.to_owned())]);
    let cases = cases.flat_map(|(file, text)| read(&file, &text));
    cases.flat_map(|case| ask_case(sendmail, &case)).collect()
}

fn read(file: &str, text: &str) -> Vec<Case> {
    let mut cases = Vec::new();
    for line in text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#')) {
        if let Some(title) = line.strip_prefix("== ") {
            cases.push(Case { title: format!("{file}, {title}"), ..Case::default() });
            continue;
        }
        let case: &mut Case = cases.last_mut().unwrap();
        match line.split_once('|') {
            Some(("access", entry)) => case.access += &format!("{}\n", entry.trim_start()),
            Some(("domaintable", entry)) => case.domaintable += &format!("{}\n", entry.trim()),
            Some(("relay-domains", entry)) => case.relay_domains += &format!("{}\n", entry.trim()),
            Some(_) | None => {
                let question = line.split_once(" = ").map_or(line, |(question, _)| question);
                // The address of the house in the test of the crate is not this machine's.
                if !question.starts_with("192.0.2.1 ") {
                    case.questions.push(question.to_owned());
                }
            }
        }
    }
    cases
}

fn ask_case(sendmail: &Sendmail, case: &Case) -> Vec<Answer> {
    let tables = [
        ("local-host-names", LOCAL.to_owned()),
        ("relay-domains", format!("{NETWORKS}{}", case.relay_domains)),
        ("domaintable", case.domaintable.clone()),
        ("virtuser-domains", "virt.test\n".to_owned()),
        ("virtusertable", VIRTUAL.to_owned()),
        ("aliases", ALIASES.to_owned()),
        ("access", case.access.clone()),
    ];
    let setting = Setting {
        hostname: "mx.example.org".to_owned(),
        tables: tables.map(|(name, text)| (name.to_owned(), text)).to_vec(),
        users: vec!["alice".to_owned()],
        ..Setting::default()
    };
    let lines: String = case.questions.iter().map(|question| input(question)).collect();
    let mut calls = vec![Call::reading(&["-bt"], &lines)];
    calls.extend(case.questions.iter().map(|question| Call::new(&["-bv", recipient(question)])));
    let theirs = replies(&sendmail.run(&setting, &calls));
    let ours = replies(&ours::run_all(&setting, "", &calls));
    let counts = [case.questions.len(), theirs.len(), ours.len()];
    assert!(counts.iter().all(|count| *count == counts[0]), "{}: {counts:?}", case.title);
    let answers = case.questions.iter().zip(theirs.into_iter().zip(ours));
    let answer = |(question, (sendmail, ours)): (&String, (String, String))| Answer {
        case: case.title.clone(),
        question: question.clone(),
        sendmail,
        ours,
    };
    answers.map(answer).collect()
}

/// What the ruleset says, and whether the recipient is known.
fn replies(outputs: &[Output]) -> Vec<String> {
    let (rulings, known) = outputs.split_first().unwrap();
    let rulings = triples(rulings).into_iter().zip(known);
    rulings.map(|(ruling, (known, _))| reply(&ruling, known)).collect()
}

/// The macros that a session sets, and the ruleset that RCPT asks.
fn input(question: &str) -> String {
    let words: Vec<_> = question.split_whitespace().collect();
    let [client, name, from, to] = *words.as_slice() else { panic!("{question}") };
    // On the submission socket nobody is a client: sendmail(8) says localhost.
    let (address, literal) = match client {
        "user" => ("127.0.0.1".to_owned(), "localhost".to_owned()),
        six if six.contains(':') && !six.starts_with("::ffff:") => {
            (format!("IPv6:{six}"), format!("[IPv6:{six}]"))
        }
        four => {
            let four = four.trim_start_matches("::ffff:");
            (four.to_owned(), format!("[{four}]"))
        }
    };
    let (name, resolve) = match name {
        "-" if client == "user" => (literal.as_str(), "OK"),
        "-" => (literal.as_str(), "FAIL"),
        "?" => (literal.as_str(), "TEMP"),
        name => (name, "OK"),
    };
    let from = if from == "<>" { "" } else { from };
    format!(
        ".D{{client_addr}}{address}\n.D{{client_name}}{name}\n.D{{client_resolve}}{resolve}\n\
         .Df{from}\ncheck_rcpt <{to}>\n"
    )
}

fn recipient(question: &str) -> &str {
    question.split_whitespace().last().unwrap()
}

/// What a client hears: the error of the ruleset, else whether the recipient is known.
fn reply(ruling: &str, known: &str) -> String {
    if let Some(error) = ruling.strip_prefix("$# error ") {
        return refusal(error);
    }
    if known.contains("User unknown") { "550 5.1.1".to_owned() } else { "250".to_owned() }
}

/// `$@ 5 . 7 . 1 $: "550 Access denied"` as buildaddr and usrerrenh make a reply of it.
fn refusal(error: &str) -> String {
    let (host, text) = error.split_once("$: ").unwrap();
    let enhanced = host.trim_start_matches("$@").replace(' ', "");
    let text = text.replace('"', "");
    let words: Vec<_> = text.split_whitespace().collect();
    let stated = words.first().filter(|word| word.len() == 3 && word.parse::<u16>().is_ok());
    let Some(code) = stated else { return "553 5.3.0".to_owned() };
    let inner = words.get(1).filter(|word| word.split('.').count() == 3).copied();
    match inner.unwrap_or(&enhanced) {
        "" => format!("{code} {}.0.0", &code[..1]),
        enhanced => format!("{code} {enhanced}"),
    }
}
