//! Names of this host: aliases, lists and their owners.

use envelope::Address;
use tables::{Alias, Place, Step, Target, split_detail};

use super::Route;
use super::way::{Way, member, not_yet};

impl Way<'_> {
    pub(super) fn local_name(&mut self) -> Option<Route> {
        let local = self.address.local();
        match self.alias(local) {
            Some((name, Alias { targets, place })) => self.apply(&name, &targets, Some(&place)),
            // RFC 5321 §4.5.1: postmaster is always there.
            None if self.is_postmaster() => {
                self.apply("postmaster", &[Target::Local("root".to_owned())], None)
            }
            None => Some(self.user(local)),
        }
    }

    pub(super) fn is_postmaster(&self) -> bool {
        split_detail(self.address.local(), &self.router.detail).0 == "postmaster"
    }

    /// The alias of the whole local part, or of the user without the detail.
    fn alias(&self, local: &str) -> Option<(String, Alias)> {
        let router = self.router;
        let (user, _) = split_detail(local, &router.detail);
        let whole = router.aliases.get(local).map(|alias| (local.to_owned(), alias));
        whole.or_else(|| router.aliases.get(&user).map(|alias| (user, alias)))
    }

    /// `None`: it is so without a line.
    fn apply(&mut self, name: &str, targets: &[Target], place: Option<&Place>) -> Option<Route> {
        self.is_alias = true;
        let step = |text: String| match place {
            Some(place) => Step::at(place, text),
            None => Step::by("aliases", text),
        };
        let members = targets.iter().map(|target| member(self.router, target));
        let mut members = match members.collect::<Result<Vec<_>, _>>() {
            Ok(members) => members,
            Err(what) => {
                self.trace.push(step(format!("{name} is {what}")));
                return Some(not_yet(what));
            }
        };
        let shown: Vec<_> = members.iter().map(|member| member.address.to_string()).collect();
        self.trace.push(step(format!("{name} is {}", shown.join(", "))));
        let owner = self.owner(name);
        match (targets, members.pop()) {
            ([Target::User(user)], Some(_)) if owner.is_none() => Some(self.user(user)),
            ([target], Some(member)) if owner.is_none() => {
                self.go_on(member.address, matches!(target, Target::Local(_)));
                None
            }
            (_, last) => {
                members.extend(last);
                Some(Route::List { members, owner })
            }
        }
    }

    /// Who owns the list `name` (op.me §4.5, "List owners"): what `owner-NAME` points to if that is
    /// one, or else `owner-NAME` itself. Owners have `owner-owner` (alias() in alias.c).
    fn owner(&mut self, name: &str) -> Option<Address> {
        let name = name.to_lowercase();
        let name = if name.starts_with("owner-") { "owner" } else { &name };
        let owner = format!("owner-{name}");
        let Alias { targets, place } = self.router.aliases.get(&owner)?;
        let itself = Target::Local(owner.clone());
        let address = match targets.as_slice() {
            [Target::Unsupported(_)] => member(self.router, &itself),
            [single] => member(self.router, single),
            _ => member(self.router, &itself),
        };
        let address = address.ok()?.address;
        self.note(&place, format!("failures are told to {address}"));
        Some(address)
    }
}
