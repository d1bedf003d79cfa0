//! `supervisor [--root DIR] [--config FILE]`

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use config::Snapshot;

use crate::trouble::{self, Trouble};

const USAGE: &str = "usage: supervisor [--root DIR] [--config FILE]";

/// The command line.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Arguments {
    root: Option<PathBuf>,
    config: Option<PathBuf>,
}

/// The lines of sendmail's pid file: our pid, and our command line.
#[must_use]
pub fn pid_file() -> String {
    let command = std::env::args_os().collect::<Vec<_>>().join(OsStr::new(" "));
    format!("{}\n{}\n", std::process::id(), command.display())
}

impl Arguments {
    /// Reads it.
    ///
    /// # Errors
    /// It is used wrongly.
    pub fn read(mut words: impl Iterator<Item = OsString>) -> Result<Self, Trouble> {
        let mut arguments = Self::default();
        while let Some(word) = words.next() {
            let place = match word.to_str() {
                Some("--root") => Some(&mut arguments.root),
                Some("--config") => Some(&mut arguments.config),
                _ => None,
            };
            let (Some(place), Some(path)) = (place, words.next()) else {
                return Err(Trouble(trouble::USAGE, USAGE.to_owned()));
            };
            *place = Some(path.into());
        }
        Ok(arguments)
    }

    /// What the files say.
    ///
    /// # Errors
    /// As [`Snapshot::take`].
    pub fn snapshot(&self) -> Result<Snapshot, Trouble> {
        Snapshot::take(self.root.as_deref(), self.config.as_deref())
            .map_err(|text| Trouble(trouble::CONFIG, text))
    }

    /// The same once nobody is at work on them.
    ///
    /// # Errors
    /// As [`Snapshot::take_settled`].
    pub fn settled(&self) -> Result<Snapshot, String> {
        Snapshot::take_settled(self.root.as_deref(), self.config.as_deref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line() {
        let read = |words: &[&str]| Arguments::read(words.iter().map(OsString::from)).ok();
        let expected = Arguments { root: Some("/r".into()), config: Some("c".into()) };
        assert_eq!(read(&["--config", "c", "--root", "/r"]), Some(expected));
        assert_eq!(read(&[]), Some(Arguments::default()));
        assert_eq!(read(&["--root"]), None);
        assert_eq!(read(&["start"]), None);
    }
}
