//! What clients call themselves (FEATURE(`block_bad_helo')).

use envelope::{Address, Disposition};
use tables::Because;

use crate::verdict::{Step, Verdict};
use crate::{Policy, Sending};

impl Policy {
    /// Another host has none of our names, and one with a domain (proto.m4, the end of check_rcpt).
    pub(crate) fn bad_helo(
        &self,
        sending: &Sending<'_>,
        trace: &mut Vec<Step>,
    ) -> Result<Option<Disposition>, Verdict> {
        let helo = sending.helo;
        if helo.is_empty() || self.is_ours(sending.client) {
            return Ok(None);
        }
        let step = match Address::new("postmaster", helo).ok() {
            Some(address) => match self.router.local.find(&address) {
                Some(Because::Own) => Some(Step::OurHelo(None)),
                Some(Because::Line(place)) => Some(Step::OurHelo(Some(place))),
                Some(Because::Virtual(_)) | None => None,
            },
            None => None,
        };
        let step = step.or_else(|| (!is_qualified(helo)).then_some(Step::UnqualifiedHelo));
        let Some(step) = step else { return Ok(None) };
        trace.push(step);
        Err(Verdict::bad_helo(helo))
    }
}

/// A dot within, or an IPv6 literal.
fn is_qualified(helo: &str) -> bool {
    let inner = helo.trim_start_matches('[').trim_end_matches(']');
    let within = inner.get(1..inner.len().saturating_sub(1)).unwrap_or_default();
    within.contains('.') || inner.to_ascii_lowercase().starts_with("ipv6:")
}
