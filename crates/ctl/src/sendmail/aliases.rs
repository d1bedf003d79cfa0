//! `newaliases`, `sendmail -bi`: aliases are text, so there is nothing to compile; they are checked,
//! brought into force, and counted as sendmail counts them.

use std::io::{self, Write};

use config::{Config, read_table};
use ipc::admin::{Answer, Command, Hello, Reloaded};
use tables::{Aliases, Finding};

use crate::control::{Control, misunderstood, wait};
use crate::routes::unreadable;
use crate::site::Site;
use crate::{Exit, Failure, complain};

/// The line that sendmail prints.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Size {
    aliases: usize,
    /// Bytes of the longest value.
    longest: usize,
    /// Bytes of names and values.
    total: usize,
}

impl Size {
    /// As sendmail's, which counts one alias in the plural.
    fn write(self, files: &str, out: &mut impl Write) -> io::Result<()> {
        let Self { aliases, longest, total } = self;
        writeln!(out, "{files}: {aliases} aliases, longest {longest} bytes, {total} bytes total")
    }
}

/// Ends when all daemons have the new table, if they run and the caller may tell them to look; they
/// look by themselves within a second.
pub(super) fn run(site: &Site) -> Result<Exit, Failure> {
    let config = site.load();
    let config = config.map_err(|report| Failure::new(Exit::Config, report.to_string()))?;
    let (size, findings) = read(&config)?;
    findings.iter().for_each(|finding| complain("newaliases", finding));
    size.write(&files(&config), &mut io::stdout())?;
    let in_force = bring_into_force(site)?;
    complain("newaliases", in_force);
    Ok(if findings.is_empty() { Exit::Ok } else { Exit::Config })
}

fn read(config: &Config) -> Result<(Size, Vec<Finding>), Failure> {
    let read = read_table(config, "aliases", Aliases::read).map_err(|why| unreadable(&why))?;
    let Some(read) = read else {
        return Err(Failure::new(Exit::Config, format!("{}: no such file", files(config))));
    };
    let mut size = Size::default();
    for (name, value, _) in read.table.entries() {
        size.aliases += 1;
        size.longest = size.longest.max(value.len());
        size.total += name.len() + value.len();
    }
    Ok((size, read.findings))
}

/// All sources of the table.
fn files(config: &Config) -> String {
    let sources = config.paths.of_table("aliases").into_iter();
    sources.map(|source| source.path.display().to_string()).collect::<Vec<_>>().join(", ")
}

/// Says since when the table counts.
fn bring_into_force(site: &Site) -> Result<String, Failure> {
    let answer = wait(async {
        Control::open(site, Hello::Supervisor).await?.command(Command::Reload).await
    });
    match answer {
        Ok(Answer::Reloaded(Reloaded { generation, .. })) => {
            Ok(format!("in force (configuration {generation})"))
        }
        Ok(Answer::NotReloaded(why)) => {
            Err(Failure::new(Exit::Config, format!("nothing changes:\n{why}")))
        }
        Ok(Answer::Stopped | Answer::Status(_) | Answer::NotAllowed) => Err(misunderstood()),
        Err(Failure { exit: Exit::NoPerm, .. }) => {
            Ok("a running mail system takes changes by itself within a second".to_owned())
        }
        Err(Failure { exit: Exit::Unavailable, .. }) => {
            Ok("the mail system does not run; it reads the file when it starts".to_owned())
        }
        Err(failure) => Err(failure),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::listing::tests::text;
    use crate::routes::tests::site;

    /// Sendmail 8.17.1 says of this file: 8 aliases, longest 29 bytes, 93 bytes total. It takes the
    /// second `dup`, which is as long as the first and counts once more.
    #[test]
    fn counted_as_sendmail_counts() {
        let text = "# x\nroot: alice\nlist: alice, bob@example.net,\n\tcarol\nbad line\ndup: a\ndup: b\n\
                    postmaster: root\nloop: loop2\nloop2: loop\nMixed: daemon\n";
        let root = tempfile::tempdir().unwrap();
        let site = site(root.path(), &[("aliases", text)]);
        let config = site.load().unwrap();
        let (size, findings) = read(&config).unwrap();
        let second_dup = "dup".len() + "b".len();
        assert_eq!(size, Size { aliases: 8 - 1, longest: 29, total: 93 - second_dup });
        let lines: Vec<_> = findings.iter().map(|finding| finding.line).collect();
        assert_eq!(lines, [5, 7]);
    }

    /// Bytes are counted, as sendmail does, and not characters.
    #[test]
    fn the_line_that_sendmail_prints() {
        let lines = ["", "root: alice\n", "root: alice\nb\u{fc}ro: d\u{f6}rte\n"].map(|aliases| {
            let root = tempfile::tempdir().unwrap();
            let config = site(root.path(), &[("aliases", aliases)]).load().unwrap();
            let (size, _) = read(&config).unwrap();
            text(|out| size.write("/etc/mail/aliases", out))
        });
        insta::assert_snapshot!("newaliases", lines.concat());
    }
}
