//! Durations on the command line, written as in `pennypost.toml`: `90s`, `30m`, `4h`, `5d`.

/// Reads a duration in seconds.
///
/// # Errors
/// What is wrong with the text.
pub(super) fn seconds(text: &str) -> Result<u64, String> {
    let unit = match text.chars().last() {
        Some('s') => 1,
        Some('m') => 60,
        Some('h') => 3600,
        Some('d') => 86_400,
        Some('w') => 604_800,
        _ => return Err("a number and s, m, h, d or w, like 90s or 4h".to_owned()),
    };
    let number = text.trim_end_matches(['s', 'm', 'h', 'd', 'w']);
    let number: u64 = number.parse().map_err(|_| format!("{number:?} is not a number"))?;
    number.checked_mul(unit).ok_or_else(|| "too long".to_owned())
}

#[cfg(test)]
mod tests {
    use super::seconds;

    #[test]
    fn units() {
        assert_eq!(seconds("90s"), Ok(90));
        assert_eq!(seconds("4h"), Ok(14_400));
        assert_eq!(seconds("2w"), Ok(1_209_600));
        for bad in ["", "4", "h", "-1h", "1.5h", "99999999999999999999s", "9999999999999999999w"] {
            assert!(seconds(bad).is_err(), "{bad}");
        }
    }
}
