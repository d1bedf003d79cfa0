//! `trusted-users`: who may send in another's name without a warning (sendmail's class t).

use std::io::{self, Read as Source};

use crate::Read;
use crate::index::Index;
use crate::lines::{Continuation, Line, Wrong, each};

/// Names of users, one a line.
#[derive(Debug, Clone, Default)]
pub struct TrustedUsers(Index);

impl TrustedUsers {
    /// Trusted without a line (proto.m4: `Troot`, `Tdaemon`, `Tuucp`).
    pub const ALWAYS: [&str; 3] = ["root", "daemon", "uucp"];

    /// Reads names of users.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn read(file: &str, source: impl Source) -> io::Result<Read<Self>> {
        let mut users = Index::default();
        let take = |line: &Line| {
            let name = line.name();
            if name.contains(char::is_whitespace) {
                return Err(Wrong::line(format!("{name:?} is not the name of a user")));
            }
            // The same name once more says the same.
            let _ = users.insert(name, "", line);
            Ok(())
        };
        let findings = each(file, source, Continuation::None, take)?;
        Ok(Read { table: Self(users.finished()), findings })
    }

    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        Self::ALWAYS.contains(&name) || self.0.get(name).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::TrustedUsers;

    #[test]
    fn one_name_a_line_and_three_always() {
        let read =
            TrustedUsers::read("t", "# c\n www-data  # the web\nlist\nlist\na b\n".as_bytes())
                .unwrap();
        assert_eq!(read.findings.len(), 1);
        assert_eq!(read.findings[0].line, 5);
        for (name, trusted) in [
            ("www-data", true),
            ("list", true),
            ("root", true),
            ("daemon", true),
            ("uucp", true),
            ("a", false),
            ("Root", false),
        ] {
            assert_eq!(read.table.contains(name), trusted, "{name}");
        }
    }
}
