//! Virtual users, and names in the virtual domains.

use envelope::{Enhanced, Member};
use tables::{Meaning, Refusal, Step, Target, Virtual};

use super::Route;
use super::way::{Way, not_yet};

/// What virtusertable says of an address.
pub(super) enum Stands {
    /// For what it is.
    Here,
    /// For another one, which is the address now.
    Elsewhere,
    Ended(Route),
}

impl Way<'_> {
    pub(super) fn virtual_user(&mut self) -> Stands {
        if self.bare {
            return Stands::Here;
        }
        let router = self.router;
        let found = router.virtusertable.find(&self.address, &router.detail);
        let Some(Virtual { meaning, place }) = found else { return Stands::Here };
        let mut note = |what: &str| {
            let text = format!("{} {what}", self.address);
            self.trace.push(Step::at(&place, text));
        };
        let target = match meaning {
            Meaning::Target(target) => target,
            Meaning::Itself => {
                note("is itself");
                return Stands::Here;
            }
            Meaning::Refused(refusal) => {
                note("is refused");
                return Stands::Ended(Route::Refused(refusal));
            }
        };
        let address = match target.member(&router.local.hostname) {
            Ok(Member::Address(address)) => address,
            Ok(Member::Mailbox(address)) => {
                note(&format!("is \\{address}"));
                return Stands::Ended(self.mailbox(address.local()));
            }
            // The table takes none.
            Ok(Member::Special(_)) | Err(_) => {
                return Stands::Ended(not_yet("this virtual user"));
            }
        };
        note(&format!("is {address}"));
        // One that leads to itself is no circle (cf/README knows no end of it).
        if address == self.address {
            return Stands::Here;
        }
        self.go_on(address, matches!(target, Target::Local(_)));
        Stands::Elsewhere
    }

    /// A name in a virtual domain that virtusertable does not know. There is always a postmaster
    /// (RFC 5321 §4.5.1).
    pub(super) fn virtual_only(&mut self) -> Option<Route> {
        if self.is_postmaster() {
            return self.local_name();
        }
        if let Some(entry) = self.router.mailertable.find(&self.address.domain_key()) {
            return self.by_entry(entry);
        }
        let text = "User unknown".to_owned();
        Some(Route::Refused(Refusal { code: 550, enhanced: Enhanced::BAD_MAILBOX, text }))
    }
}
