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
