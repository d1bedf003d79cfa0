//! What a client hears, by what rulesets return.

use std::fmt;

use crate::real::Output;
use crate::routes::triples;

/// What the rulesets say, and whether the recipient is known: the first output is that of `-bt`, each other one that of
/// `-bv` for a question.
pub(super) fn replies(outputs: &[Output], asks_for_pairs: bool) -> Vec<Reply> {
    let (rulings, known) = outputs.split_first().unwrap();
    let rulings = triples(rulings);
    let each = if asks_for_pairs { 2 } else { 1 };
    assert_eq!(rulings.len(), each * known.len(), "{rulings:?}");
    let rulings = rulings.chunks(each).zip(known);
    rulings.map(|(rulings, (known, _))| reply(rulings, known)).collect()
}

/// The error of the first ruleset, else whether the recipient is known; a message that is accepted may be for nobody.
fn reply(rulings: &[String], known: &str) -> Reply {
    let (ruling, pair) = rulings.split_first().unwrap();
    let pair = pair.first().map_or("", String::as_str);
    match (ruling.strip_prefix("$# error "), pair.strip_prefix("$# error ")) {
        (Some(error), _) if !error.starts_with("$@ quarantine ") => refusal(error),
        (None, _) if ruling.starts_with("$# discard ") => Reply::new("250 discard", ""),
        (_, Some(error)) => refusal(error),
        _ if known.contains("User unknown") => Reply::new("550 5.1.1", "User unknown"),
        (Some(held), _) => {
            let reason = held.split_once("$: ").unwrap().1.replace('"', "");
            Reply::new(&format!("250 hold:{}", reason.trim()), "")
        }
        (None, None) if pair.starts_with("$# discard ") => Reply::new("250 omit", ""),
        (None, None) => Reply::new("250", ""),
    }
}

/// `$@ 5 . 7 . 1 $: "550 Access denied"` as buildaddr and usrerrenh make a reply of it.
fn refusal(error: &str) -> Reply {
    let (host, text) = error.split_once("$: ").unwrap();
    // A word is for exit codes alone.
    let enhanced = host.trim_start_matches("$@").replace(' ', "");
    let enhanced = if enhanced.contains('.') { enhanced.as_str() } else { "" };
    let text = text.replace('"', "");
    let words: Vec<_> = text.split_whitespace().collect();
    let stated = words.first().filter(|word| word.len() == 3 && word.parse::<u16>().is_ok());
    let Some(code) = stated else { return Reply::new("553 5.3.0", &words.join(" ")) };
    let inner = words.get(1).filter(|word| word.split('.').count() == 3).copied();
    let text = words[if inner.is_some() { 2 } else { 1 }..].join(" ");
    match inner.unwrap_or(enhanced) {
        "" => Reply::new(&format!("{code} {}.0.0", &code[..1]), &text),
        enhanced => Reply::new(&format!("{code} {enhanced}"), &text),
    }
}

/// `550 5.7.1`, or what becomes of an accepted message, and the text of a refusal.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) codes: String,
    text: String,
}

impl Reply {
    /// Addresses and names in the text are tokens.
    fn new(codes: &str, text: &str) -> Self {
        let mut text = text.to_owned();
        for (tokens, word) in [(" @ ", "@"), (" . ", "."), ("[ ", "["), (" ]", "]")] {
            text = text.replace(tokens, word);
        }
        Self { codes: codes.to_owned(), text }
    }
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { codes, text } = self;
        if text.is_empty() { f.write_str(codes) } else { write!(f, "{codes} ({text})") }
    }
}
