//! Paths in MAIL and RCPT (RFC 5321 §4.1.2).

use envelope::{Address, AddressError};

/// What stands between the angle brackets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Path {
    /// `<>`
    Null,
    Mailbox(Address),
    /// A local part alone, as `<postmaster>` (RFC 5321 §4.1.1.3). It has no domain yet.
    Unqualified(String),
}

impl Path {
    /// Reads a path at the start of `text`, and returns it with what follows. A source route is
    /// read and ignored (RFC 5321 §4.1.1.3, appendix F.2). Angle brackets may be missing, as they
    /// are when a person types.
    ///
    /// # Errors
    /// [`AddressError`]
    pub fn read(text: &str) -> Result<(Self, &str), AddressError> {
        let Some(inner) = text.strip_prefix('<') else {
            let end = text.find(' ').unwrap_or(text.len());
            let (word, rest) = text.split_at(end);
            return Ok((mailbox(word)?, rest));
        };
        if let Some(rest) = inner.strip_prefix('>') {
            return Ok((Self::Null, rest));
        }
        let inner = skip_route(inner)?;
        if let Ok((address, rest)) = Address::read(inner) {
            let rest = rest.strip_prefix('>').ok_or(AddressError::Unbalanced)?;
            return Ok((Self::Mailbox(address), rest));
        }
        let (word, rest) = inner.split_once('>').ok_or(AddressError::Unbalanced)?;
        Ok((mailbox(word)?, rest))
    }

    /// The address, an unqualified one in `domain`; `None` for the null path.
    ///
    /// # Errors
    /// [`AddressError::TooLong`], with a long domain.
    pub fn qualified(self, domain: &str) -> Result<Option<Address>, AddressError> {
        match self {
            Self::Null => Ok(None),
            Self::Mailbox(address) => Ok(Some(address)),
            Self::Unqualified(local) => Address::new(&local, domain).map(Some),
        }
    }
}

/// `@one,@two:` in front of the mailbox.
fn skip_route(text: &str) -> Result<&str, AddressError> {
    if !text.starts_with('@') {
        return Ok(text);
    }
    let (route, mailbox) = text.split_once(':').ok_or(AddressError::Incomplete)?;
    let host = |hop: &str| {
        let host = hop.trim_start_matches(' ').strip_prefix('@').unwrap_or("");
        Address::new("x", host).map(|_| ())
    };
    route.split(',').try_for_each(host)?;
    Ok(mailbox)
}

/// A whole word: a mailbox, or a local part alone.
fn mailbox(word: &str) -> Result<Path, AddressError> {
    let error = match word.parse() {
        Ok(address) => return Ok(Path::Mailbox(address)),
        Err(error) => error,
    };
    // With a domain behind it, a local part alone is a mailbox.
    match format!("{word}@x").parse::<Address>() {
        Ok(address) => Ok(Path::Unqualified(address.local().to_owned())),
        Err(_) => Err(error),
    }
}
