//! Where a user's mail goes: `local.mailbox` with `{user}`, `{home}` and `{detail}` filled in.
//!
//! **Invariant:** what came with an address is never more than part of one file name, and never
//! looks like an option of a command.

use std::path::{Path, PathBuf};

use config::{Config, Mailbox};
use envelope::{Detail, Enhanced, Special, Status, command};
use ipc::mailbox::Place;

/// What stands for the placeholders.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Names<'a> {
    pub(crate) user: &'a str,
    pub(crate) home: &'a Path,
    pub(crate) detail: Option<&'a str>,
}

/// May this text be a file name, or an argument?
pub(crate) fn is_name(text: &str) -> bool {
    !text.is_empty()
        && !matches!(text, "." | "..")
        && !text.starts_with('-')
        && !text.contains(|c: char| c == '/' || c.is_control())
}

/// The place.
///
/// # Errors
/// Failed: the detail is used and cannot be a name. Deferred: the home is not UTF-8.
pub(crate) fn substitute(mailbox: &Mailbox, names: &Names<'_>) -> Result<Place, Status> {
    Ok(match mailbox {
        Mailbox::Mbox(text) => Place::Mbox(PathBuf::from(fill(text, names)?)),
        Mailbox::Maildir(text) => Place::Maildir(PathBuf::from(fill(text, names)?)),
        Mailbox::Command(argv) => {
            Place::Command(argv.iter().map(|text| fill(text, names)).collect::<Result<_, _>>()?)
        }
        Mailbox::Lmtp(store) => return Err(Status::fault(format!("{store} has the mailboxes"))),
    })
}

/// Below it lie all mailboxes of this user, whatever the detail; empty for a command.
///
/// # Errors
/// Deferred: the home is not UTF-8.
pub(crate) fn tree(mailbox: &Mailbox, names: &Names<'_>) -> Result<PathBuf, Status> {
    let (text, is_directory) = match mailbox {
        Mailbox::Mbox(text) => (text, false),
        Mailbox::Maildir(text) => (text, true),
        Mailbox::Command(_) | Mailbox::Lmtp(_) => return Ok(PathBuf::new()),
    };
    let (fixed, is_directory) = match text.split_once("{detail}") {
        Some((before, _)) => (before, false),
        None => (text.as_str(), is_directory),
    };
    let mut tree = fill(fixed, names)?;
    if !is_directory {
        // Behind the last slash is a part of a name, or an mbox, beside which its lock lies.
        tree.truncate(tree.rfind('/').map_or(0, |slash| slash + 1));
    }
    Ok(PathBuf::from(tree))
}

/// Where the user may have written where mail goes instead. Files for a detail count only with one.
pub(crate) fn forward(paths: &[String], names: &Names<'_>) -> Vec<PathBuf> {
    let has_detail = names.detail.is_some_and(|detail| !detail.is_empty());
    let apply = |path: &&String| has_detail || !path.contains("{detail}");
    // A detail that is no name, or a home that cannot be written down, has no such file.
    let filled = paths.iter().filter(apply).filter_map(|path| fill(path, names).ok());
    filled.map(PathBuf::from).collect()
}

/// The place of a program, a file or a list; `None`: nowhere, and that is right.
///
/// # Errors
/// Deferred: it cannot be run, and who wrote it may correct that.
pub(crate) fn special(what: &Special, config: &Config) -> Result<Option<Place>, Status> {
    // X.3.5: the system is not configured as it should be.
    let wrong = |why: String| Status::Deferred(Detail::ours(Enhanced(3, 5), why));
    what.check().map_err(|why| wrong(format!("{what}: {why}")))?;
    match what {
        Special::Program(text) => {
            let command::Single { program, failure } =
                command::single(text).map_err(|why| wrong(why.to_string()))?;
            let path = program.path(&config.local.programs).display().to_string();
            let argv = std::iter::once(path).chain(program.arguments).collect();
            Ok(Some(Place::Program { argv, failure }))
        }
        Special::File(path) if path == "/dev/null" => Ok(None),
        Special::File(path) => Ok(Some(Place::File(below_root(path, config)))),
        Special::Include(path) => Ok(Some(Place::Include(below_root(path, config)))),
        Special::CatchAll => Err(wrong("local.catch_all names no host any more".to_owned())),
    }
}

fn below_root(path: &str, config: &Config) -> PathBuf {
    config.paths.root.join(path.trim_start_matches('/'))
}

