//! Addresses of a header replaced by others, and nothing else changed.
//!
//! **Invariant:** every byte outside of a replaced local part or domain stays as it is, folding and
//! comments included. The one exception: a line that grew beyond [`MAX_LINE`] is folded at white
//! space that is there.
//! **Invariant:** a field that is not understood whole stays as it is.

mod list;

use std::borrow::Cow;
use std::ops::Range;

use envelope::Address;
use memchr::{memchr, memrchr};

use crate::{end_of_header, fields};
use list::Spot;
pub use list::Unreadable;

/// Bytes of a line, without its end (RFC 5322 §2.1.1).
const MAX_LINE: usize = 998;

/// Bytes of a header that are looked at, and held in memory; fields beyond stay as they are. Sendmail
/// takes no header over 32 KiB (MaxHeadersLength).
pub const MAX_HEADER: usize = 256 * 1024;

/// What stands in place of a header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewHeader {
    /// At most twice [`MAX_HEADER`].
    pub text: Vec<u8>,
    /// Bytes at the beginning of the content that it replaces.
    pub replaces: u64,
}

/// Whom a field names. Both lists are those of HdrInfo in sendmail's conf.c; `Return-Receipt-To`,
/// which is not in it as an address, tells as much.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Party {
    Sender,
    Recipient,
}

const SENDERS: [&str; 9] = [
    "From",
    "Sender",
    "Reply-To",
    "Resent-From",
    "Resent-Sender",
    "Resent-Reply-To",
    "Errors-To",
    "Disposition-Notification-To",
    "Return-Receipt-To",
];
const RECIPIENTS: [&str; 7] =
    ["To", "Cc", "Bcc", "Resent-To", "Resent-Cc", "Resent-Bcc", "Apparently-To"];

impl Party {
    /// `None`: the field names nobody.
    #[must_use]
    pub fn of(field: &str) -> Option<Self> {
        let is_in = |names: &[&str]| names.iter().any(|name| name.eq_ignore_ascii_case(field));
        match field {
            _ if is_in(&SENDERS) => Some(Self::Sender),
            _ if is_in(&RECIPIENTS) => Some(Self::Recipient),
            _ => None,
        }
    }
}

/// An address as it stands in a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Written<'a> {
    /// Without quotes.
    pub local: &'a str,
    /// `None`: a name alone.
    pub domain: Option<&'a str>,
}

/// The header of `content` with each address replaced for which `replace` has another; `content` may
/// go on beyond the header, and what follows is left out. `None`: all stays as it is.
pub fn rewrite_header(
    content: &[u8],
    mut replace: impl FnMut(Party, Written<'_>) -> Option<Address>,
) -> Option<Vec<u8>> {
    let mut rewritten = Vec::new();
    let mut copied = 0;
    let mut end = 0;
    for field in fields(content) {
        end = field.range.end;
        let Some(party) = Party::of(field.name) else { continue };
        let Ok(value) = rewrite_value(field.value, |written| replace(party, written)) else {
            continue;
        };
        let Some(value) = value else { continue };
        let from = value_start(content, &field.range);
        let column = from - field.range.start;
        rewritten.extend_from_slice(content.get(copied..from)?);
        rewritten.extend(value.folded(column));
        copied = from + field.value.len();
    }
    if copied == 0 {
        return None;
    }
    rewritten.extend_from_slice(content.get(copied..end)?);
    Some(rewritten)
}

/// The same for content that is read piece by piece; `None`: the header stays. `piece` reads it at an
/// offset, and gives nothing at its end.
///
/// # Errors
/// Those of `piece`.
pub fn rewrite_content<'a, E>(
    piece: impl Fn(u64) -> Result<Cow<'a, [u8]>, E>,
    replace: impl FnMut(Party, Written<'_>) -> Option<Address>,
) -> Result<Option<NewHeader>, E> {
    let header = beginning(piece)?;
    // Names may be longer than what they are for.
    let text = rewrite_header(&header, replace).filter(|text| text.len() <= 2 * MAX_HEADER);
    let replaces = end_of_header(&header) as u64;
    Ok(text.map(|text| NewHeader { text, replaces }))
}

/// The header with what happens to follow, or as many whole fields of it as fit.
fn beginning<'a, E>(piece: impl Fn(u64) -> Result<Cow<'a, [u8]>, E>) -> Result<Cow<'a, [u8]>, E> {
    let mut header = piece(0)?;
    // What follows the header is seen only once its first line is there.
    let has_ended = |header: &[u8]| {
        header.get(end_of_header(header)..).is_some_and(|rest| rest.contains(&b'\n'))
    };
    while !has_ended(&header) {
        let next = piece(header.len() as u64)?;
        if next.is_empty() {
            break;
        }
        if header.len() + next.len() > MAX_HEADER {
            let whole = whole_fields(&header).len();
            header.to_mut().truncate(whole);
            break;
        }
        header.to_mut().extend_from_slice(&next);
    }
    Ok(header)
}

