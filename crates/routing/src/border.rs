//! What addresses are called where mail goes: domaintable, genericstable, masquerading.
//!
//! The rules are those of sendmail: canonify and MasqHdr in proto.m4, by which mailer/smtp.m4 and
//! mailer/local.m4 rewrite the senders and recipients of header and envelope.
//!
//! **Invariant:** pure, and the same for whoever asks: `remote`, `pennypost explain`, `sendmail -bt`.

use envelope::{Address, ReversePath, domain_key};
use serde::{Deserialize, Serialize};
use tables::{Because, Domaintable, Genericstable, LocalDomains, Names, Place, Source, Step};

/// Everything that decides about names.
#[derive(Debug, Clone, Default)]
pub struct Border {
    local: LocalDomains,
    domaintable: Domaintable,
    genericstable: Genericstable,
    /// sendmail's class G.
    generics_domains: Names,
    /// sendmail's class M.
    masquerade_domains: Names,
    masquerade: Masquerade,
    /// What separates user and detail; empty: nothing does.
    detail: String,
}

/// What the configuration says about it, with sendmail's names for it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Masquerade {
    /// MASQUERADE_AS; `None`: names stay.
    pub name: Option<String>,
    /// FEATURE(masquerade_envelope): the reverse-path, too.
    pub envelope: bool,
    /// FEATURE(allmasquerade): recipients of headers, too.
    pub all: bool,
    /// FEATURE(masquerade_entire_domain): also what is below `masquerade-domains`.
    pub entire_domain: bool,
    /// FEATURE(limited_masquerade): nothing but `masquerade-domains`.
    pub limited: bool,
    /// Without FEATURE(local_no_masquerade): mail for mailboxes here, too.
    pub local: bool,
    /// FEATURE(generics_entire_domain): also what is below `generics-domains`.
    pub generics_entire_domain: bool,
    /// MASQUERADE_EXCEPTION: these domains, and what is below them, stay. As keys.
    pub exceptions: Vec<String>,
    /// EXPOSED_USER: these names stay where they are. In lower case.
    pub exposed_users: Vec<String>,
}

/// Which address of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    HeaderSender,
    HeaderRecipient,
    EnvelopeSender,
    EnvelopeRecipient,
}

/// Who gets the message: sendmail's mailers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taker {
    /// Another system, by SMTP.
    Smtp,
    /// A mailbox here, also one that is reached by LMTP.
    Local,
}

/// An address on its way.
#[derive(Debug, Clone)]
struct Named {
    address: Address,
    /// It has no domain of its own, and got that of the host: `*LOCAL*` in proto.m4.
    bare: bool,
}

impl Border {
    /// That of a configuration and its tables. `local` and `detail` are those of the
    /// [`Router`](crate::Router).
    ///
    /// # Errors
    /// A table cannot be read.
    pub fn read<S: Source>(
        settings: crate::Settings,
        masquerade: Masquerade,
        tables: &S,
    ) -> Result<Self, S::Error> {
        let names = |name| tables.table(name, |file, source| Names::read(file, source));
        Ok(Self {
            local: LocalDomains {
                hostname: settings.hostname,
                names: names("local-host-names")?,
                addresses: settings.addresses,
                // They are of no class w: no name of this host.
                virtual_names: Names::default(),
            },
            domaintable: tables
                .table("domaintable", |file, source| Domaintable::read(file, source))?,
            genericstable: tables
                .table("genericstable", |file, source| Genericstable::read(file, source))?,
            generics_domains: names("generics-domains")?,
            masquerade_domains: names("masquerade-domains")?,
            masquerade,
            detail: settings.detail,
        })
    }

    /// The table itself.
    #[must_use]
    pub const fn genericstable(&self) -> &Genericstable {
        &self.genericstable
    }

    /// Could any address be called otherwise? Where nothing is said, names without a domain stay
    /// without, too.
    #[must_use]
    pub fn changes_names(&self) -> bool {
        self.masquerade.name.is_some()
            || !self.genericstable.is_empty()
            || !self.domaintable.is_empty()
    }

    /// What an address (`domain`: `None` if it has none) is called there; `None`: as it is. `trace` is
    /// told each rule that applied.
    #[must_use]
    pub fn rewrite(
        &self,
        (part, taker): (Part, Taker),
        local: &str,
        domain: Option<&str>,
        trace: &mut Vec<Step>,
    ) -> Option<Address> {
        let bare = domain.is_none();
        // Only smtp.m4 qualifies (MasqSMTP). `!` and `%` route: such a name is of another host.
        if bare && (taker == Taker::Local || local.contains(['!', '%'])) {
            return None;
        }
        let written = Address::new(local, domain.unwrap_or(&self.local.hostname)).ok()?;
        let canonical = self.canonical(&written, trace)?;
        let named = Named { address: canonical, bare };
        let named = if self.applies(part, taker) { self.masqueraded(named, trace) } else { named };
        let is_new = bare || !is_written_so(&named.address, &written);
        is_new.then_some(named.address)
    }

