//! What an alias, a list or a `.forward` names.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Address, command, printable};

/// One that takes its share of a list's mail.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Member {
    /// Whatever the tables say of it.
    Address(Address),
    /// `\user`: the user's own mailbox, whatever aliases and `.forward` say.
    Mailbox(Address),
    Special(Special),
}

/// What has no address of its own.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Special {
    /// `|program arguments`: what follows the bar.
    Program(String),
    /// `/file`: messages are appended to it.
    File(String),
    /// `:include:/file`: who is named there. The path.
    Include(String),
    /// The host that `local.catch_all` names for mail of unknown users.
    CatchAll,
}

/// Bytes of the path of a file or a list (PATH_MAX is 4096).
const MAX_PATH: usize = 1024;

impl Special {
    /// Reads `|program`, `/file` or `:include:/file`; anything else is `None`.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        let include = |text: &str| {
            let (tag, path) = text.split_at_checked(9)?;
            tag.eq_ignore_ascii_case(":include:").then(|| Self::Include(path.trim().to_owned()))
        };
        if let Some(command) = text.strip_prefix('|') {
            return Some(Self::Program(unquoted(command.trim()).to_owned()));
        }
        if text.starts_with('/') {
            return Some(Self::File(text.to_owned()));
        }
        include(text)
    }

    /// # Errors
    /// It can never be run, written or read, and why.
    pub fn check(&self) -> Result<(), String> {
        match self {
            Self::Program(text) => command::single(text).map(drop).map_err(|why| why.to_string()),
            Self::File(path) | Self::Include(path) if !path.starts_with('/') => {
                Err("the path is not absolute".to_owned())
            }
            Self::File(path) | Self::Include(path) if path.len() > MAX_PATH => {
                Err("the path is too long".to_owned())
            }
            Self::File(path) | Self::Include(path) if path.split('/').any(|part| part == "..") => {
                Err("there is a .. in the path".to_owned())
            }
            Self::File(_) | Self::Include(_) | Self::CatchAll => Ok(()),
        }
    }
}

/// `|"program arguments"`, as aliases(5) has it beside `"|program arguments"`.
fn unquoted(text: &str) -> &str {
    let inner = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
    inner.filter(|inner| !inner.contains('"')).unwrap_or(text)
}

impl fmt::Display for Member {
    /// As an alias writes it, on one line and safe to show.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => write!(f, "{address}"),
            Self::Mailbox(address) => write!(f, "\\{address}"),
            Self::Special(special) => write!(f, "{special}"),
        }
    }
}

impl fmt::Display for Special {
    /// As an alias writes it, on one line and safe to show.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Program(command) => write!(f, "|{}", printable(command)),
            Self::File(path) => write!(f, "{}", printable(path)),
            Self::Include(path) => write!(f, ":include:{}", printable(path)),
            Self::CatchAll => f.write_str("local.catch_all"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Special;

    #[test]
    fn what_is_no_address() {
        for (text, special) in [
            ("|prog a b", Some(Special::Program("prog a b".into()))),
            ("|\"prog 'a b'\"", Some(Special::Program("prog 'a b'".into()))),
            ("|\"a b\" \"c\"", Some(Special::Program("\"a b\" \"c\"".into()))),
            ("/var/mail/x", Some(Special::File("/var/mail/x".into()))),
            (":Include: /etc/list", Some(Special::Include("/etc/list".into()))),
            ("alice", None),
            (":inc", None),
        ] {
            assert_eq!(Special::read(text), special, "{text}");
        }
    }

    #[test]
    fn what_can_never_be_done_is_told() {
        let why = |text: &str| Special::read(text).unwrap().check();
        assert_eq!(why("|prog"), Ok(()));
        assert_eq!(why("/var/mail/..x"), Ok(()));
        assert_eq!(why(":include:/etc/list"), Ok(()));
        for text in ["|", "|a; b", "/a/../b", ":include:list", ":include:"] {
            assert!(why(text).is_err(), "{text}");
        }
        assert!(why(&format!("/{}", "x".repeat(1024))).is_err());
    }
}
