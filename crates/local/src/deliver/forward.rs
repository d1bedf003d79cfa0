//! Where mail goes instead of a mailbox: the user's `.forward`, and lists of `:include:`.
//!
//! What they say is the user's, or that of whoever keeps the list. Nobody else may write there: a file is
//! plain, belongs to the user (or to root, readable for all), and neither it nor a directory on the way
//! to it can be written by others; a list may belong to anybody, but names programs and files only when
//! it is root's or one's own. This also keeps the group `mail`, which a process for mailboxes has, from
//! reading the mailbox of another user for a `.forward`.
//!
//! A process that has confined itself to a mailbox reads no `.forward` any more. It looks whether the one
//! that it has read is still the same, which costs one call a message; if not, another process is needed.

use std::collections::HashMap;
use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use envelope::{Detail, Enhanced, Member, Special, Status};
use ipc::mailbox::{MAX_LIST, MAX_MEMBERS, Said, Store};
use nix::libc::O_NONBLOCK;
use tables::members;

use super::fault;

/// Bytes of a `.forward`.
const MAX_FORWARD: u64 = 64 * 1024;
/// Who is named in one.
const MAX_FORWARDED: usize = 1000;
/// What is wrong with a file, told in the log.
const MAX_REMARKS: usize = 10;
/// Bytes of each: a word of a list may be as long as the list.
const MAX_REMARK: usize = 200;
/// May be written by others than its owner.
const OTHERS_WRITE: u32 = 0o022;
const STICKY: u32 = 0o1000;
const ALL_READ: u32 = 0o004;
const NO_FILE: &str = "it is not a regular file";
/// Shells of users who may run programs.
const SHELLS: &str = "/etc/shells";

/// What a file says.
#[derive(Debug, Clone, Default)]
struct List {
    members: Vec<Member>,
    remarks: Vec<String>,
}

/// Which file that was, and as of when.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Stamp([i64; 7]);

impl Stamp {
    fn of(file: &Metadata) -> Self {
        let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        Self([
            number(file.dev()),
            number(file.ino()),
            number(file.len()),
            file.mtime(),
            file.mtime_nsec(),
            file.ctime(),
            file.ctime_nsec(),
        ])
    }
}

/// The `.forward` files that this process has read.
#[derive(Debug, Default)]
pub(crate) struct Forwards(HashMap<PathBuf, (Stamp, Result<List, String>)>);

/// Where a message goes.
#[derive(Debug)]
pub(crate) enum Way {
    /// Into the mailbox, with a word on what was not followed.
    Mailbox(Vec<String>),
    Elsewhere(Said),
}

impl Forwards {
    /// Asks the first `.forward` that is there, and can be followed.
    pub(crate) fn way(&mut self, store: &Store, may_read: bool) -> Way {
        let mut remarks = Vec::new();
        for path in &store.forward {
            let there = match path.metadata() {
                Ok(there) => Stamp::of(&there),
                Err(error) if is_absent(&error) => continue,
                Err(error) => return defer(path, &error),
            };
            let known = self.0.get(path).filter(|(stamp, _)| *stamp == there);
            let found = match known {
                Some((_, found)) => found.clone(),
                None if !may_read => return Way::Elsewhere(Said::Stale),
                None => match read(path, MAX_FORWARD, Keeper::User) {
                    Ok((stamp, Ok(file))) => {
                        let list = Ok(forwarded(&file.text, path, store));
                        self.0.insert(path.clone(), (stamp, list.clone()));
                        list
                    }
                    Ok((stamp, Err(why))) => {
                        self.0.insert(path.clone(), (stamp, Err(why.clone())));
                        Err(why)
                    }
                    Err(error) if is_absent(&error) => continue,
                    Err(error) => return defer(path, &error),
                },
            };
            match found {
                Ok(List { members, remarks: more }) if members.is_empty() => {
                    remarks.extend(more);
                    return Way::Mailbox(remarks);
                }
                Ok(List { members, remarks: more }) => {
                    remarks.extend(more);
                    return Way::Elsewhere(Said::Expanded { members, remarks });
                }
                Err(why) => {
                    remarks.push(format!("{}: {why}, so it is not followed", path.display()))
                }
            }
        }
        Way::Mailbox(remarks)
    }
}

/// Not there, or nothing that this user may look at.
fn is_absent(error: &io::Error) -> bool {
    use io::ErrorKind as Kind;
    [Kind::NotFound, Kind::NotADirectory, Kind::PermissionDenied].contains(&error.kind())
}

fn defer(path: &Path, error: &io::Error) -> Way {
    Way::Elsewhere(Said::Status(fault::status(&path.display().to_string(), error)))
}

/// What a `.forward` says. Where something is wrong the mailbox gets the message too: nothing is lost.
fn forwarded(text: &str, path: &Path, store: &Store) -> List {
    let mut list = List::default();
    let shell = store.shell.as_deref().is_none_or(is_shell);
    for (line, member) in members(text) {
        let member = member.and_then(|target| {
            let member =
                target.member(&store.hostname).map_err(|name| format!("{name}: no name"))?;
            match member {
                Member::Special(Special::Program(_) | Special::File(_)) if !shell => {
                    Err(format!("the user's shell is not in {SHELLS}, so no programs and files"))
                }
                Member::Special(_) | Member::Address(_) | Member::Mailbox(_) => Ok(member),
            }
        });
        let member = member.and_then(|member| {
            let is_room = list.members.len() < MAX_FORWARDED;
            is_room.then_some(member).ok_or_else(|| format!("more than {MAX_FORWARDED} names"))
        });
        match member {
            Ok(member) => list.members.push(member),
            Err(why) => remark(&mut list.remarks, path, line, &why),
        }
    }
    // An empty one says nothing (include() in recipient.c).
    if !list.members.is_empty() && !list.remarks.is_empty() {
        list.members.push(Member::Mailbox(store.recipient.clone()));
    }
    list
}

