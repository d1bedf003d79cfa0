//! The questions of the crate's cases, in the words of `-bt`.

use std::fmt;

/// Tables and questions below one `== title`.
#[derive(Default)]
pub(super) struct Case {
    pub(super) title: String,
    pub(super) access: String,
    pub(super) relay_domains: String,
    pub(super) domaintable: String,
    /// `policy.rules`, if the case has its own.
    rules: Option<String>,
    pub(super) questions: Vec<Question>,
    /// About what is said before the greeting: the words, and our answer.
    pub(super) terms: Vec<(String, String)>,
}

pub(super) struct Question {
    client: String,
    name: String,
    /// With its mark: `x@far.test!` has no domain in the DNS.
    pub(super) from: String,
    pub(super) to: String,
    helo: String,
    /// What the case expects.
    answer: String,
}

/// In the words of rulesets.
pub(super) struct Client {
    pub(super) address: String,
    pub(super) name: String,
    resolve: &'static str,
}

pub(super) fn read(file: &str, text: &str) -> Vec<Case> {
    let (mut cases, mut helo) = (Vec::<Case>::new(), String::new());
    for line in text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#')) {
        if let Some(title) = line.strip_prefix("== ") {
            cases.push(Case { title: format!("{file}, {title}"), ..Case::default() });
            helo.clear();
            continue;
        }
        let case = cases.last_mut().unwrap();
        match line.split_once('|') {
            Some(("access", entry)) => case.access += &format!("{}\n", entry.trim_start()),
            Some(("domaintable", entry)) => case.domaintable += &format!("{}\n", entry.trim()),
            Some(("relay-domains", entry)) => case.relay_domains += &format!("{}\n", entry.trim()),
            Some(("rules", rules)) => case.rules = Some(rules.to_owned()),
            Some(("helo", name)) => name.trim().clone_into(&mut helo),
            Some(_) | None => case.question(line, &helo),
        }
    }
    for case in &mut cases {
        case.finish();
    }
    cases
}

impl Case {
    fn question(&mut self, line: &str, helo: &str) {
        let (question, answer) = line.split_once(" = ").unwrap_or((line, ""));
        let words: Vec<_> = question.split_whitespace().collect();
        match *words.as_slice() {
            // The address of the house in the test of the crate is not this machine's.
            ["192.0.2.1", ..] | ["terms", "192.0.2.1", _] => {}
            ["terms" | "features" | "ehlo", ..] => {
                self.terms.push((question.to_owned(), answer.to_owned()));
            }
            // A DNS that does not answer is none that could be shown.
            [_, _, from, _] if from.ends_with('?') => {}
            [client, name, from, to] => self.questions.push(Question {
                client: client.to_owned(),
                name: name.to_owned(),
                from: from.to_owned(),
                to: to.to_owned(),
                helo: helo.to_owned(),
                answer: answer.to_owned(),
            }),
            _ => panic!("{line}"),
        }
    }

    /// Without the access rule nobody asks the table.
    fn finish(&mut self) {
        if self
            .rules
            .as_ref()
            .is_some_and(|rules| !rules.split(',').any(|it| it.trim() == "access"))
        {
            self.access.clear();
        }
    }

    pub(super) fn asks_for_domains(&self) -> bool {
        self.rules.as_ref().is_none_or(|rules| rules.contains("unresolvable_sender"))
    }

    /// What `sendmail.mc` has for it.
    pub(super) fn features(&self) -> String {
        let access = self.access.to_lowercase();
        let rules = self.rules.as_deref().unwrap_or_default();
        let mut features = String::new();
        for (is_wanted, feature) in [
            (rules.contains("accept_unqualified_senders"), "`accept_unqualified_senders'"),
            (rules.contains("reject bad_helo"), "`block_bad_helo'"),
            (access.contains("spam:") && access.contains("friend"), "`delay_checks', `friend'"),
            (access.contains("spam:") && access.contains("hater"), "`delay_checks', `hater'"),
            (access.contains("compat:"), "`compat_check'"),
        ] {
            if is_wanted {
                features += &format!("FEATURE({feature})\n");
            }
        }
        features + PAIRS
    }
}

/// So that `-bt` can hand two words to a ruleset, as proto.m4 has it at its end.
const PAIRS: &str = "LOCAL_RULESETS\nSStart\nR$* $$| $*\t$: $1 $| $2\ndivert(0)dnl\n";

impl Question {
    /// What the session knows, and the ruleset that RCPT asks; also the one that is asked at delivery.
    pub(super) fn input(&self, asks_for_pairs: bool) -> String {
        let Self { from, to, helo, .. } = self;
        let from = from.trim_end_matches('!');
        let from = if from == "<>" { "" } else { from };
        let client = Client::read(&self.client, &self.name).macros();
        let mut input = format!("{client}.Ds{helo}\n.Df{from}\ncheck_rcpt <{to}>\n");
        if asks_for_pairs {
            input += &format!("Start,check_compat <{from}> $| <{to}>\n");
        }
        input
    }

    /// Our answer, without the lines of tables.
    pub(super) fn reply(&self) -> String {
        let end = [" access:", " domaintable:"].into_iter().filter_map(|it| self.answer.find(it));
        let end = end.min().unwrap_or(self.answer.len());
        self.answer[..end].to_owned()
    }
}

impl Client {
    pub(super) fn read(address: &str, name: &str) -> Self {
        let (own, literal) = match address {
            // On the submission socket nobody is a client: sendmail(8) says localhost.
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
            "-" if address == "user" => (literal, "OK"),
            "-" => (literal, "FAIL"),
            "?" => (literal, "TEMP"),
            name => (name.to_owned(), "OK"),
        };
        Self { address: own, name, resolve }
    }

    /// What a session sets.
    pub(super) fn macros(&self) -> String {
        let Self { address, name, resolve } = self;
        format!(
            ".D{{client_addr}}{address}\n.D{{client_name}}{name}\n.D{{client_resolve}}{resolve}\n"
        )
    }
}

impl fmt::Display for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { client, name, from, to, helo, .. } = self;
        let helo = if helo.is_empty() { "" } else { &format!("HELO {helo}, ") };
        write!(f, "{helo}{client} {name} {from} {to}")
    }
}
