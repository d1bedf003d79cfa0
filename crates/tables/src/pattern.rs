//! `%1` and its kin in the value of an entry.

/// The value with each `%N` replaced by the Nth of `arguments`, by nothing where there are fewer, and
/// `%%` by `%` (map_rewrite in sendmail's map.c). `%0` is the key.
pub(crate) fn expand(value: &str, arguments: &[&str]) -> String {
    let mut expanded = String::with_capacity(value.len());
    let mut rest = value;
    while let Some((before, after)) = rest.split_once('%') {
        expanded.push_str(before);
        let mut chars = after.chars();
        match chars.next() {
            None | Some('%') => expanded.push('%'),
            Some(c) => match c.to_digit(10) {
                Some(number) => {
                    let argument = usize::try_from(number).ok().and_then(|n| arguments.get(n));
                    expanded.push_str(argument.copied().unwrap_or_default());
                }
                None => expanded.extend(['%', c]),
            },
        }
        rest = chars.as_str();
    }
    expanded.push_str(rest);
    expanded
}

#[cfg(test)]
mod tests {
    use super::expand;

    #[test]
    fn as_map_rewrite_does() {
        for (value, expanded) in [
            ("new+%2@example.com", "new+d@example.com"),
            ("%1%3@x", "u+d@x"),
            ("%0 %9.", "key ."),
            ("100%% %a %", "100% %a %"),
            ("%%1", "%1"),
            ("plain", "plain"),
            ("", ""),
        ] {
            assert_eq!(expand(value, &["key", "u", "d", "+d"]), expanded, "{value}");
        }
    }
}