/// Left to right, so that nothing filled in is filled in again.
fn fill(text: &str, names: &Names<'_>) -> Result<String, Status> {
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        filled.push_str(before);
        let Some((name, after)) = after.split_once('}') else {
            filled.push('{');
            rest = after;
            continue;
        };
        match name {
            "user" => filled.push_str(names.user),
            "home" => filled.push_str(home(names.home)?),
            "detail" => filled.push_str(detail(names.detail)?),
            other => {
                filled.push('{');
                filled.push_str(other);
                filled.push('}');
            }
        }
        rest = after;
    }
    filled.push_str(rest);
    Ok(filled)
}

fn home(home: &Path) -> Result<&str, Status> {
    home.to_str().ok_or_else(|| Status::fault("the name of the home directory is not UTF-8"))
}

fn detail(detail: Option<&str>) -> Result<&str, Status> {
    match detail {
        None | Some("") => Ok(""),
        Some(text) if is_name(text) => Ok(text),
        Some(_) => {
            Err(Status::Failed(Detail::ours(Enhanced::BAD_MAILBOX, "no mailbox has this name")))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt as _;

    use super::*;

    fn names<'a>(user: &'a str, detail: Option<&'a str>) -> Names<'a> {
        Names { user, home: Path::new("/home/a"), detail }
    }

    #[test]
    fn placeholders_are_filled_once() {
        let mbox = |text: &str, user, detail| {
            substitute(&Mailbox::Mbox(text.into()), &names(user, detail))
        };
        let path = |text: &str| Ok(Place::Mbox(text.into()));
        assert_eq!(mbox("/var/mail/{user}", "anna", None), path("/var/mail/anna"));
        assert_eq!(mbox("{home}/x{detail}y", "anna", None), path("/home/a/xy"));
        assert_eq!(mbox("{home}/{detail}", "anna", Some("{user}")), path("/home/a/{user}"));
        assert_eq!(mbox("{x}{user", "anna", None), path("{x}{user"));
        for detail in ["../x", "a/b", "..", "-rf", "a\nb"] {
            let place = mbox("{home}/{detail}", "anna", Some(detail));
            assert!(matches!(place, Err(Status::Failed(_))), "{detail:?}");
            assert_eq!(mbox("{home}", "anna", Some(detail)), path("/home/a"), "not used");
        }
    }

    #[test]
    fn all_mailboxes_of_a_user_lie_in_one_tree() {
        let maildir = |text: &str| tree(&Mailbox::Maildir(text.into()), &names("anna", Some("d")));
        let mbox = |text: &str| tree(&Mailbox::Mbox(text.into()), &names("anna", None));
        let at = |path: &str| Ok(PathBuf::from(path));
        assert_eq!(maildir("{home}/Maildir"), at("/home/a/Maildir"));
        assert_eq!(maildir("{home}/Maildir/"), at("/home/a/Maildir/"));
        assert_eq!(maildir("{home}/Maildir/.{detail}/"), at("/home/a/Maildir"));
        assert_eq!(maildir("{home}/Maildir/{detail}/in"), at("/home/a/Maildir"));
        assert_eq!(mbox("/var/mail/{user}"), at("/var/mail"));
        assert_eq!(mbox("{home}/mail/{detail}"), at("/home/a/mail"));
        assert_eq!(mbox("{home}/mail/x{detail}"), at("/home/a/mail"));
    }

    #[test]
    fn a_home_that_cannot_be_written_down_defers() {
        let home = Path::new(OsStr::from_bytes(b"/home/\xff"));
        let place = substitute(
            &Mailbox::Maildir("{home}/Maildir".into()),
            &Names { home, ..names("anna", None) },
        );
        assert!(matches!(place, Err(Status::Deferred(_))), "{place:?}");
    }

    #[test]
    fn arguments_stay_apart() {
        let argv = ["procmail", "-a", "{detail}", "-d", "{user}"].map(String::from).to_vec();
        let place = substitute(&Mailbox::Command(argv), &names("anna", Some("a b;c")));
        let expected = ["procmail", "-a", "a b;c", "-d", "anna"].map(String::from).to_vec();
        assert_eq!(place, Ok(Place::Command(expected)));
    }

    #[test]
    fn names_of_users() {
        for name in ["anna", "a.b", "ö", "x-y", ".x"] {
            assert!(is_name(name), "{name}");
        }
        for name in ["", ".", "..", "a/b", "-x", "a\0", "a\u{7f}"] {
            assert!(!is_name(name), "{name:?}");
        }
    }
}
