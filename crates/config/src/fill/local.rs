//! `[local]`

use std::path::{Path, PathBuf};

use envelope::{Address, NextHop};

use super::{Section, below, hop};
use crate::{CatchAll, Local, Mailbox};

pub(super) fn local(section: &mut Section<'_, '_>, root: Option<&Path>, tables: &Path) -> Local {
    let place = |path: &str| match root {
        Some(root) if path.starts_with('/') => below(root, path).display().to_string(),
        _ => path.to_owned(),
    };
    let default = Mailbox::Mbox(place("/var/mail/{user}"));
    let mailbox = section.get("mailbox", default, |reader, value| {
        let remedy = "write \"maildir:{home}/Maildir\", \"mbox:/var/mail/{user}\", \
                      \"command:procmail -d {user}\" ({user}, {home} and {detail} are filled in), \
                      \"lmtp:unix:/run/dovecot/lmtp\" or \"lmtp:inet:127.0.0.1:24\"";
        reader.parsed(value, |text| mailbox_of(text, place), "this is not a mailbox", remedy)
    });
    if mailbox.store().is_some() {
        elsewhere(section);
    }
    Local {
        mailbox,
        detail: section.get("detail", "+".to_owned(), |reader, value| {
            let read = |text: &str| (text.len() <= 1 && text.is_ascii()).then(|| text.to_owned());
            reader.parsed(value, read, "the detail is separated by one character", "write \"+\"")
        }),
        forward: section.get("forward", vec!["{home}/.forward".to_owned()], |reader, value| {
            let remedy = "write [\"{home}/.forward\"]; {user}, {home} and {detail} are filled in";
            let read = |text: &str| is_place(text).then(|| place(text));
            reader.list(value, read, "this is no file of a user's", remedy)
        }),
        programs: programs(section, root, tables),
        catch_all: section.get("catch_all", None, |reader, value| {
            let remedy = "write a user, an alias, an address, or \"relay:[hub.example.org]\"";
            reader.parsed(value, catch_all, "nobody can get mail there", remedy)
        }),
        default_user: section.get("default_user", "nobody".to_owned(), |reader, value| {
            let read = |text: &str| (!text.is_empty()).then(|| text.to_owned());
            reader.parsed(value, read, "a user is wanted here", "write \"nobody\"")
        }),
        hub: section.get("hub", None, hop),
        hub_except: section.get("hub_except", Vec::new(), |reader, value| {
            let read = |name: &str| (!name.is_empty()).then(|| name.to_owned());
            reader.list(value, read, "a user is wanted here", "write [\"root\"]")
        }),
        minimum_uid: section
            .get("minimum_uid", 1000, |r, v| r.number(v, 1, "root is always known")),
    }
}

/// Whose mailboxes are not ours to open has no files and no unknown users for us either.
fn elsewhere(section: &mut Section<'_, '_>) {
    for key in ["forward", "catch_all"] {
        if let Some(value) = section.table.and_then(|table| table.get(key)) {
            let problem = format!("with LMTP the users are not ours: `local.{key}` does nothing");
            section.reader.find(value.span(), &problem, "remove it; the LMTP server may have it");
        }
    }
}

fn mailbox_of(text: &str, place: impl Fn(&str) -> String) -> Option<Mailbox> {
    let (kind, what) = text.split_once(':')?;
    if !is_filled(what) {
        return None;
    }
    let path = is_place(what);
    match kind {
        "lmtp" => NextHop::lmtp(what).map(Mailbox::Lmtp),
        "mbox" if path => Some(Mailbox::Mbox(place(what))),
        "maildir" if path => Some(Mailbox::Maildir(place(what))),
        "command" => {
            let argv: Vec<_> = what.split_whitespace().map(str::to_owned).collect();
            (!argv.is_empty()).then_some(Mailbox::Command(argv))
        }
        _ => None,
    }
}

fn programs(section: &mut Section<'_, '_>, root: Option<&Path>, tables: &Path) -> PathBuf {
    section.get("programs", tables.join("smrsh"), |reader, value| {
        let read = |text: &str| match (text, root) {
            ("", _) => None,
            (path, Some(root)) if path.starts_with('/') => Some(below(root, path)),
            (path, _) => Some(tables.join(path)),
        };
        reader.parsed(value, read, "a directory is wanted here", "write \"smrsh\"")
    })
}

/// Are the placeholders known ones?
fn is_filled(text: &str) -> bool {
    let known = ["{user}", "{home}", "{detail}"];
    let plain = known.iter().fold(text.to_owned(), |text, name| text.replace(name, ""));
    !plain.contains(['{', '}'])
}

/// A path that is absolute once it is filled in.
fn is_place(text: &str) -> bool {
    is_filled(text) && (text.starts_with('/') || text.starts_with("{home}/"))
}

/// The outer `None`: it is nothing. A text without any is nobody.
fn catch_all(text: &str) -> Option<Option<CatchAll>> {
    if text.is_empty() {
        return Some(None);
    }
    for mailer in ["relay:", "smtp:", "esmtp:"] {
        if let Some(host) = text.strip_prefix(mailer) {
            return Some(Some(CatchAll::Host(NextHop::parse(host)?)));
        }
    }
    let name = text.strip_prefix("local:").unwrap_or(text);
    let is_address = name.parse::<Address>().is_ok();
    let is_name = !name.contains(['@', ':', ' ']) && Address::new(name, "localhost").is_ok();
    (is_address || is_name).then(|| Some(CatchAll::To(name.to_owned())))
}
