//! `[local]`

use std::path::Path;

use super::{Section, below};
use crate::{Local, Mailbox};

pub(super) fn local(section: &mut Section<'_, '_>, root: Option<&Path>) -> Local {
    let place = |path: &str| match root {
        Some(root) if path.starts_with('/') => below(root, path).display().to_string(),
        _ => path.to_owned(),
    };
    let default = Mailbox::Mbox(place("/var/mail/{user}"));
    Local {
        mailbox: section.get("mailbox", default, |reader, value| {
            if value.get_ref().as_str().is_some_and(|text| text.starts_with("lmtp:")) {
                let remedy = "use maildir:, mbox: or command: for now";
                reader.find(value.span(), "LMTP is not yet supported", remedy);
                return None;
            }
            let remedy = "write \"maildir:{home}/Maildir\", \"mbox:/var/mail/{user}\" or \
                          \"command:procmail -d {user}\"; {user}, {home} and {detail} are filled in";
            reader.parsed(value, |text| mailbox(text, place), "this is not a mailbox", remedy)
        }),
        detail: section.get("detail", "+".to_owned(), |reader, value| {
            let read = |text: &str| (text.len() <= 1 && text.is_ascii()).then(|| text.to_owned());
            reader.parsed(value, read, "the detail is separated by one character", "write \"+\"")
        }),
        default_user: section
            .get("default_user", "nobody".to_owned(), |reader, value| {
                let read = |text: &str| (!text.is_empty()).then(|| text.to_owned());
                reader.parsed(value, read, "a user is wanted here", "write \"nobody\"")
            }),
        minimum_uid: section
            .get("minimum_uid", 1000, |r, v| r.number(v, 1, "root is always known")),
    }
}

fn mailbox(text: &str, place: impl Fn(&str) -> String) -> Option<Mailbox> {
    let (kind, what) = text.split_once(':')?;
    let known = ["{user}", "{home}", "{detail}"];
    let plain = known.iter().fold(what.to_owned(), |text, name| text.replace(name, ""));
    if plain.contains(['{', '}']) {
        return None;
    }
    let path = what.starts_with('/') || what.starts_with("{home}/");
    match kind {
        "mbox" if path => Some(Mailbox::Mbox(place(what))),
        "maildir" if path => Some(Mailbox::Maildir(place(what))),
        "command" => {
            let argv: Vec<_> = what.split_whitespace().map(str::to_owned).collect();
            (!argv.is_empty()).then_some(Mailbox::Command(argv))
        }
        _ => None,
    }
}