    /// The same for a reverse-path.
    #[must_use]
    pub fn reverse_path(
        &self,
        path: &ReversePath,
        taker: Taker,
        trace: &mut Vec<Step>,
    ) -> Option<Address> {
        let address = path.0.as_ref()?;
        let which = (Part::EnvelopeSender, taker);
        self.rewrite(which, address.local(), Some(address.domain()), trace)
    }

    /// Is it looked up in genericstable, and masqueraded?
    const fn applies(&self, part: Part, taker: Taker) -> bool {
        let Masquerade { envelope, all, local, .. } = self.masquerade;
        let there = matches!(taker, Taker::Smtp) || local;
        there
            && match part {
                Part::HeaderSender => true,
                Part::HeaderRecipient => all,
                Part::EnvelopeSender => envelope,
                Part::EnvelopeRecipient => false,
            }
    }

    /// Canonify2: `None` is the address of another host, which stays as it is.
    fn canonical(&self, address: &Address, trace: &mut Vec<Step>) -> Option<Address> {
        let domain = address.domain_key();
        let hostname = &self.local.hostname;
        let above = hostname.split_once('.').map(|(_, above)| above);
        let is_own_localhost =
            domain.strip_prefix("localhost.").is_some_and(|of| Some(of) == above);
        let is_literal = domain.starts_with('[');
        if is_literal && self.local.find(address).is_none() {
            return None;
        }
        if is_literal || domain == "localhost" || is_own_localhost {
            return Address::new(address.local(), hostname).ok();
        }
        let Some((renamed, place)) = self.domaintable.find(address) else {
            return Some(address.clone());
        };
        trace.push(Step::at(&place, format!("{address} is {renamed}")));
        Some(renamed)
    }

    /// MasqHdr.
    fn masqueraded(&self, named: Named, trace: &mut Vec<Step>) -> Named {
        let named = match self.generic(&named, trace) {
            // Has a domain of its own: that is its name.
            Some(generic) if !generic.bare => return generic,
            Some(generic) => generic,
            None => named,
        };
        let Some(name) = &self.masquerade.name else { return named };
        let Some(why) = self.is_ours(&named, trace) else { return named };
        let Ok(address) = Address::new(named.address.local(), name) else { return named };
        if address == named.address {
            return named;
        }
        let text = format!("{} is {address}", named.address);
        trace.push(match &why {
            Why::Host => Step::by("masquerade.as", text),
            Why::Line(place) => Step::at(place, text),
        });
        Named { address, bare: false }
    }

    /// What genericstable says.
    fn generic(&self, named: &Named, trace: &mut Vec<Step>) -> Option<Named> {
        let domain = named.address.domain_key();
        let entire = self.masquerade.generics_entire_domain;
        let is_asked = || covers(&self.generics_domains, &domain, entire).is_some();
        if self.genericstable.is_empty() || !(named.bare || is_asked()) {
            return None;
        }
        let found = self.genericstable.find(&named.address, !named.bare, &self.detail)?;
        let bare = found.domain.is_none();
        let domain = found.domain.as_deref().unwrap_or(&self.local.hostname);
        let address = Address::new(&found.local, domain).ok()?;
        trace.push(Step::at(&found.place, format!("{} is {address}", named.address)));
        let canonical = if bare { None } else { self.canonical(&address, trace) };
        Some(Named { address: canonical.unwrap_or(address), bare })
    }

    /// Is it of a domain that shows `masquerade.as` instead?
    fn is_ours(&self, named: &Named, trace: &mut Vec<Step>) -> Option<Why> {
        let Masquerade { entire_domain, limited, exceptions, exposed_users, .. } = &self.masquerade;
        let domain = named.address.domain_key();
        let is_excepted = |above: &String| is_below(&domain, above);
        if !named.bare && exceptions.iter().any(is_excepted) {
            trace.push(Step::by("masquerade.exceptions", format!("{} stays", named.address)));
            return None;
        }
        let masqueraded =
            || covers(&self.masquerade_domains, &domain, *entire_domain).map(Why::Line);
        let own = || match self.local.find(&named.address)? {
            Because::Own => Some(Why::Host),
            Because::Line(place) | Because::Virtual(place) => Some(Why::Line(place)),
        };
        let why = if named.bare {
            Why::Host
        } else {
            masqueraded().or_else(|| (!limited).then(own).flatten())?
        };
        if exposed_users.contains(&named.address.local().to_lowercase()) {
            trace.push(Step::by("masquerade.exposed_users", format!("{} stays", named.address)));
            return None;
        }
        Some(why)
    }
}

/// Why an address is ours.
enum Why {
    /// It has the name of this host.
    Host,
    Line(Place),
}

/// The line that has the domain, or, if that is asked for, one above it.
fn covers(names: &Names, domain: &str, entire: bool) -> Option<Place> {
    if entire { names.covering(domain) } else { names.line(domain) }
}

fn is_below(domain: &str, above: &str) -> bool {
    let rest = domain.strip_suffix(above);
    rest.is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

/// Equal in every letter: what is the same name written otherwise is not written anew.
fn is_written_so(new: &Address, old: &Address) -> bool {
    new.local() == old.local() && domain_key(new.domain()) == old.domain_key()
}
