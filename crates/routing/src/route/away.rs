//! Mail that is not for this host: mailertable, relays, and the domain itself.

use envelope::{Address, Detail, Enhanced, Host, NextHop, Server, Status};
use tables::{Entry, Mailer, literal};

use super::Route;
use super::way::{Way, not_yet};

impl Way<'_> {
    /// Mail that is not for this host.
    pub(super) fn away(&mut self) -> Option<Route> {
        let domain = self.address.domain_key();
        // Parse1 in proto.m4: a literal does not ask the mailertable, but has a smarthost.
        let literal = literal(&domain);
        if literal.is_none()
            && let Some(entry) = self.router.mailertable.find(&domain)
        {
            return self.by_entry(entry);
        }
        if let Some(route) = self.relay() {
            return Some(route);
        }
        let server = |ip| Server { host: Host::Exact(ip), port: NextHop::SMTP };
        let hop = match literal {
            Some(ip) => Some(server(ip.to_string()).into()),
            None => NextHop::parse(&domain),
        };
        let nowhere = || {
            let detail = Detail::ours(Enhanced::BAD_SYSTEM, "bad destination domain");
            Route::Over(Status::Failed(detail))
        };
        Some(hop.map_or_else(nowhere, |hop| Route::Remote(self.with_fallback(hop))))
    }

    pub(super) fn by_entry(&mut self, Entry { mailer, place }: Entry) -> Option<Route> {
        let domain = self.address.domain_key();
        self.note(&place, format!("{domain} goes its own way"));
        let user = match mailer {
            Mailer::Remote(hop) => return Some(Route::Remote(hop)),
            Mailer::Redirected(hop, address) => {
                self.address = address;
                return Some(Route::Remote(hop));
            }
            Mailer::Refused(refusal) => return Some(Route::Refused(refusal)),
            Mailer::Discard => {
                let detail = Detail::ours(Enhanced::UNDEFINED, "discarded by mailertable");
                return Some(Route::Over(Status::Delivered(detail)));
            }
            Mailer::Unsupported(value) => return Some(not_yet(&value)),
            Mailer::Local(user) => user,
        };
        let user = user.unwrap_or_else(|| self.address.local().to_owned());
        match Address::new(&user, &self.router.local.hostname) {
            Ok(here) => {
                self.go_on(here, true);
                None
            }
            Err(_) => Some(self.user(&user)),
        }
    }
}
