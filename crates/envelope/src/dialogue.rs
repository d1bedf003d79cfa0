//! What was said in an attempt, for those who watch: our lines after `>>> `, the replies as they
//! came, what the DNS said after [`Dialogue::LOOKUP`], and in our words what else was done.
//!
//! **Invariant:** message content is never in it. From outside, so escape each line before showing
//! it.

use serde::{Deserialize, Serialize};

/// Lines, each with its `\n`; at most [`Dialogue::MAX`] bytes and [`Dialogue::MORE`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String")]
pub struct Dialogue(String);

impl Dialogue {
    /// Bytes that are kept: a transaction with 100 recipients, usual ones.
    pub const MAX: usize = 16 * 1024;
    /// In the place of what is beyond. Without a line end: nothing follows it.
    pub const MORE: &str = "... and more";
    /// Before what was asked of the DNS, and what it said. No reply of a host begins so.
    pub const LOOKUP: &str = "dns: ";

    /// Adds a line, if there is room.
    pub fn push(&mut self, line: &str) {
        if self.is_full() {
            return;
        }
        if line == Self::MORE || self.0.len() + line.len() >= Self::MAX {
            return self.0.push_str(Self::MORE);
        }
        self.0.push_str(line);
        self.0.push('\n');
    }

    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Bytes.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.0.len()
    }

    pub fn lines(&self) -> impl Iterator<Item = &str> {
        self.0.lines()
    }

    fn is_full(&self) -> bool {
        !self.is_empty() && !self.0.ends_with('\n')
    }
}

/// As another process tells it, which may have been taken over.
impl From<String> for Dialogue {
    fn from(text: String) -> Self {
        let mut dialogue = Self::default();
        text.split_terminator('\n').for_each(|line| dialogue.push(line));
        dialogue
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_bounded_here_and_on_its_way() {
        let mut dialogue = Dialogue::default();
        for _ in 0..Dialogue::MAX {
            dialogue.push("250 ok");
        }
        dialogue.push("");
        assert!(dialogue.len() <= Dialogue::MAX + Dialogue::MORE.len());
        assert_eq!(dialogue.lines().last(), Some(Dialogue::MORE));
        let sent = postcard::to_allocvec(&dialogue).unwrap();
        assert_eq!(postcard::from_bytes::<Dialogue>(&sent).unwrap(), dialogue);
        let forged = postcard::to_allocvec(&"x\n".repeat(Dialogue::MAX)).unwrap();
        let taken: Dialogue = postcard::from_bytes(&forged).unwrap();
        assert!(taken.len() <= Dialogue::MAX + Dialogue::MORE.len());
        // Whoever passes it on changes nothing.
        let nearly = format!("{}\n{}", "x".repeat(Dialogue::MAX - 16), "y".repeat(16));
        for text in ["", "\n", "a\r\n", "a\r\r\nb", Dialogue::MORE, &nearly] {
            let once = Dialogue::from(text.to_owned());
            assert_eq!(Dialogue::from(once.0.clone()), once);
        }
        let long = postcard::to_allocvec(&"x".repeat(Dialogue::MAX)).unwrap();
        assert_eq!(postcard::from_bytes::<Dialogue>(&long).unwrap().0, Dialogue::MORE);
    }
}
