//! The cases of `cases/*.txt`: each says which lines of sendmail's papers it comes from.
//!
//! `== …` begins a case with empty tables. `access| …`, `domaintable| …` and `relay-domains| …` are
//! lines of tables, `rules| …` is `policy.rules`, `helo| …` what the client calls itself from there on.
//! Each other line is a question and its answer: the client's address (or `user`), its name (`-` has
//! none, `?` cannot be found out), the reverse-path, the recipient; after `=` reply code, enhanced
//! code, the text if it matters in `(…)`, and the lines of tables that had a part in it; after 250
//! `discard`, `omit` or `hold:reason`. A reverse-path may be without a domain; one whose domain is
//! not in the DNS ends in `!`, and in `?` if the DNS does not answer. `terms`, a client and its name
//! is the question before the greeting; its answer are rate, sessions and pause, or `-`. `features`, a
//! client and its name: what srv_features returns, or `-`. `ehlo` and letters: what is not offered then.

use std::fmt::Write;

use super::*;

const FILES: [(&str, &str); 6] = [
    ("connection.txt", include_str!("../../tests/cases/connection.txt")),
    ("fates.txt", include_str!("../../tests/cases/fates.txt")),
    ("sender.txt", include_str!("../../tests/cases/sender.txt")),
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
    rules: Option<Vec<Rule>>,
    accepts_unqualified: bool,
    helo: String,
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
        let rules = vec![Rule::Access, Rule::UnresolvableSender];
        let mut policy = Policy {
            access: access.table,
            relay_domains: domains.table,
            rules: self.rules.clone().unwrap_or(rules),
            accept_unqualified_senders: self.accepts_unqualified,
            ..policy()
        };
        policy.router.domaintable = names.table;
        policy
    }

    fn rules(&mut self, text: &str) {
        let rule = |text: &str| match text.trim() {
            "" => None,
            "access" => Some(Rule::Access),
            "reject unresolvable_sender" => Some(Rule::UnresolvableSender),
            "reject bad_helo" => Some(Rule::BadHelo),
            "accept_unqualified_senders" => None,
            other => panic!("{other}"),
        };
        self.accepts_unqualified = text.contains("accept_unqualified_senders");
        self.rules = Some(text.split(',').filter_map(rule).collect());
    }

    fn terms(&self, client: &str, name: &str) -> String {
        let mut trace = Vec::new();
        let policy = self.policy();
        let name = if policy.greets_by_name() { client_name(name) } else { ClientName::NotAsked };
        let Terms { rate, sessions, pause, .. } =
            policy.terms(client.parse().unwrap(), &name, &mut trace);
        let shown = |number: Option<u32>| number.map_or("-".to_owned(), |it| it.to_string());
        let mut answer = format!("{} {} {}", shown(rate), shown(sessions), shown(pause));
        add_lines(&mut answer, trace.iter().map(ToString::to_string));
        answer
    }

    fn features(&self, client: &str, name: &str) -> String {
        let policy = self.policy();
        let name = if policy.greets_by_name() { client_name(name) } else { ClientName::NotAsked };
        let mut trace = Vec::new();
        let _ = policy.terms(client.parse().unwrap(), &name, &mut trace);
        let said = trace.iter().map(ToString::to_string).find_map(|step| {
            let (line, said) = step.split_once(": srv_features:")?;
            let (_, letters) = said.split_once(' ').unwrap();
            Some(format!("{letters} {line}"))
        });
        said.unwrap_or_else(|| "-".to_owned())
    }

    /// The answer to a question, if it is not the expected one.
    fn wrong(&mut self, line: &str) -> Option<String> {
        self.questions += 1;
        let (question, expected) = line.split_once(" = ").unwrap();
        let mut answer = self.answer(question);
        if !expected.contains('(') {
            // The text does not matter.
            let (start, rest) = answer.split_once(" (").unwrap_or((&answer, ""));
            let rest = rest.split_once(')').map_or("", |(_, rest)| rest);
            answer = format!("{start}{rest}");
        }
        (answer != expected.trim()).then_some(answer)
    }

    /// What the policy answers, in the words of a case.
    fn answer(&self, question: &str) -> String {
        let words: Vec<_> = question.split_whitespace().collect();
        if let ["terms", client, name] = *words.as_slice() {
            return self.terms(client, name);
        }
        if let ["features", client, name] = *words.as_slice() {
            return self.features(client, name);
        }
        if let ["ehlo", letters @ ..] = words.as_slice() {
            return withheld(&letters.join(" "));
        }
        let [client, name, from, to] = *words.as_slice() else { panic!("{question}") };
        let name = client_name(name);
        let client = match client {
            "user" => Client::User,
            address => Client::Network { address: address.parse().unwrap(), name: &name },
        };
        let (from, domain) = match from.split_at(from.len() - 1) {
            (from, "!") => (from, SenderDomain::Unknown),
            (from, "?") => (from, SenderDomain::InDoubt),
            _ => (from, SenderDomain::Exists),
        };
        let unqualified = from != "<>" && !from.contains('@');
        let path = if unqualified { format!("{from}@mx.example.org") } else { from.to_owned() };
        let reverse_path = ReversePath((from != "<>").then(|| path.parse().unwrap()));
        let policy = self.policy();
        let asked =
            Sending { helo: &self.helo, unqualified, ..Sending::plain(client, &reverse_path) };
        // The DNS is asked only about what matters.
        let domain = policy.asks_for_domain(&asked).map_or(SenderDomain::NotAsked, |_| domain);
        let (verdict, trace) = decide(&policy, &Sending { domain, ..asked }, to);
        let mut answer = match verdict {
            Verdict::Accept(Disposition::Deliver) => "250".to_owned(),
            Verdict::Accept(Disposition::Discard) => "250 discard".to_owned(),
            Verdict::Accept(Disposition::Omit) => "250 omit".to_owned(),
            Verdict::Accept(Disposition::Quarantine(reason)) => format!("250 hold:{reason}"),
            Verdict::Refuse { code, text } => {
                let (enhanced, text) = text.split_once(' ').unwrap();
                let text = text.split_once(">... ").map_or(text, |(_, text)| text);
                format!("{code} {enhanced} ({text})")
            }
        };
        add_lines(&mut answer, trace.into_iter());
        answer
    }
}

/// What is not offered where a line has these letters.
fn withheld(letters: &str) -> String {
    let access = format!("Srv_Features: {letters}\n");
    let case = Case { access, ..Case::default() };
    let address = IpAddr::from([192, 0, 2, 7]);
    let terms = case.policy().terms(address, &ClientName::NotAsked, &mut Vec::new());
    if terms.withheld.is_empty() { "-".to_owned() } else { terms.withheld.to_string() }
}

fn client_name(name: &str) -> ClientName {
    match name {
        "-" => ClientName::None,
        "?" => ClientName::Unknown,
        name => ClientName::Confirmed(name.to_owned()),
    }
}

fn add_lines(answer: &mut String, trace: impl Iterator<Item = String>) {
    for step in trace {
        let line = step.split_once(": ").map_or("", |(line, _)| line);
        if ["access:", "domaintable:", "relay-domains:"].iter().any(|it| line.starts_with(it)) {
            write!(answer, " {line}").unwrap();
        }
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
            } else if let Some(rules) = line.strip_prefix("rules|") {
                case.rules(rules);
            } else if let Some(helo) = line.strip_prefix("helo|") {
                case.helo = helo.trim().to_owned();
            } else {
                let place = format!("{file}:{}", number + 1);
                wrong.extend(case.wrong(line).map(|got| format!("{place}: {line}\n   got {got}")));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
