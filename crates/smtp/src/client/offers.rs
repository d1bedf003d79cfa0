//! What a host offers in its reply to EHLO (RFC 5321 §4.1.1.1).

use crate::submission;

/// The extensions that we use. None after HELO.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Offers {
    /// RFC 2920
    pub(super) pipelining: bool,
    /// RFC 1870: the most bytes of a message; 0: no fixed maximum.
    pub(super) size: Option<u64>,
    /// RFC 6152
    pub(super) eight_bit_mime: bool,
    /// RFC 6531
    pub(super) smtputf8: bool,
    /// RFC 3461
    pub(super) dsn: bool,
    /// [`crate::submission`]
    pub(super) submission: bool,
}

impl Offers {
    /// Reads the text of the reply: its first line is a greeting, each further one a keyword with
    /// parameters. What is unknown is skipped.
    pub(super) fn read(text: &str) -> Self {
        let mut offers = Self::default();
        for line in text.lines().skip(1) {
            let mut words = line.split_ascii_whitespace();
            let keyword = words.next().unwrap_or_default();
            if keyword.eq_ignore_ascii_case("PIPELINING") {
                offers.pipelining = true;
            } else if keyword.eq_ignore_ascii_case("SIZE") {
                // A limit that cannot be read is none.
                offers.size =
                    Some(words.next().and_then(|digits| digits.parse().ok()).unwrap_or(0));
            } else if keyword.eq_ignore_ascii_case("8BITMIME") {
                offers.eight_bit_mime = true;
            } else if keyword.eq_ignore_ascii_case("SMTPUTF8") {
                offers.smtputf8 = true;
            } else if keyword.eq_ignore_ascii_case("DSN") {
                offers.dsn = true;
            } else if keyword.eq_ignore_ascii_case(submission::KEYWORD) {
                offers.submission = true;
            }
        }
        offers
    }
}

#[cfg(test)]
mod tests {
    use super::Offers;

    #[test]
    fn reads_keywords_in_any_case() {
        let offers = Offers::read("mx.test PIPELINING\nsize 1000\nDsn\nAUTH PLAIN\n8bitmime\n");
        let expected =
            Offers { size: Some(1000), dsn: true, eight_bit_mime: true, ..Offers::default() };
        assert_eq!(offers, expected);
        assert_eq!(Offers::read("mx.test\nSIZE").size, Some(0));
        assert_eq!(Offers::read("mx.test\nSIZE -5").size, Some(0));
        assert_eq!(Offers::read(""), Offers::default());
    }
}
