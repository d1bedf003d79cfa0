//! `[masquerade]`

use envelope::domain_key;
use routing::Masquerade;

use super::Section;
use super::host::host_name;
use crate::Relay;
use crate::reader::Reader;

/// A null client goes by the name of its hub in all that it sends (nullclient.m4), unless
/// `masquerade.as` is stated.
pub(super) fn masquerade(section: &mut Section<'_, '_>, relay: &Relay) -> Masquerade {
    let is_stated = section.table.is_some_and(|table| table.contains_key("as"));
    let hub = relay.null_client.as_ref().and_then(|hub| host_name(&hub.domain()));
    let masquerade = stated(section);
    match hub.filter(|_| !is_stated) {
        Some(hub) => Masquerade { name: Some(hub), envelope: true, all: true, ..masquerade },
        None => masquerade,
    }
}

fn stated(section: &mut Section<'_, '_>) -> Masquerade {
    let mut switch = |key, default| section.get(key, default, Reader::switch);
    let switches = Masquerade {
        envelope: switch("envelope", false),
        all: switch("all", false),
        entire_domain: switch("entire_domain", false),
        limited: switch("limited", false),
        local: switch("local", true),
        generics_entire_domain: switch("generics_entire_domain", false),
        ..Masquerade::default()
    };
    Masquerade {
        name: section.get("as", None, |reader, value| {
            let read = |text: &str| match text {
                "" => Some(None),
                name => host_name(name).map(Some),
            };
            reader.parsed(value, read, "this is not a domain", "write \"example.org\"")
        }),
        exceptions: section.get("exceptions", Vec::new(), |reader, value| {
            let read = |name: &str| host_name(name).map(|name| domain_key(&name));
            reader.list(value, read, "this is not a domain", "write \"lab.example.org\"")
        }),
        exposed_users: section.get("exposed_users", vec!["root".to_owned()], |reader, value| {
            let read = |name: &str| (!name.is_empty()).then(|| name.to_lowercase());
            reader.list(value, read, "a user is wanted here", "write [\"root\"]")
        }),
        ..switches
    }
}
