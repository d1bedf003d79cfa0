//! The relay decision (sendmail's rulesets Rcpt_ok and Relay_ok).

use envelope::Address;
use tables::{Hit, Tag, Value};

use crate::verdict::{Step, Verdict};
use crate::{Client, ClientName, Policy};

impl Policy {
    /// A recipient elsewhere: mail is relayed for the client, or to the recipient.
    pub(crate) fn relayed(
        &self,
        client: Client<'_>,
        recipient: &Address,
        trace: &mut Vec<Step>,
    ) -> Result<(), Verdict> {
        if let Some(why) = self.relays_for(client).or_else(|| self.relays_to(recipient)) {
            trace.push(why);
            return Ok(());
        }
        match client {
            // What it is called might allow it.
            Client::Network { address, name: ClientName::Unknown } => {
                trace.push(Step::NameUnknown);
                Err(Verdict::name_unknown(recipient, address))
            }
            Client::Network { .. } | Client::User => {
                trace.push(Step::MayNotRelay);
                Err(Verdict::relaying_denied(recipient))
            }
        }
    }

    pub(crate) fn relays_for(&self, client: Client<'_>) -> Option<Step> {
        let Client::Network { address, name } = client else { return Some(Step::Submission) };
        let address = address.to_canonical();
        let network = self.networks.iter().find(|network| network.contains(&address));
        if let Some(network) = network {
            return Some(Step::Network(*network));
        }
        if let Some(line) = self.relay_domains.address(address) {
            return Some(Step::RelayDomain(line));
        }
        if let Some(step) = allows(self.access.address(Tag::Connect, address)) {
            return Some(step);
        }
        // Only a name that leads back to the address says anything.
        let ClientName::Confirmed(name) = name else { return None };
        let line = self.relay_domains.domain(name).map(Step::RelayDomain);
        line.or_else(|| allows(self.access.domain(Tag::Connect, name)))
    }

    fn relays_to(&self, recipient: &Address) -> Option<Step> {
        let domain = recipient.domain_key();
        if let Some(line) = self.relay_domains.domain(&domain) {
            return Some(Step::RelayDomain(line));
        }
        // FEATURE(`access_db', …, `relaytofulladdress'): only the first hit counts.
        let whole = self.access.mailbox(Tag::To, recipient.local(), &domain);
        allows(whole.or_else(|| self.access.domain(Tag::To, &domain)))
    }
}

fn allows(hit: Option<Hit>) -> Option<Step> {
    let hit = hit.filter(|hit| hit.value == Value::Relay)?;
    Some(Step::access(&hit))
}
