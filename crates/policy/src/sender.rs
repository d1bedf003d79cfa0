//! What is said of a reverse-path by itself (sendmail's ruleset check_mail).

use envelope::{Address, Disposition};
use tables::Value;

use crate::verdict::{Step, Verdict};
use crate::{Client, Policy, Rule, SenderDomain, Sending, access};

impl Policy {
    /// Another host has no mail from our `localhost`, and no reverse-path without a domain.
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
        if sending.unqualified {
            // What a line says of it the access table itself says.
            if self.accept_unqualified_senders || self.said_of_sender(sending).is_some() {
                return Ok(());
            }
            trace.push(Step::Unqualified);
            return Err(Verdict::domain_required(from));
        }
        if self.is_this_host(address.to_canonical()) || !is_localhost(from) {
            return Ok(());
        }
        trace.push(Step::Localhost);
        Err(Verdict::not_a_real_domain(from))
    }

    /// The reverse-path of whose domain the DNS is to be asked, if a decision depends on it.
    #[must_use]
    pub fn asks_for_domain(&self, sending: &Sending<'_>) -> Option<Address> {
        let from = self.canonical(sending, &mut Vec::new());
        let canonical = Sending { reverse_path: &from, ..*sending };
        let address = from.0.as_ref()?;
        let depends = self.has(Rule::UnresolvableSender)
            && !self.is_ours(sending.client)
            && self.router.local.find(address).is_none()
            && self.said_of_sender(&canonical).is_none();
        depends.then(|| address.clone())
    }

    /// Mail from a domain that is not there could not be answered.
    pub(crate) fn unresolvable(
        &self,
        sending: &Sending<'_>,
        trace: &mut Vec<Step>,
    ) -> Result<Option<Disposition>, Verdict> {
        let Some(from) = &sending.reverse_path.0 else { return Ok(None) };
        match sending.domain {
            SenderDomain::Exists | SenderDomain::NotAsked => Ok(None),
            SenderDomain::Unknown => {
                trace.push(Step::NoSuchDomain);
                Err(Verdict::domain_unknown(from))
            }
            SenderDomain::InDoubt => {
                trace.push(Step::DomainInDoubt);
                Err(Verdict::domain_in_doubt(from))
            }
        }
    }

    /// What the access table says of a reverse-path, if it is asked.
    fn said_of_sender(&self, sending: &Sending<'_>) -> Option<Value> {
        let hit = access::from(&self.access, sending).filter(|_| self.has(Rule::Access))?;
        Some(hit.value).filter(|value| *value != Value::Skip)
    }
}

fn is_localhost(address: &Address) -> bool {
    let domain = address.domain_key();
    domain == "localhost" || tables::literal(&domain).is_some_and(|literal| literal.is_loopback())
}
