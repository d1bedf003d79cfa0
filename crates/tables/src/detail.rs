//! What may follow a user's name in an address.

/// User and detail of a local part, in lower case: `Alice+Lists` is `alice` and `lists`.
#[must_use]
pub fn split_detail(local: &str, separator: &str) -> (String, Option<String>) {
    let local = local.to_lowercase();
    match local.split_once(separator) {
        Some((user, detail)) if !separator.is_empty() && !user.is_empty() => {
            (user.to_owned(), Some(detail.to_owned()))
        }
        _ => (local, None),
    }
}

/// User and detail as they are written; the first character is the user's, whatever it is.
pub(crate) fn split<'a>(local: &'a str, separator: &str) -> Option<(&'a str, &'a str)> {
    let first = local.chars().next()?.len_utf8();
    let at = first + local.get(first..)?.find(separator).filter(|_| !separator.is_empty())?;
    Some((local.get(..at)?, local.get(at + separator.len()..)?))
}
