//! What is known of next hops: what came of the last attempt at each. It is for people to look at, and
//! does not survive a restart.

use std::collections::HashMap;

use envelope::{NextHop, Status};

use crate::record::Millis;

/// Next hops that are remembered; beyond it the older half is forgotten.
const MAX: usize = 2000;
/// Bytes of what was said that are remembered.
const MAX_TEXT: usize = 200;

#[derive(Debug, Default)]
pub(super) struct Contacts(HashMap<NextHop, Contact>);

/// The last attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contact {
    pub at: Millis,
    pub status: Status,
}

impl Contacts {
    pub(super) fn note(&mut self, next_hop: &NextHop, at: Millis, mut status: Status) {
        let (Status::Delivered(detail) | Status::Deferred(detail) | Status::Failed(detail)) =
            &mut status;
        detail.text.truncate(detail.text.floor_char_boundary(MAX_TEXT));
        let contact = Contact { at, status };
        if let Some(known) = self.0.get_mut(next_hop) {
            *known = contact;
            return;
        }
        if self.0.len() >= MAX {
            self.forget_older_half();
        }
        self.0.insert(next_hop.clone(), contact);
    }

    fn forget_older_half(&mut self) {
        let mut times: Vec<_> = self.0.values().map(|contact| contact.at).collect();
        times.sort_unstable();
        let middle = times.get(times.len() / 2).copied().unwrap_or_default();
        // Should they all be of one moment, all go.
        self.0.retain(|_, contact| contact.at > middle);
    }

    /// After this name, in the order of names.
    pub(super) fn page(
        &self,
        after: Option<&str>,
        most: usize,
    ) -> Vec<(String, &NextHop, &Contact)> {
        let named =
            self.0.iter().map(|(next_hop, contact)| (next_hop.to_string(), next_hop, contact));
        let mut page: Vec<_> =
            named.filter(|(name, ..)| after.is_none_or(|after| name.as_str() > after)).collect();
        page.sort_unstable_by(|one, other| one.0.cmp(&other.0));
        page.truncate(most);
        page
    }

    /// Forgets those that `these` says yes of, and says which.
    pub(super) fn forget(&mut self, these: impl Fn(&NextHop, &Contact) -> bool) -> Vec<NextHop> {
        self.0.extract_if(|next_hop, contact| these(next_hop, contact)).map(|(it, _)| it).collect()
    }
}

#[cfg(test)]
mod tests {
    use envelope::{Detail, Enhanced};

    use super::*;

    fn delivered() -> Status {
        Status::Delivered(Detail::ours(Enhanced::UNDEFINED, "é".repeat(MAX_TEXT)))
    }

    fn hop(name: &str) -> NextHop {
        NextHop::parse(name).unwrap()
    }

    #[test]
    fn the_last_result_of_each_is_known() {
        let mut contacts = Contacts::default();
        for (name, at) in [("b", 1), ("a", 2), ("c", 3), ("b", 4)] {
            contacts.note(&hop(name), at, delivered());
        }
        let names = |after, most| {
            let page = contacts.page(after, most);
            page.into_iter().map(|(name, _, contact)| (name, contact.at)).collect::<Vec<_>>()
        };
        let named = |name: &str, at| (name.to_owned(), at);
        assert_eq!(names(None, 2), [named("a", 2), named("b", 4)]);
        assert_eq!(names(Some("b"), 2), [named("c", 3)]);
        assert_eq!(contacts.page(None, 1)[0].2.status.detail().text.len(), MAX_TEXT);
        assert_eq!(contacts.forget(|_, contact| contact.at < 3), [hop("a")]);
        assert_eq!(contacts.page(None, 9).len(), 2);
    }

    #[test]
    fn too_many_are_not_kept() {
        let mut contacts = Contacts::default();
        for number in 0..=MAX {
            contacts.note(&hop(&format!("h{number}")), number as Millis, delivered());
        }
        assert_eq!(contacts.0.len(), MAX / 2);
        assert!(contacts.0.contains_key(&hop(&format!("h{MAX}"))));
        assert!(!contacts.0.contains_key(&hop("h0")));
    }
}
