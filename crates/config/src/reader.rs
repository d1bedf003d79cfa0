//! Takes values out of a parsed file, and collects what is wrong with them.

use std::ops::Range;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeFloat, DeInteger, DeTable, DeValue};

use crate::keys::{NOT_YET, SUPPORTED};
use crate::{Finding, units};

/// One TOML table and its path, and where findings go.
#[derive(Debug)]
pub(crate) struct Reader {
    findings: Vec<Finding>,
}

/// A value and where it stands.
pub(crate) type Value<'a> = Spanned<DeValue<'a>>;

impl Reader {
    pub(crate) const fn new() -> Self {
        Self { findings: Vec::new() }
    }

    /// What was found, in the order of the file.
    pub(crate) fn finish(mut self) -> Vec<Finding> {
        self.findings.sort_by_key(|finding| finding.span.as_ref().map(|span| span.start));
        self.findings
    }

    pub(crate) fn find(
        &mut self,
        span: Range<usize>,
        problem: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        // A key may be quoted and hold anything.
        let problem = envelope::printable(&problem.into()).to_string();
        self.findings.push(Finding { span: Some(span), problem, remedy: remedy.into() });
    }

    /// Reports every key below `path` that is not known or not yet supported.
    pub(crate) fn check_keys(&mut self, table: &DeTable<'_>, path: &str) {
        for (key, value) in table {
            let name = key.get_ref();
            let whole = if path.is_empty() { name.to_string() } else { format!("{path}.{name}") };
            let is_table_of_lines = path == "tables" && tables::SUPPORTED.contains(&name.as_ref());
            if SUPPORTED.contains(&whole.as_str()) || is_table_of_lines {
                continue;
            }
            if NOT_YET.contains(&whole.as_str()) {
                let remedy = "remove it; a later version will read it";
                self.find(key.span(), format!("`{whole}` is not yet supported"), remedy);
            } else if is_table(&whole) {
                self.check_inner_keys(key.span(), value, &whole);
            } else {
                let remedy = nearest(&whole).map_or_else(
                    || "docs/configuration.md lists all keys".to_owned(),
                    |near| format!("did you mean `{near}`?"),
                );
                self.find(key.span(), format!("unknown key `{whole}`"), remedy);
            }
        }
    }

    fn check_inner_keys(&mut self, span: Range<usize>, value: &Value<'_>, path: &str) {
        let listener = path == "listener";
        if let DeValue::Table(table) = value.get_ref()
            && !listener
        {
            return self.check_keys(table, path);
        }
        let inner = value.get_ref().as_array().filter(|_| listener);
        let tables: Option<Vec<_>> =
            inner.and_then(|array| array.iter().map(|item| item.get_ref().as_table()).collect());
        match tables {
            Some(tables) => tables.into_iter().for_each(|table| self.check_keys(table, path)),
            None => {
                let form = if listener { "[[listener]]".to_owned() } else { format!("[{path}]") };
                self.find(span, format!("`{path}` is a table"), format!("write {form}"));
            }
        }
    }

    /// A text; anything else is a finding.
    pub(crate) fn text<'a>(&mut self, value: &'a Value<'_>) -> Option<&'a str> {
        let text = value.get_ref().as_str();
        if text.is_none() {
            let kind = value.get_ref().type_str();
            self.find(
                value.span(),
                format!("a string is wanted here, not {kind}"),
                "put it in quotes",
            );
        }
        text
    }

    /// A text that `read` understands, or else `problem` and `remedy` are a finding.
    pub(crate) fn parsed<T>(
        &mut self,
        value: &Value<'_>,
        read: impl FnOnce(&str) -> Option<T>,
        problem: &str,
        remedy: &str,
    ) -> Option<T> {
        let text = self.text(value)?;
        let parsed = read(text);
        if parsed.is_none() {
            self.find(value.span(), problem, remedy);
        }
        parsed
    }

    /// A list of texts that `read` understands; one text counts as a list.
    pub(crate) fn list<T>(
        &mut self,
        value: &Value<'_>,
        read: impl Fn(&str) -> Option<T>,
        problem: &str,
        remedy: &str,
    ) -> Option<Vec<T>> {
        match value.get_ref().as_array() {
            None => self.parsed(value, read, problem, remedy).map(|one| vec![one]),
            Some(array) => {
                let items = array.iter().map(|item| self.parsed(item, &read, problem, remedy));
                // Every item is read, so that each bad one is told.
                let items: Vec<_> = items.collect();
                items.into_iter().collect()
            }
        }
    }

    /// `true` or `false`, without quotes.
    pub(crate) fn switch(&mut self, value: &Value<'_>) -> Option<bool> {
        let switch = value.get_ref().as_bool();
        if switch.is_none() {
            self.find(value.span(), "this is neither true nor false", "write it without quotes");
        }
        switch
    }

    pub(crate) fn duration(&mut self, value: &Value<'_>) -> Option<Duration> {
        let remedy = "write a number with s, m, h, d or w: \"90s\" \"30m\" \"4h\" \"5d\"";
        self.parsed(value, units::duration, "this is not a duration", remedy)
    }

    pub(crate) fn size(&mut self, value: &Value<'_>) -> Option<u64> {
        let remedy = "write a number with a unit: \"64KiB\" \"50MB\" \"1GiB\"";
        self.parsed(value, units::size, "this is not a size", remedy)
    }

    /// A load average.
    pub(crate) fn load(&mut self, value: &Value<'_>) -> Option<f64> {
        let whole = value.get_ref().as_integer().filter(|whole| whole.radix() == 10);
        let text = whole.map(DeInteger::as_str);
        let text = text.or_else(|| value.get_ref().as_float().map(DeFloat::as_str));
        let load = text.and_then(|text| text.parse::<f64>().ok());
        let load = load.filter(|load| load.is_finite() && *load >= 0.0);
        if load.is_none() {
            let remedy = "write 16.0; 1000.0 is never reached";
            self.find(value.span(), "this is not a load average", remedy);
        }
        load
    }

    /// A whole number of at least `least`.
    pub(crate) fn number(&mut self, value: &Value<'_>, least: u32, why: &str) -> Option<u32> {
        let number = value
            .get_ref()
            .as_integer()
            .and_then(|number| u32::from_str_radix(number.as_str(), number.radix()).ok());
        if let Some(number) = number.filter(|number| *number >= least) {
            return Some(number);
        }
        let problem = format!("a whole number of at least {least} is wanted here");
        self.find(value.span(), problem, why);
        None
    }
}

/// Is this the name of a table that has supported keys?
fn is_table(path: &str) -> bool {
    SUPPORTED.iter().any(|key| key.split_once('.').is_some_and(|(table, _)| table == path))
}

/// The known key that is most like `key`, if any is.
fn nearest(key: &str) -> Option<&'static str> {
    let known = SUPPORTED.iter().chain(&NOT_YET).copied();
    let tables = [
        "tables",
        "listener",
        "relay",
        "masquerade",
        "local",
        "limits",
        "queue",
        "remote",
        "policy",
        "control",
        "log",
    ];
    let near = known.chain(tables).map(|other| (distance(key, other), other)).min()?;
    (near.0 <= 1 + key.len() / 4).then_some(near.1)
}

/// Levenshtein's distance.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (above, y) in row.iter_mut().skip(1).zip(b.chars()) {
            let best = (diagonal + usize::from(x != y)).min(left + 1).min(*above + 1);
            diagonal = std::mem::replace(above, best);
            left = best;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or(0)
}
