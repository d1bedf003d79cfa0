//! Durations (`90s` `30m` `4h` `5d`) and sizes (`64KiB` `50MB`).

use std::time::Duration;

/// A number and a unit: `s`, `m`, `h`, `d`, `w`.
pub(crate) fn duration(text: &str) -> Option<Duration> {
    let (number, unit) = split(text)?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 60 * 60,
        "d" => 24 * 60 * 60,
        "w" => 7 * 24 * 60 * 60,
        _ => return None,
    };
    number.checked_mul(seconds).map(Duration::from_secs)
}

/// A number of bytes with a unit: `B`, decimal `kB` `MB` `GB`, binary `KiB` `MiB` `GiB`.
pub(crate) fn size(text: &str) -> Option<u64> {
    let (number, unit) = split(text)?;
    let bytes = match unit {
        "B" => 1,
        "kB" | "KB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return None,
    };
    number.checked_mul(bytes)
}

fn split(text: &str) -> Option<(u64, &str)> {
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit())?);
    Some((number.parse().ok()?, unit.trim_start()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_with_units() {
        assert_eq!(duration("90s"), Some(Duration::from_secs(90)));
        assert_eq!(duration("5 d"), Some(Duration::from_secs(432_000)));
        assert_eq!(size("64KiB"), Some(65_536));
        assert_eq!(size("50MB"), Some(50_000_000));
        for bad in ["", "5", "m", "-5m", "5 parsecs", "1.5h", "99999999999999999999s"] {
            assert_eq!(duration(bad), None, "{bad}");
            assert_eq!(size(bad), None, "{bad}");
        }
    }
}
