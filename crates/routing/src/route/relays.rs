//! The next hops that the configuration and senderrelay name.

use envelope::{Address, NextHop};
use tables::{Step, split_detail};

use super::Route;
use super::way::Way;

impl Way<'_> {
    /// FEATURE(`nullclient'): no table, no alias and no mailbox has anything to say.
    pub(super) fn null_client(&mut self) -> Option<Route> {
        let hop = self.other(self.router.relays.null_client.as_ref())?;
        self.trace.push(Step::by("relay.null_client", hop.to_string()));
        if self.router.local.find(&self.address).is_none() {
            return Some(Route::Remote(hop));
        }
        let local = self.address.local().to_owned();
        Some(self.by_hub(hop, &local))
    }

    /// Is there a hub, and it is another host?
    pub(super) fn has_hub(&self) -> bool {
        self.other(self.router.relays.hub.as_ref()).is_some()
    }

    /// MAIL_HUB: the mail of a local name goes there, unless the name is of class L.
    pub(super) fn hub(&mut self, local: &str) -> Option<Route> {
        let relays = &self.router.relays;
        let hop = self.other(relays.hub.as_ref())?;
        let (user, _) = split_detail(local, &self.router.detail);
        if relays.hub_except.iter().any(|name| name.to_lowercase() == user) {
            self.trace.push(Step::by("local.hub_except", format!("{user} stays here")));
            return None;
        }
        self.trace.push(Step::by("local.hub", hop.to_string()));
        Some(self.by_hub(hop, local))
    }

    /// Ruleset 5 in proto.m4: the user is one of the hub from now on, so that no mail comes back.
    fn by_hub(&mut self, hop: NextHop, local: &str) -> Route {
        if let Ok(there) = Address::new(local, &hop.domain()) {
            self.address = there;
        }
        Route::Remote(hop)
    }

    /// Where mail for other systems goes, unless to the hosts of its domain.
    pub(super) fn relay(&mut self) -> Option<Route> {
        if let Some(reverse_path) = &self.reverse_path.0 {
            let reverse_path = self.router.canonical(reverse_path, &mut Vec::new());
            if let Some((hop, place)) = self.router.senderrelay.find(&reverse_path) {
                self.note(&place, format!("mail from {reverse_path} goes by {hop}"));
                return Some(Route::Remote(hop));
            }
        }
        let hop = self.other(self.router.relays.smarthost.as_ref())?;
        self.trace.push(Step::by("relay.smarthost", hop.to_string()));
        Some(Route::Remote(hop))
    }

    /// FallbackMXhost: hosts to be asked after those of the domain.
    pub(super) fn with_fallback(&mut self, hop: NextHop) -> NextHop {
        let Some(fallback) = self.other(self.router.relays.fallback.as_ref()) else { return hop };
        self.trace.push(Step::by("relay.fallback", format!("or else {fallback}")));
        NextHop { others: fallback.servers().cloned().collect(), ..hop }
    }

    /// `hop`, unless it is this very host.
    fn other(&self, hop: Option<&NextHop>) -> Option<NextHop> {
        let hop = hop?;
        let name = Address::new("x", &hop.domain());
        let itself = name.is_ok_and(|name| self.router.local.find(&name).is_some());
        (!itself || hop.first.port != NextHop::SMTP).then(|| hop.clone())
    }
}
