//! What can be said of a reverse-path without asking anybody (sendmail's ruleset check_mail).

use std::net::IpAddr;

use envelope::Address;

use crate::verdict::{Step, Verdict};
use crate::{Client, Policy, Sending};

impl Policy {
    /// Another host has no mail from our `localhost`.
    pub(crate) fn sender(
        &self,
        sending: &Sending<'_>,
        trace: &mut Vec<Step>,
    ) -> Result<(), Verdict> {
        let (Client::Network { address, .. }, Some(from)) =
            (sending.client, sending.reverse_path.0.as_ref())
        else {
            return Ok(());
        };
        if self.is_this_host(address.to_canonical()) || !is_localhost(from) {
            return Ok(());
        }
        trace.push(Step::Localhost);
        Err(Verdict::not_a_real_domain(from))
    }

    fn is_this_host(&self, address: IpAddr) -> bool {
        address.is_loopback() || self.router.local.addresses.contains(&address)
    }
}

fn is_localhost(address: &Address) -> bool {
    let domain = address.domain_key();
    domain == "localhost" || tables::literal(&domain).is_some_and(|literal| literal.is_loopback())
}
