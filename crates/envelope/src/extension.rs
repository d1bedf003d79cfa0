//! What a server offers in its reply to EHLO (RFC 5321 §2.2), and sets of it.

use std::fmt;

use serde::{Deserialize, Serialize};

/// An extension that has commands or parameters of its own, or lets a client behave in another way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extension {
    /// RFC 2920
    Pipelining,
    /// RFC 1870
    Size,
    /// RFC 6152
    EightBitMime,
    /// RFC 6531
    SmtpUtf8,
    /// RFC 2034; to a client that is not told of them the codes are part of the text.
    EnhancedStatusCodes,
    /// RFC 3030
    Chunking,
    /// RFC 3461
    Dsn,
    /// RFC 9422
    Limits,
}

impl Extension {
    /// In the order in which they are offered.
    pub const ALL: [Self; 8] = [
        Self::Pipelining,
        Self::Size,
        Self::EightBitMime,
        Self::SmtpUtf8,
        Self::EnhancedStatusCodes,
        Self::Chunking,
        Self::Dsn,
        Self::Limits,
    ];

    #[must_use]
    pub const fn keyword(self) -> &'static str {
        match self {
            Self::Pipelining => "PIPELINING",
            Self::Size => "SIZE",
            Self::EightBitMime => "8BITMIME",
            Self::SmtpUtf8 => "SMTPUTF8",
            Self::EnhancedStatusCodes => "ENHANCEDSTATUSCODES",
            Self::Chunking => "CHUNKING",
            Self::Dsn => "DSN",
            Self::Limits => "LIMITS",
        }
    }

    /// Reads a keyword in any case.
    #[must_use]
    pub fn of_keyword(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.keyword().eq_ignore_ascii_case(text))
    }

    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// Some extensions, or none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extensions(u8);

impl Extensions {
    pub const NONE: Self = Self(0);

    #[must_use]
    pub const fn has(self, extension: Extension) -> bool {
        self.0 & extension.bit() != 0
    }

    #[must_use]
    pub const fn with(self, extension: Extension) -> Self {
        Self(self.0 | extension.bit())
    }

    #[must_use]
    pub const fn without(self, extension: Extension) -> Self {
        Self(self.0 & !extension.bit())
    }

    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl fmt::Display for Extensions {
    /// `PIPELINING DSN`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut gap = "";
        for extension in Extension::ALL.into_iter().filter(|it| self.has(*it)) {
            write!(f, "{gap}{}", extension.keyword())?;
            gap = " ";
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_has_what_was_put_into_it() {
        for one in Extension::ALL {
            let set = Extensions::NONE.with(one);
            assert!(Extension::ALL.into_iter().all(|it| set.has(it) == (it == one)), "{one:?}");
            assert_eq!(set.to_string(), one.keyword());
            assert_eq!(Extension::of_keyword(&one.keyword().to_lowercase()), Some(one));
            assert!(set.without(one).is_empty() && !set.is_empty());
        }
        let two = Extensions::NONE.with(Extension::Dsn).with(Extension::Pipelining);
        assert_eq!(
            (two.to_string().as_str(), Extensions::NONE.to_string()),
            ("PIPELINING DSN", String::new())
        );
        assert_eq!(two.without(Extension::Size), two);
        assert_eq!(Extension::of_keyword("STARTTLS"), None);
    }
}
