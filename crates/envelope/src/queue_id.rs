//! The name of a queued message.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// No vowels, so that no id spells a word; no punctuation, so that it is safe in a file name.
const ALPHABET: &[u8; 52] = b"0123456789BCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxyz";

/// What follows the letters: what reads sendmail's log takes a word for an id only if it ends in digits.
const DIGITS: usize = 5;

/// Names one queued message: arrival time in microseconds × 256 plus a random byte, so that ids
/// sort by arrival and stay unique for centuries. Shown as [`QueueId::WIDTH`] characters.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct QueueId(u64);

impl QueueId {
    /// Before all others.
    pub const FIRST: Self = Self(0);
    /// Characters of every id as text.
    pub const WIDTH: usize = 13;
    /// Characters of ids as they once were, without digits at the end.
    const FORMER_WIDTH: usize = 11;
    /// The first number that would need one more character.
    const END: u64 = 52_u64.pow(8) * 10_u64.pow(5);

    /// The id with this number; `None` beyond what [`QueueId::WIDTH`] characters hold.
    #[must_use]
    pub const fn new(number: u64) -> Option<Self> {
        if number < Self::END { Some(Self(number)) } else { None }
    }

    /// The number, as the queue's key.
    #[must_use]
    pub const fn number(self) -> u64 {
        self.0
    }

    /// An id for a message that arrives at `micros` (microseconds since 1970), later than `last`.
    #[must_use]
    pub fn next(last: Self, micros: u64) -> Self {
        let fresh = micros.saturating_mul(256).saturating_add(u64::from(fastrand::u8(..)));
        Self(fresh.max(last.0 + 1).min(Self::END - 1))
    }
}

impl fmt::Display for QueueId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = [b'0'; Self::WIDTH];
        let mut rest = self.0;
        for (place, slot) in text.iter_mut().rev().enumerate() {
            let base = base(place, DIGITS);
            let digit = usize::try_from(rest % base).unwrap_or(0);
            *slot = ALPHABET.get(digit).copied().unwrap_or(b'0');
            rest /= base;
        }
        f.pad(str::from_utf8(&text).unwrap_or_default())
    }
}

/// The base of a place, counted from the end, when so many are digits; these begin the alphabet.
const fn base(place: usize, digits: usize) -> u64 {
    if place < digits { 10 } else { 52 }
}

impl fmt::Debug for QueueId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "QueueId({self})")
    }
}

/// The text is not a queue id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueIdError;

impl fmt::Display for QueueIdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not a queue id ({} letters and digits, no vowels)", QueueId::WIDTH)
    }
}

impl std::error::Error for QueueIdError {}

impl FromStr for QueueId {
    type Err = QueueIdError;

    fn from_str(text: &str) -> Result<Self, QueueIdError> {
        let digits = match text.len() {
            Self::WIDTH => DIGITS,
            Self::FORMER_WIDTH => 0,
            _ => return Err(QueueIdError),
        };
        let mut places = text.bytes().zip((0..text.len()).rev());
        let number = places.try_fold(0_u64, |number, (byte, place)| {
            let base = base(place, digits);
            let digit = u64::try_from(ALPHABET.iter().position(|&c| c == byte)?).ok()?;
            number.checked_mul(base)?.checked_add(digit).filter(|_| digit < base)
        });
        number.and_then(Self::new).ok_or(QueueIdError)
    }
}

#[cfg(test)]
mod tests {
    use super::QueueId;

    #[test]
    fn text_and_number_agree_and_sort_alike() {
        let mut last = QueueId::new(0).unwrap();
        for micros in [1_790_000_000_000_000_u64, 1_790_000_000_000_000, 1_790_000_000_000_001] {
            let id = QueueId::next(last, micros);
            assert!(id > last);
            assert!(id.to_string() > last.to_string());
            assert_eq!(id.to_string().parse(), Ok(id));
            assert_eq!(id.to_string().len(), QueueId::WIDTH);
            last = id;
        }
    }

    #[test]
    fn other_text_is_refused() {
        for text in [
            "",
            "0",
            "aaaaaaaa00000",
            "../../etc/xyz",
            "zzzzzzzz999999",
            "000000000000z",
            "00000000000é",
        ] {
            assert!(text.parse::<QueueId>().is_err(), "{text}");
        }
        assert_eq!("zzzzzzzz99999".parse(), Ok(QueueId::new(QueueId::END - 1).unwrap()));
        assert_eq!("0000000100052".parse(), Ok(QueueId::new(100_052).unwrap()));
        assert_eq!("39JlPmwjZ4J".parse::<QueueId>().unwrap().to_string(), "4SRjwlH400000");
    }
}
