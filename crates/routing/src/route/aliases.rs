//! Names of this host: aliases, lists and their owners.

use envelope::{Address, Aliasing, Member};
use tables::{Alias, Place, Step, Target, split_detail};

use super::Route;
use super::way::{Way, not_yet};

impl Way<'_> {
    pub(super) fn local_name(&mut self) -> Option<Route> {
        let local = self.address.local().to_owned();
        if let Some((name, Alias { targets, place })) = self.alias(&local) {
            return self.apply(&name, &targets, Some(&place));
        }
        // RFC 5321 §4.5.1: postmaster is always there.
        if self.is_postmaster() && !self.has_hub() {
            return self.apply("postmaster", &[Target::Local("root".to_owned())], None);
        }
        Some(self.user(&local))
    }

    pub(super) fn is_postmaster(&self) -> bool {
        split_detail(self.address.local(), &self.router.detail).0 == "postmaster"
    }

    /// The alias of the whole local part, or of the user without the detail.
    fn alias(&self, local: &str) -> Option<(String, Alias)> {
        let (user, _) = split_detail(local, &self.router.detail);
        let whole = self.entry(local).map(|alias| (local.to_owned(), alias));
        whole.or_else(|| self.entry(&user).map(|alias| (user, alias)))
    }

    /// What the table has of this name, if this message is to know of it.
    fn entry(&self, name: &str) -> Option<Alias> {
        match self.aliasing {
            Aliasing::Followed => self.router.aliases.get(name),
            Aliasing::Skipped => None,
        }
    }

    /// `None`: it is so without a line.
    fn apply(&mut self, name: &str, targets: &[Target], place: Option<&Place>) -> Option<Route> {
        self.is_alias = true;
        let step = |text: String| match place {
            Some(place) => Step::at(place, text),
            None => Step::by("aliases", text),
        };
        let members = targets.iter().map(|target| target.member(&self.router.local.hostname));
        let members = match members.collect::<Result<Vec<_>, _>>() {
            Ok(members) => members,
            Err(what) => {
                self.trace.push(step(format!("{name} is {what}")));
                return Some(not_yet(what));
            }
        };
        let shown: Vec<_> = members.iter().map(Member::to_string).collect();
        self.trace.push(step(format!("{name} is {}", shown.join(", "))));
        let owner = self.owner(name);
        match (targets, members.as_slice()) {
            ([target], [Member::Address(address)]) if owner.is_none() => {
                self.go_on(address.clone(), matches!(target, Target::Local(_)));
                None
            }
            (_, [Member::Mailbox(address)]) if owner.is_none() => {
                Some(self.mailbox(address.local()))
            }
            (_, [Member::Special(special)]) if owner.is_none() => {
                Some(Route::Special(special.clone()))
            }
            (_, _) => Some(Route::List { members, owner }),
        }
    }

    /// Who owns the list `name` (op.me §4.5, "List owners"): what `owner-NAME` points to if that is
    /// one, or else `owner-NAME` itself. Owners have `owner-owner` (alias() in alias.c).
    fn owner(&mut self, name: &str) -> Option<Address> {
        let name = name.to_lowercase();
        let name = if name.starts_with("owner-") { "owner" } else { &name };
        let owner = format!("owner-{name}");
        let Alias { targets, place } = self.entry(&owner)?;
        let hostname = &self.router.local.hostname;
        let single = match targets.as_slice() {
            [single] => single.member(hostname).ok(),
            _ => None,
        };
        let address = match single {
            Some(Member::Address(address) | Member::Mailbox(address)) => address,
            Some(Member::Special(_)) | None => Address::new(&owner, hostname).ok()?,
        };
        self.note(&place, format!("failures are told to {address}"));
        Some(address)
    }
}
