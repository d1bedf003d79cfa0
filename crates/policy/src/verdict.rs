//! What is answered, and why.

use std::fmt;
use std::net::IpAddr;

use envelope::{Address, Disposition, Enhanced, Heard, printable};
use ipnet::IpNet;
use tables::{Hit, Place, Refusal};

use crate::Account;

/// The answer to RCPT.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// 250, and what becomes of it then.
    Accept(Disposition),
    /// A reply code from 400 to 599, and its text with the enhanced status code.
    Refuse { code: u16, text: String },
}

impl Verdict {
    // The words of these are sendmail's: programs that read logs know them.

    pub(crate) fn unknown_user(recipient: &Address) -> Self {
        Self::about(recipient, 550, "5.1.1", "User unknown")
    }

    pub(crate) fn relaying_denied(recipient: &Address) -> Self {
        Self::about(recipient, 550, "5.7.1", "Relaying denied")
    }

    pub(crate) fn name_unknown(recipient: &Address, client: IpAddr) -> Self {
        let text = format!(
            "Relaying temporarily denied. Cannot resolve PTR record for {}",
            client.to_canonical()
        );
        Self::about(recipient, 450, "4.4.0", &text)
    }

    pub(crate) fn mailbox_disabled(recipient: &Address) -> Self {
        Self::about(recipient, 550, "5.2.1", "Mailbox disabled for this recipient")
    }

    pub(crate) fn access_denied(recipient: &Address) -> Self {
        Self::about(recipient, 550, "5.7.1", "Access denied")
    }

    pub(crate) fn not_a_real_domain(from: &Address) -> Self {
        Self::about(from, 553, "5.5.4", "Real domain name required for sender address")
    }

    pub(crate) fn domain_required(from: &Address) -> Self {
        let local = printable(from.local()).to_string();
        let text = format!("5.5.4 <{local}>... Domain name required for sender address {local}");
        Self::Refuse { code: 553, text }
    }

    pub(crate) fn domain_unknown(from: &Address) -> Self {
        Self::about(from, 553, "5.1.8", &domain_of(from, "exist"))
    }

    pub(crate) fn domain_in_doubt(from: &Address) -> Self {
        Self::about(from, 451, "4.1.8", &domain_of(from, "resolve"))
    }

    pub(crate) fn bad_helo(helo: &str) -> Self {
        let text = format!("5.7.1 bogus HELO name used: {}", printable(helo));
        Self::Refuse { code: 550, text }
    }

    /// What a line of a table says.
    pub(crate) fn refusal(recipient: &Address, refusal: &Refusal) -> Self {
        let Enhanced(subject, detail) = refusal.enhanced;
        let enhanced = format!("{}.{subject}.{detail}", refusal.code / 100);
        Self::about(recipient, refusal.code, &enhanced, &refusal.text)
    }

    pub(crate) fn about(address: &Address, code: u16, enhanced: &str, text: &str) -> Self {
        let address = address.to_string();
        let text = format!("{enhanced} <{}>... {text}", printable(&address));
        Self::Refuse { code, text }
    }

    pub(crate) fn try_later() -> Self {
        let text = "4.3.0 Users cannot be looked up now; try again later".to_owned();
        Self::Refuse { code: 451, text }
    }
}

/// `Domain of sender address x@y does not …`
fn domain_of(from: &Address, what: &str) -> String {
    let from = from.to_string();
    format!("Domain of sender address {} does not {what}", printable(&from))
}

/// One rule that applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// The domain is local: by this line of a table, or by itself.
    Local(Option<Place>),
    /// What the recipient stands for.
    Route(tables::Step),
    User(Account),
    /// What the host said that was asked.
    Asked(String, Heard),
    /// The entry of `relay.networks` that has the client.
    Network(IpNet),
    /// The submission socket.
    Submission,
    /// The line of `relay-domains` that has the client or the recipient.
    RelayDomain(Place),
    MayNotRelay,
    /// The client might relay by its name, but the DNS does not answer.
    NameUnknown,
    /// Another host sends from `localhost`.
    Localhost,
    /// Another host sends from no domain at all.
    Unqualified,
    /// The domain of the reverse-path is not in the DNS.
    NoSuchDomain,
    /// The DNS does not answer about it.
    DomainInDoubt,
    /// The client has called itself as we are called: by this line of `local-host-names`, or by our
    /// own name or address.
    OurHelo(Option<Place>),
    /// The client has called itself by a name without a domain.
    UnqualifiedHelo,
    /// Nobody looks at who sends to this recipient.
    Spared,
    /// A line of `access`, and what it says.
    Access(Place, String),
}

impl Step {
    pub(crate) fn access<V: fmt::Display>(hit: &Hit<V>) -> Self {
        Self::Access(hit.place.clone(), hit.to_string())
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local(Some(place)) => write!(f, "{place}: the domain is local"),
            Self::Local(None) => f.write_str("the domain is this host's own name or address"),
            Self::Route(step) => step.fmt(f),
            Self::User(Account::Exists) => f.write_str("there is such a user"),
            Self::User(Account::Unknown) => f.write_str("there is no such user and no alias"),
            Self::User(Account::Caught) => {
                f.write_str("there is no such user, and local.catch_all takes the mail")
            }
            Self::User(Account::Unavailable) => f.write_str("users cannot be looked up now"),
            Self::Asked(hop, heard) => crate::asked::say(f, hop, heard),
            Self::Network(network) => write!(f, "relay.networks: {network} may relay"),
            Self::Submission => f.write_str("a user of this machine may relay"),
            Self::RelayDomain(place) => write!(f, "{place}: mail is relayed"),
            Self::MayNotRelay => {
                f.write_str("the domain is not local, and nothing relays for the client or to it")
            }
            Self::NameUnknown => {
                f.write_str("the client might relay by its name, but the DNS does not tell it")
            }
            Self::Localhost => f.write_str("another host sends from the domain localhost"),
            Self::Unqualified => {
                f.write_str("policy.accept_unqualified_senders: the sender has no domain")
            }
            Self::NoSuchDomain => {
                f.write_str("reject unresolvable_sender: the DNS has no such sender domain")
            }
            Self::DomainInDoubt => {
                f.write_str("reject unresolvable_sender: the DNS does not answer for now")
            }
            Self::OurHelo(Some(place)) => {
                write!(f, "{place}: reject bad_helo: the name is ours")
            }
            Self::OurHelo(None) => {
                f.write_str("reject bad_helo: the name is this host's own name or address")
            }
            Self::UnqualifiedHelo => f.write_str("reject bad_helo: the name has no domain"),
            Self::Spared => f.write_str("who sends is not looked at for this recipient"),
            Self::Access(place, text) => write!(f, "{place}: {}", printable(text)),
        }
    }
}
