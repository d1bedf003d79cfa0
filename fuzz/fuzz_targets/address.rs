//! An address reads back as it was, another parser finds the same one, and recipients of a header
//! are addresses.

#![no_main]

use envelope::{Address, NextHop, QueueId};
use libfuzzer_sys::fuzz_target;
use mail_parser::HeaderForm;

fuzz_target!(|bytes: &[u8]| {
    message::recipients(bytes, "here.test").addresses.iter().for_each(reads_back);
    let Ok(text) = str::from_utf8(bytes) else { return };
    message::addresses(text, "here.test").addresses.iter().for_each(reads_back);
    if let Ok(address) = text.parse::<Address>() {
        reads_back(&address);
        found_by_another(&address);
    }
    if let Some((local, domain)) = text.rsplit_once('@')
        && let Ok(address) = Address::new(local, domain)
    {
        reads_back(&address);
    }
    if let Some(hop) = NextHop::parse(text) {
        assert_eq!(NextHop::parse(&hop.to_string()), Some(hop));
    }
    if let Some(hop) = NextHop::lmtp(text) {
        let written = hop.to_string();
        assert_eq!(NextHop::lmtp(written.strip_prefix("lmtp:").unwrap()), Some(hop));
    }
    if let Ok(id) = text.parse::<QueueId>() {
        let written = id.to_string();
        assert_eq!(written.parse(), Ok(id));
        // Ids once had fewer characters.
        assert!(written == text || text.len() < QueueId::WIDTH, "{text:?}");
    }
});

fn reads_back(address: &Address) {
    let text = address.to_string();
    assert!(!text.contains(char::is_control), "{text:?}");
    assert_eq!(text.parse().as_ref(), Ok(address));
}

/// Dot-strings only: the other parser takes comments and encoded words out of anything.
fn found_by_another(address: &Address) {
    let text = address.to_string();
    if text.starts_with('"') || text.contains("=?") {
        return;
    }
    let field = format!("<{text}>");
    let parsed = HeaderForm::Addresses.parse(field.as_bytes());
    let value = parsed.value();
    let found: Vec<_> = value.as_address().into_iter().flat_map(|list| list.mailboxes()).collect();
    assert_eq!(found.first().and_then(|mailbox| mailbox.address()), Some(text.as_str()));
}