/// The same with `hostname` behind names that have no domain, and in place of `localhost` (RFC 6409
/// §8.8).
#[must_use]
pub fn qualify_header(content: &[u8], hostname: &str) -> Option<Vec<u8>> {
    rewrite_header(content, |_, Written { local, domain }| {
        let is_bare = domain.is_none_or(|domain| domain.eq_ignore_ascii_case("localhost"));
        // `!` and `%` route: such a name is of another host.
        let is_name = is_bare && !local.contains(['!', '%']);
        is_name.then(|| Address::new(local, hostname).ok()).flatten()
    })
}

/// The fields at the beginning of a message that are there to their end, where more may follow.
#[must_use]
pub fn whole_fields(beginning: &[u8]) -> &[u8] {
    let end = end_of_header(beginning);
    let last = fields(beginning).last().filter(|_| end == beginning.len());
    beginning.get(..last.map_or(end, |last| last.range.start)).unwrap_or_default()
}

/// Each address that a value of such a field names, in order.
///
/// # Errors
/// It is no list of addresses.
pub fn written_addresses(
    value: &[u8],
    mut take: impl FnMut(Written<'_>),
) -> Result<(), Unreadable> {
    rewrite_value(value, |written| {
        take(written);
        None
    })
    .map(drop)
}

fn value_start(content: &[u8], field: &Range<usize>) -> usize {
    let colon = content.get(field.clone()).and_then(|field| memchr(b':', field));
    field.start + colon.map_or(0, |colon| colon + 1)
}

/// A value with its replacements, not yet folded.
struct Value {
    text: Vec<u8>,
    /// Where white space begins at which a line may be folded, in `text`.
    spaces: Vec<usize>,
}

fn rewrite_value(
    value: &[u8],
    mut replace: impl FnMut(Written<'_>) -> Option<Address>,
) -> Result<Option<Value>, Unreadable> {
    let list = list::read(value)?;
    let mut edits: Vec<(Range<usize>, String)> = Vec::new();
    for spot in &list.spots {
        let written = Written { local: &spot.local_text, domain: spot.domain_text };
        if let Some(address) = replace(written) {
            edit(spot, &address, &mut edits);
        }
    }
    if edits.is_empty() {
        return Ok(None);
    }
    let mut text = Vec::with_capacity(value.len() + edits.len() * Address::MAX_LOCAL);
    let mut spaces = list.spaces.into_iter().peekable();
    let (mut kept, mut copied) = (Vec::new(), 0);
    for (range, new) in edits {
        while let Some(space) = spaces.next_if(|space| *space < range.start) {
            kept.push(text.len() + (space - copied));
        }
        text.extend_from_slice(value.get(copied..range.start).unwrap_or_default());
        text.extend_from_slice(new.as_bytes());
        copied = range.end;
    }
    kept.extend(spaces.map(|space| text.len() + (space - copied)));
    text.extend_from_slice(value.get(copied..).unwrap_or_default());
    if text.len() <= value.len() {
        // No line grew by it.
        kept.clear();
    }
    Ok(Some(Value { text, spaces: kept }))
}

/// What of the address is new; a part that is the same stays as it is written.
fn edit(spot: &Spot<'_>, new: &Address, edits: &mut Vec<(Range<usize>, String)>) {
    if spot.local_text != new.local() {
        let shown = new.to_string();
        let local = shown.strip_suffix(new.domain()).and_then(|local| local.strip_suffix('@'));
        edits.push((spot.local.clone(), local.unwrap_or_default().to_owned()));
    }
    match &spot.domain {
        Some(domain) if spot.domain_text != Some(new.domain()) => {
            edits.push((domain.clone(), new.domain().to_owned()));
        }
        Some(_) => {}
        None => edits.push((spot.local.end..spot.local.end, format!("@{}", new.domain()))),
    }
}

impl Value {
    /// The text that begins in this column, with no line beyond [`MAX_LINE`] that could be shorter.
    fn folded(self, mut column: usize) -> Vec<u8> {
        let Self { text, spaces } = self;
        let mut folded = Vec::with_capacity(text.len() + 2);
        let mut begin = 0;
        for end in spaces.into_iter().chain([text.len()]) {
            let piece = text.get(begin..end).unwrap_or_default();
            let first_line = memchr(b'\n', piece).unwrap_or(piece.len());
            if begin > 0 && column + first_line > MAX_LINE {
                folded.extend_from_slice(b"\r\n");
                column = 0;
            }
            folded.extend_from_slice(piece);
            let last_line = memrchr(b'\n', piece).map(|end| piece.len() - end - 1);
            column = last_line.unwrap_or(column + piece.len());
            begin = end;
        }
        folded
    }
}

#[cfg(test)]
mod tests;
