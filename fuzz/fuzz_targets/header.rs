//! Addresses of a header are replaced, and nothing else of it changes: with the names put back it is
//! what it was, however it is read.

#![no_main]

use std::borrow::Cow;
use std::convert::Infallible;

use envelope::Address;
use libfuzzer_sys::fuzz_target;
use message::{
    Party, Written, fields, qualify_header, rewrite_content, rewrite_header, whole_fields,
};

/// As long as each other, so that no line needs another fold.
const OURS: &str = "in.test";
const THEIRS: &str = "ex.test";

fuzz_target!(|input: (u8, &[u8])| {
    let (cut, bytes) = input;
    if !bytes.to_ascii_lowercase().windows(THEIRS.len()).any(|part| part == THEIRS.as_bytes()) {
        back_and_forth(bytes, usize::from(cut) + 1);
    }
    if let Some(qualified) = qualify_header(bytes, "here.test") {
        assert_eq!(fields(&qualified).count(), fields(bytes).count());
        assert_eq!(qualify_header(&qualified, "here.test"), None);
    }
    assert!(bytes.starts_with(whole_fields(bytes)));
});

/// The domain `from` is called `to`.
fn renamed(content: &[u8], from: &str, to: &str) -> Option<Vec<u8>> {
    rewrite_header(content, |_, written| rename(written, from, to))
}

fn rename(written: Written<'_>, from: &str, to: &str) -> Option<Address> {
    (written.domain == Some(from)).then(|| Address::new(written.local, to).ok()).flatten()
}

fn back_and_forth(content: &[u8], cut: usize) {
    let header = fields(content).last().map_or(0, |field| field.range.end);
    let there = renamed(content, OURS, THEIRS);
    let piece = |offset| {
        let rest = content.get(usize::try_from(offset).unwrap()..).unwrap_or_default();
        Ok::<_, Infallible>(Cow::Borrowed(rest.get(..cut).unwrap_or(rest)))
    };
    let Ok(in_pieces) = rewrite_content(piece, |_: Party, written| rename(written, OURS, THEIRS));
    assert_eq!(in_pieces.as_ref().map(|header| &header.text), there.as_ref());
    let Some(there) = there else { return };
    assert!(in_pieces.is_some_and(|new| new.replaces == header as u64));
    assert_eq!(there.len(), header);
    assert_eq!(renamed(&there, OURS, THEIRS), None);
    assert!(
        there == content[..header]
            || renamed(&there, THEIRS, OURS).as_deref() == Some(&content[..header])
    );
}
