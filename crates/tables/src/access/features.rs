//! What is not offered to a client: the value of `Srv_Features:` (op.me, "srv_features").
//!
//! **Invariant:** a line turns off what all others are offered; it gives no client more than they have.

use std::fmt;

use envelope::{Extension, Extensions};

use crate::lines::Wrong;

use super::value::unquoted;

/// Letters with white space between them, of which the last one counts, or keywords of EHLO.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Features {
    /// As they are written.
    text: String,
    /// What is not offered.
    pub withheld: Extensions,
    /// Some are about AUTH and TLS, which nobody is offered yet.
    pub(super) early: bool,
}

/// What one letter or keyword does.
enum Effect {
    Withhold(Extension),
    Offer(Extension),
    /// So it is for everybody.
    None,
    /// It will have one once there are AUTH and TLS.
    Early,
}

impl Features {
    pub(super) fn read(text: &str) -> Result<Self, Wrong> {
        let words: Vec<_> = unquoted(text).split_whitespace().collect();
        let mut features = Self { text: words.join(" "), withheld: Extensions::NONE, early: false };
        if words.is_empty() {
            return Err(wrong(text));
        }
        for word in words {
            match effect(word)? {
                Effect::Withhold(it) => features.withheld = features.withheld.with(it),
                Effect::Offer(it) => features.withheld = features.withheld.without(it),
                Effect::Early => features.early = true,
                Effect::None => {}
            }
        }
        Ok(features)
    }
}

impl fmt::Display for Features {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn effect(word: &str) -> Result<Effect, Wrong> {
    let refuse = |why: &str| Err(Wrong::line(format!("Srv_Features: {word}: {why}")));
    Ok(match word {
        "P" => Effect::Withhold(Extension::Pipelining),
        "p" => Effect::Offer(Extension::Pipelining),
        "D" => Effect::Withhold(Extension::Dsn),
        "d" => Effect::Offer(Extension::Dsn),
        "I" => Effect::Withhold(Extension::SmtpUtf8),
        "i" => Effect::Offer(Extension::SmtpUtf8),
        "B" | "E" | "X" | "h" | "L" => Effect::None,
        "A" | "a" | "C" | "c" | "R" | "r" | "S" | "s" | "V" | "v" => Effect::Early,
        // Who ignored it would take mail from whom the administrator lets in with a password only.
        "l" => return Err(Wrong::unsupported("Srv_Features: l (AUTH is required)")),
        "b" => return refuse("VERB is offered to nobody: it shows strangers what happens inside"),
        "e" => return refuse("ETRN is offered to nobody: strangers would run the queue"),
        "x" => return refuse("EXPN is offered to nobody: it tells strangers who is on a list"),
        "H" => return refuse("a session in which HTTP is spoken ends, whoever speaks it"),
        word => Effect::Withhold(Extension::of_keyword(word).ok_or_else(|| wrong(word))?),
    })
}

fn wrong(text: &str) -> Wrong {
    let remedy = "write letters with white space between them, such as P D, or keywords of EHLO";
    Wrong::line(format!("{text:?} is not understood: {remedy}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn withheld(text: &str) -> String {
        Features::read(text).unwrap().withheld.to_string()
    }

    #[test]
    fn each_letter_turns_its_own_off() {
        for (text, expected) in [
            ("P", "PIPELINING"),
            ("D", "DSN"),
            ("I", "SMTPUTF8"),
            ("P D I", "PIPELINING SMTPUTF8 DSN"),
            ("P\tD  p", "DSN"),
            ("p P d D i I", "PIPELINING SMTPUTF8 DSN"),
            ("P p D d I i", ""),
            ("\"P\"", "PIPELINING"),
            ("B E X h L p d i", ""),
            ("chunking Size 8bitmime limits", "SIZE 8BITMIME CHUNKING LIMITS"),
            ("PIPELINING DSN SMTPUTF8", "PIPELINING SMTPUTF8 DSN"),
        ] {
            assert_eq!(withheld(text), expected, "{text}");
        }
        assert_eq!(Features::read(" P\tD ").unwrap().to_string(), "P D");
    }

    #[test]
    fn some_letters_wait_for_auth_and_tls() {
        for letter in ["A", "a", "C", "c", "R", "r", "S", "s", "V", "v"] {
            let features = Features::read(&format!("{letter} P")).unwrap();
            assert!(features.early && features.withheld.has(Extension::Pipelining), "{letter}");
        }
        assert!(!Features::read("P D I B E X h L p d i").unwrap().early);
    }

    #[test]
    fn what_gives_strangers_more_is_refused() {
        for (text, why) in [
            ("b", "VERB is offered to nobody"),
            ("P e", "ETRN is offered to nobody"),
            ("x P", "EXPN is offered to nobody"),
            ("H", "a session in which HTTP is spoken ends"),
            ("PD", "is not understood: write letters"),
            ("STARTTLS", "is not understood: write letters"),
            ("N", "is not understood: write letters"),
            ("", "is not understood: write letters"),
            ("\"\"", "is not understood: write letters"),
        ] {
            let wrong = Features::read(text).unwrap_err();
            assert!(!wrong.is_unsupported(), "{text}");
            let told = wrong.into_text();
            assert!(told.contains(why), "{text}: {told}");
        }
        assert!(Features::read("P l").unwrap_err().is_unsupported());
    }
}
