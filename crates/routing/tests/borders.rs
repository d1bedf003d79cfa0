//! The cases of `borders/*.txt`: keys, tables, and what addresses are called by them.
//!
//! A line of the section `[names]` is `PART TAKER ADDRESS => ADDRESS by FILE:LINE …`: the part is `H`eader
//! or `E`nvelope, `S`ender or `R`ecipient (as for `/tryflags` of `sendmail -bt`), the taker `esmtp` or
//! `local`. The comment above tells the place in sendmail's papers; all cases hold for Sendmail 8.17.1, too.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "test code: what goes wrong is to stop the test"
)]

use std::collections::HashMap;
use std::convert::Infallible;
use std::fs;
use std::path::Path;

use envelope::ReversePath;
use proptest::prelude::*;
use routing::{Border, Masquerade, Part, Settings, Taker};
use tables::{Reader, Source};

#[test]
fn every_case_holds() {
    let mut wrong = Vec::new();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/borders");
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        let tables = Tables(sections(&text));
        let border = tables.border();
        let names = tables.0["names"].lines().filter(|line| !line.is_empty());
        let mut cases = names.filter(|line| !line.starts_with('#')).peekable();
        assert!(cases.peek().is_some(), "{} has no cases", path.display());
        for case in cases {
            let (asked, _) = case.split_once(" => ").unwrap();
            let actual = format!("{asked} => {}", renamed(&border, asked));
            if actual != case {
                let file = path.file_name().unwrap().display();
                wrong.push(format!("{file}\n  expected {case}\n  is       {actual}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn sections(text: &str) -> HashMap<String, String> {
    let mut sections: HashMap<String, String> = HashMap::new();
    let mut section = String::new();
    for line in text.lines() {
        match line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            Some(name) if !name.starts_with(char::is_numeric) => section = name.to_owned(),
            _ => sections.entry(section.clone()).or_default().push_str(&format!("{line}\n")),
        }
    }
    sections
}

#[derive(Default)]
struct Tables(HashMap<String, String>);

impl Source for Tables {
    type Error = Infallible;

    fn table<T: Default>(&self, name: &str, read: Reader<T>) -> Result<T, Infallible> {
        let text = self.0.get(name).cloned().unwrap_or_default();
        let read = read(name, &mut text.as_bytes()).unwrap();
        assert_eq!(read.findings, [], "{name}");
        Ok(read.table)
    }
}

impl Tables {
    fn border(&self) -> Border {
        let settings = Settings {
            hostname: "here.test".into(),
            addresses: vec!["192.0.2.1".parse().unwrap()],
            detail: "+".into(),
            ..Settings::default()
        };
        let Ok(border) = Border::read(settings, self.masquerade(), self);
        border
    }

    fn masquerade(&self) -> Masquerade {
        let mut masquerade =
            Masquerade { local: true, exposed_users: vec!["root".into()], ..Masquerade::default() };
        for line in self.0.get("masquerade").into_iter().flat_map(|text| text.lines()) {
            let (key, value) = line.split_once(" = ").unwrap();
            let list = || value.split('"').skip(1).step_by(2).map(str::to_owned).collect();
            let is_true = value == "true";
            match key {
                "as" => masquerade.name = Some(value.trim_matches('"').to_owned()),
                "envelope" => masquerade.envelope = is_true,
                "all" => masquerade.all = is_true,
                "entire_domain" => masquerade.entire_domain = is_true,
                "limited" => masquerade.limited = is_true,
                "local" => masquerade.local = is_true,
                "generics_entire_domain" => masquerade.generics_entire_domain = is_true,
                "exceptions" => masquerade.exceptions = list(),
                "exposed_users" => masquerade.exposed_users = list(),
                other => panic!("{other}"),
            }
        }
        masquerade
    }
}

/// `ADDRESS by FILE:LINE …`
fn renamed(border: &Border, asked: &str) -> String {
    let words: Vec<_> = asked.split(' ').collect();
    let [part, taker, address] = *words.as_slice() else { panic!("{asked}") };
    let part = match part {
        "HS" => Part::HeaderSender,
        "HR" => Part::HeaderRecipient,
        "ES" => Part::EnvelopeSender,
        "ER" => Part::EnvelopeRecipient,
        other => panic!("{other}"),
    };
    let taker = match taker {
        "esmtp" => Taker::Smtp,
        "local" => Taker::Local,
        other => panic!("{other}"),
    };
    let (local, domain) = match address.split_once('@') {
        Some((local, domain)) => (local, Some(domain)),
        None => (address, None),
    };
    let mut trace = Vec::new();
    let new = border.rewrite((part, taker), local, domain, &mut trace);
    let new = new.map_or(address.to_owned(), |new| new.to_string());
    let by: Vec<_> = trace
        .iter()
        .map(|step| match step.line {
            Some(line) => format!("{}:{line}", step.file),
            None => step.file.to_string(),
        })
        .collect();
    if by.is_empty() { new } else { format!("{new} by {}", by.join(" ")) }
}

#[test]
fn a_reverse_path_is_an_envelope_sender() {
    let tables = Tables(sections("[masquerade]\nas = \"masq.com\"\nenvelope = true\n"));
    let border = tables.border();
    let path = |text: &str| ReversePath(text.parse().ok());
    let renamed = |text| border.reverse_path(&path(text), Taker::Smtp, &mut Vec::new());
    assert_eq!(renamed("a@here.test"), "a@masq.com".parse().ok());
    assert_eq!(renamed("a@far.test"), None);
    assert_eq!(border.reverse_path(&ReversePath::NULL, Taker::Smtp, &mut Vec::new()), None);
}

#[test]
fn without_a_word_about_it_no_name_changes() {
    assert!(!Tables::default().border().changes_names());
    for some in
        ["[masquerade]\nas = \"a.test\"", "[genericstable]\na b", "[domaintable]\na.test b.test"]
    {
        assert!(Tables(sections(some)).border().changes_names(), "{some}");
    }
}

#[test]
fn names_that_route_and_names_that_are_too_long_stay() {
    let border = Tables(sections("[masquerade]\nas = \"masq.com\"\n")).border();
    let long = "x".repeat(65);
    for name in ["a!b", "a%b", &long] {
        let mut trace = Vec::new();
        let new = border.rewrite((Part::HeaderSender, Taker::Smtp), name, None, &mut trace);
        assert_eq!((new, trace), (None, Vec::new()), "{name}");
    }
}

proptest! {
    /// Masquerading leads out of what is masqueraded.
    #[test]
    fn a_second_time_changes_nothing(
        local in "[a-c+.%!]{1,4}",
        domain in prop::option::of(prop::sample::select(vec![
            "here.test", "w.test", "x.w.test", "m.test", "a.m.test", "keep.m.test", "masq.com", "localhost", "far.test",
        ])),
        switches in any::<[bool; 5]>(),
        part in prop::sample::select(vec![
            Part::HeaderSender, Part::HeaderRecipient, Part::EnvelopeSender, Part::EnvelopeRecipient,
        ]),
    ) {
        let [envelope, all, entire_domain, limited, stays] = switches;
        let tables = "[local-host-names]\nw.test\n[masquerade-domains]\nm.test\n[masquerade]\nas = \"masq.com\"\n\
                      exposed_users = [\"a\"]\nexceptions = [\"keep.m.test\"]\n";
        let tables = format!("{tables}envelope = {envelope}\nall = {all}\nentire_domain = {entire_domain}\n\
                              limited = {limited}\n");
        let border = Tables(sections(&tables)).border();
        let which = (part, if stays { Taker::Local } else { Taker::Smtp });
        if let Some(once) = border.rewrite(which, &local, domain, &mut Vec::new()) {
            prop_assert_eq!(once.local(), local.as_str());
            let twice = border.rewrite(which, once.local(), Some(once.domain()), &mut Vec::new());
            // A name alone becomes that of the host, which may be masqueraded for others.
            prop_assert_eq!(twice, None);
        }
    }
}

/// Canonify2 in proto.m4: `localhost.$m` is this host, `$m` being all but the first label.
#[test]
fn localhost_in_the_own_domain_is_this_host() {
    let settings = Settings { hostname: "mx.a.test".into(), ..Settings::default() };
    let Ok(border) = Border::read(settings, Masquerade::default(), &Tables::default());
    let renamed = |domain: &str| {
        let new =
            border.rewrite((Part::HeaderSender, Taker::Smtp), "x", Some(domain), &mut Vec::new());
        new.map(|new| new.to_string())
    };
    assert_eq!(renamed("localhost.a.test").as_deref(), Some("x@mx.a.test"));
    assert_eq!((renamed("localhost.test"), renamed("localhost.b.a.test")), (None, None));
}
