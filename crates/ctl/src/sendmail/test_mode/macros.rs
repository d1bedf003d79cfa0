//! `$j`, `$=w`, `.Df…`, `.Cw…`: what sendmail calls macros and classes.

use std::collections::BTreeMap;

use crate::sendmail::identity;

/// Values that were set with `.D` and `.C`, beside those that are.
#[derive(Debug, Default)]
pub(super) struct Macros {
    defined: BTreeMap<String, String>,
    classes: BTreeMap<String, Vec<String>>,
}

impl Macros {
    /// The names of this host, and the version.
    pub(super) fn new(names: &identity::Names) -> Self {
        let version = env!("CARGO_PKG_VERSION");
        let defined = [
            ("j", names.canonical.as_str()),
            ("w", &names.short),
            ("m", &names.domain),
            ("k", &names.node),
            ("v", version),
            ("n", "MAILER-DAEMON"),
            ("l", "From $g  $d"),
        ];
        let defined = defined.map(|(name, value)| (name.to_owned(), value.to_owned()));
        Self { defined: defined.into(), classes: BTreeMap::new() }
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.defined.get(name).map(String::as_str)
    }

    /// `.Dfx@a.test`, without the `.D`: nothing after the name takes the value away.
    pub(super) fn define(&mut self, text: &str) {
        let Some((name, value)) = split(text) else { return };
        let value = self.expand(value);
        self.defined.insert(name.to_owned(), value);
    }

    /// `.Cwa.test b.test`, without the `.C`.
    pub(super) fn add(&mut self, text: &str) {
        let Some((name, words)) = split(text) else { return };
        let words = self.expand(words);
        let words = words.split_whitespace().map(str::to_owned);
        self.classes.entry(name.to_owned()).or_default().extend(words);
    }

    /// What `.C` added.
    pub(super) fn class(&self, name: &str) -> &[String] {
        self.classes.get(name).map_or(&[], Vec::as_slice)
    }

    /// `$x`, `${name}` and `$&x` become their values, and nothing where there is none.
    pub(super) fn expand(&self, text: &str) -> String {
        let mut expanded = String::with_capacity(text.len());
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('$') {
            expanded.push_str(before);
            rest = match split(after.strip_prefix('&').unwrap_or(after)) {
                Some((name, after)) => {
                    expanded.push_str(self.get(name).unwrap_or_default());
                    after
                }
                None => after,
            };
        }
        expanded + rest
    }
}

/// The name of a macro or class, one character or several in braces, and what follows.
pub(super) fn split(text: &str) -> Option<(&str, &str)> {
    if let Some(rest) = text.strip_prefix('{') {
        return rest.split_once('}');
    }
    let first = text.chars().next()?;
    text.split_at_checked(first.len_utf8())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_one_character_or_in_braces() {
        let mut macros = Macros::default();
        macros.define("fx@a.test");
        macros.define("{client_addr}192.0.2.1");
        macros.define("y");
        macros.define("");
        macros.define("z<$f>");
        assert_eq!(macros.get("f"), Some("x@a.test"));
        assert_eq!(macros.get("client_addr"), Some("192.0.2.1"));
        assert_eq!((macros.get("y"), macros.get("z")), (Some(""), Some("<x@a.test>")));
        assert_eq!(macros.get("q"), None);
        assert_eq!(
            macros.expand("a $f b ${client_addr}.$q$&f 5$"),
            "a x@a.test b 192.0.2.1.x@a.test 5"
        );
    }

    #[test]
    fn classes_grow() {
        let mut macros = Macros::default();
        macros.add("Ra.test  b.test");
        macros.add("Rc.test");
        macros.add("{Long}x");
        assert_eq!(macros.class("R"), ["a.test", "b.test", "c.test"]);
        assert_eq!((macros.class("Long").len(), macros.class("S").len()), (1, 0));
    }
}
