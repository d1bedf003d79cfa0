//! The table `users`: under `--root` the local users are exactly its names.

use std::io::{self, Read as Source};

use crate::Read;
use crate::index::Index;
use crate::lines::{Continuation, Line, Wrong, each};

/// Names of users; what follows the first `:` is for AUTH and not looked at here.
#[derive(Debug, Clone, Default)]
pub struct Users(Index);

/// Bytes of a user name (useradd(8)).
const MAX_NAME: usize = 32;

impl Users {
    /// Reads `name:…` lines.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn read(file: &str, source: impl Source) -> io::Result<Read<Self>> {
        let mut users = Index::default();
        let take = |line: &Line| {
            let name = line.text.split(':').next().unwrap_or_default().trim();
            if !is_user_name(name) {
                // The line may hold a verifier, which nobody is to see.
                return Err(Wrong::line("a user name is of a-z, 0-9, `.`, `_` and `-`"));
            }
            // One line for each device: the first makes the user.
            let _ = users.insert(name, "", line);
            Ok(())
        };
        let findings = each(file, source, Continuation::None, take)?;
        Ok(Read { table: Self(users.finished()), findings })
    }

    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        self.0.get(name).is_some()
    }

    /// All names, sorted.
    #[must_use]
    pub fn names(&self) -> Vec<&str> {
        let mut names: Vec<_> = self.0.entries().map(|(name, _)| name).collect();
        names.sort_unstable();
        names
    }
}

/// A name becomes a folder and an argument: no separators, no controls, no leading dot or dash. It
/// is looked up in lower case.
fn is_user_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-".contains(c);
    (1..=MAX_NAME).contains(&name.len()) && name.chars().all(plain) && !name.starts_with(['.', '-'])
}

#[cfg(test)]
mod tests {
    use super::Users;

    #[test]
    fn the_first_field_is_the_name() {
        let read = Users::read(
            "users",
            "alice:\nbob:phone:$6$x\n# no\n../x:\nEve:\na.b_c-9:\n-x:\n".as_bytes(),
        )
        .unwrap();
        assert_eq!(read.table.names(), ["a.b_c-9", "alice", "bob"]);
        assert!(read.table.contains("alice") && !read.table.contains("# no"));
        assert_eq!(read.findings.len(), 3);
        assert_eq!(
            read.findings[0].to_string(),
            "users:4: a user name is of a-z, 0-9, `.`, `_` and `-`"
        );
    }
}