fn remark(remarks: &mut Vec<String>, path: &Path, line: usize, why: &str) {
    if remarks.len() < MAX_REMARKS {
        let why = why.get(..why.floor_char_boundary(MAX_REMARK)).unwrap_or_default();
        remarks.push(format!("{}:{line}: {why}", path.display()));
    }
}

fn is_shell(shell: &Path) -> bool {
    let shells = fs::read_to_string(SHELLS).unwrap_or_default();
    let known = |line: &str| Path::new(line) == shell || line == "/SENDMAIL/ANY/SHELL/";
    shell.as_os_str().is_empty() || shells.lines().map(str::trim).any(known)
}

/// Whom a list names. One that cannot be read defers: it may be written at this moment.
pub(crate) fn include(path: &Path, store: &Store) -> Said {
    // RFC 3463 §3.3: X.2.4, mailing list expansion problem.
    let wrong = |why: String| {
        let text = format!(":include:{}: {why}", path.display());
        Said::Status(Status::Deferred(Detail::ours(Enhanced(2, 4), text)))
    };
    let file = match read(path, MAX_LIST, Keeper::Anybody) {
        Ok((_, Ok(file))) => file,
        Ok((_, Err(why))) => return wrong(why),
        Err(error) => return wrong(error.to_string()),
    };
    let mut list = List::default();
    let mut bytes = 0;
    for (line, member) in members(&file.text) {
        let member = member.and_then(|target| {
            let member =
                target.member(&store.hostname).map_err(|name| format!("{name}: no name"))?;
            match member {
                Member::Special(Special::Program(_) | Special::File(_)) if !file.is_ours => {
                    Err("programs and files are for lists of root's".to_owned())
                }
                Member::Special(_) | Member::Address(_) | Member::Mailbox(_) => Ok(member),
            }
        });
        match member {
            Ok(member) => {
                bytes += member.to_string().len();
                list.members.push(member);
            }
            Err(why) => remark(&mut list.remarks, path, line, &why),
        }
    }
    if list.members.len() > MAX_MEMBERS || bytes > ipc::MAX_HEAD / 2 {
        return wrong("the list is too long".to_owned());
    }
    if list.members.is_empty() {
        return wrong(list.remarks.pop().unwrap_or_else(|| "nobody is named there".to_owned()));
    }
    Said::Expanded { members: list.members, remarks: list.remarks }
}

/// To whom a file has to belong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Keeper {
    /// The user, or root if all may read it.
    User,
    Anybody,
}

#[derive(Debug)]
struct Text {
    text: String,
    /// It is the user's own, or root's.
    is_ours: bool,
}

/// The file, unless others may write to it (then why it is not read), and which one it was.
fn read(path: &Path, max: u64, keeper: Keeper) -> io::Result<(Stamp, Result<Text, String>)> {
    let there = path.metadata()?;
    if !there.is_file() {
        // A socket cannot be opened at all, and mail would wait for ever.
        return Ok((Stamp::of(&there), Err(NO_FILE.to_owned())));
    }
    let mut file = File::options().read(true).custom_flags(O_NONBLOCK).open(path)?;
    let found = file.metadata()?;
    let stamp = Stamp::of(&found);
    let is_ours = match unsafe_because(path, &found, max, keeper)? {
        Ok(is_ours) => is_ours,
        Err(why) => return Ok((stamp, Err(why))),
    };
    let mut bytes = Vec::new();
    file.by_ref().take(max).read_to_end(&mut bytes)?;
    let text = String::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned());
    Ok((stamp, text.map(|text| Text { text, is_ours })))
}

/// Why a file is not followed; or whether it is the user's own, or root's.
fn unsafe_because(
    path: &Path,
    found: &Metadata,
    max: u64,
    keeper: Keeper,
) -> io::Result<Result<bool, String>> {
    let own = nix::unistd::geteuid().as_raw();
    let is_ours = found.uid() == own || found.uid() == 0 && found.mode() & ALL_READ != 0;
    let wrong = if !found.is_file() {
        NO_FILE
    } else if keeper == Keeper::User && !is_ours {
        "it belongs to another user"
    } else if found.mode() & OTHERS_WRITE != 0 {
        "others may write to it"
    } else if found.len() > max {
        "it is too long"
    } else {
        // A link is as safe as where it is and what it leads to.
        let [named, real] = [path.parent().unwrap_or(path), path].map(fs::canonicalize);
        let (named, real) = (named?, real?);
        for directory in named.ancestors().chain(real.ancestors().skip(1)) {
            if !is_safe(&directory.metadata()?, own, keeper) {
                return Ok(Err(format!("others may write to {}", directory.display())));
            }
        }
        return Ok(Ok(is_ours));
    };
    Ok(Err(wrong.to_owned()))
}

/// In a sticky directory others may write, but not remove or rename what is not theirs.
fn is_safe(directory: &Metadata, own: u32, keeper: Keeper) -> bool {
    let is_trusted = keeper == Keeper::Anybody || [0, own].contains(&directory.uid());
    is_trusted && (directory.mode() & OTHERS_WRITE == 0 || directory.mode() & STICKY != 0)
}

#[cfg(test)]
mod tests;
