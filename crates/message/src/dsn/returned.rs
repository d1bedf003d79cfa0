//! What of the original goes back with a notification.

use std::borrow::Cow;

use envelope::Return;

use super::{Kind, Report};
use crate::{end_of_header, fields};

/// Bytes of a message that go back; of a longer one its header goes.
const MAX_MESSAGE: usize = 50 * 1024;
/// Bytes of a header that go back.
const MAX_HEADER: usize = 32 * 1024;
/// RFC 5322 §2.1.1, without CRLF.
const MAX_LINE: usize = 998;

/// How much goes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Extent {
    Message,
    Header,
}

/// The third part of the report.
pub(super) struct Returned<'a> {
    pub(super) bytes: Cow<'a, [u8]>,
    pub(super) extent: Extent,
    pub(super) media_type: &'static str,
}

impl<'a> Returned<'a> {
    /// RFC 3461 §4.3: RET speaks of failures only; everything else returns the header.
    pub(super) fn choose(report: &Report<'a>) -> Self {
        let original = report.original;
        let header = original.content.get(..end_of_header(original.content)).unwrap_or_default();
        let all = original.whole
            && report.kind == Kind::Failure
            && original.ret != Some(Return::Headers)
            && original.content.len() <= MAX_MESSAGE
            && is_text(original.content);
        let (bytes, extent) = if all {
            (Cow::Borrowed(original.content), Extent::Message)
        } else {
            (Cow::Owned(fit_fields(header)), Extent::Header)
        };
        // RFC 6532 §3.7, RFC 6533 §6: a header beyond ASCII has types of its own.
        let global = original.smtputf8 && !header.is_ascii();
        let media_type = match (extent, global) {
            (Extent::Message, false) => "message/rfc822",
            (Extent::Message, true) => "message/global",
            (Extent::Header, false) => "text/rfc822-headers",
            (Extent::Header, true) => "message/global-headers",
        };
        Self { bytes, extent, media_type }
    }
}

/// The fields that may stand in a text part, as many as fit.
fn fit_fields(header: &[u8]) -> Vec<u8> {
    let mut fit = Vec::new();
    for field in fields(header) {
        let bytes = header.get(field.range).unwrap_or_default();
        if is_text(bytes) && fit.len() + bytes.len() <= MAX_HEADER {
            fit.extend_from_slice(bytes);
        }
    }
    fit
}

/// RFC 2045 §2.8: no NUL, no bare CR or LF, no line too long; the last line is ended.
fn is_text(bytes: &[u8]) -> bool {
    bytes.split_inclusive(|&byte| byte == b'\n').all(|line| {
        line.strip_suffix(b"\r\n").is_some_and(|line| {
            line.len() <= MAX_LINE && !line.iter().any(|byte| matches!(byte, 0 | b'\r'))
        })
    })
}
