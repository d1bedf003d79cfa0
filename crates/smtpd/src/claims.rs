//! In whose name the users of this machine send, and who of them is believed about others.

use daemon::{Error, Generation};
use envelope::{Address, Origin, OriginalClient, ReversePath};
use message::sender_warning;
use smtp::server::Opening;
use tables::{LocalDomains, Names, Source, TrustedUsers, split_detail};

/// What says who may send as whom without a word about it.
#[derive(Debug, Default)]
pub(crate) struct Claims {
    local: LocalDomains,
    trusted: TrustedUsers,
    detail: String,
}

impl Claims {
    /// Those of a generation. A process that was not given the tables trusts those that sendmail
    /// always does.
    pub(crate) fn read(generation: &Generation) -> Result<Self, Error> {
        let config = &generation.config;
        Ok(Self {
            local: LocalDomains {
                hostname: config.hostname.clone(),
                names: generation.table("local-host-names", |f, source| Names::read(f, source))?,
                addresses: config.addresses.clone(),
                // No user of this machine is there as such.
                virtual_names: Names::default(),
            },
            trusted: generation
                .table("trusted-users", |f, source| TrustedUsers::read(f, source))?,
            detail: config.local.detail.clone(),
        })
    }

    /// From where a message came before, as a trusted user says. It is told, and gives no right.
    pub(crate) fn original_client<'a>(&self, opening: &'a Opening) -> Option<&'a OriginalClient> {
        let client = &opening.submission.client;
        let is_trusted = match &opening.envelope.origin {
            Origin::User { name, .. } => self.trusted.contains(name),
            Origin::Client { .. } | Origin::Ourselves => false,
        };
        (is_trusted && client.is_known()).then_some(client)
    }

    /// The field for a user who sends in another's name (auth_warning in sendmail's main.c).
    pub(crate) fn warning(&self, origin: &Origin, claimed: &ReversePath) -> Option<String> {
        let name = match origin {
            Origin::User { name, .. } => name,
            Origin::Client { .. } | Origin::Ourselves => return None,
        };
        let is_own = |address: &Address| {
            let user = split_detail(address.local(), &self.detail).0;
            user == name.to_lowercase() && self.local.find(address).is_some()
        };
        if self.trusted.contains(name) || claimed.0.as_ref().is_some_and(is_own) {
            return None;
        }
        Some(sender_warning(&self.local.hostname, name, claimed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_not_trusted_and_sends_as_another_is_named() {
        let names = Names::read("local-host-names", "w.test\n".as_bytes()).unwrap().table;
        let claims = Claims {
            local: LocalDomains { hostname: "mx.test".into(), names, ..LocalDomains::default() },
            trusted: TrustedUsers::read("trusted-users", "www-data\n".as_bytes()).unwrap().table,
            detail: "+".into(),
        };
        let user = |name: &str| Origin::User { uid: 1000, name: name.into() };
        let warning = |origin: &Origin, claimed: &str| {
            claims.warning(origin, &ReversePath(claimed.parse().ok()))
        };
        for own in ["alice@mx.test", "Alice@W.test", "alice+list@w.test", "alice@localhost"] {
            assert_eq!(warning(&user("alice"), own), None, "{own}");
        }
        for (other, shown) in [
            ("bob@mx.test", "bob@mx.test"),
            ("alice@far.test", "alice@far.test"),
            ("alice-x@w.test", "alice-x@w.test"),
            ("", "<>"),
        ] {
            let field = format!(
                "X-Authentication-Warning: mx.test: alice set sender to {shown} using -f\r\n"
            );
            assert_eq!(warning(&user("alice"), other), Some(field));
            assert_eq!(warning(&user("www-data"), other), None);
            assert_eq!(warning(&user("root"), other), None);
            assert_eq!(warning(&Origin::Ourselves, other), None);
        }
        // Nobody is called by a number.
        assert!(warning(&user("1000"), "alice@mx.test").is_some());
    }
}
