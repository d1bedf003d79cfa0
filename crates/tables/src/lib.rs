//! sendmail's table files: read, look up, tell the line.
//!
//! A reader takes any `std::io::Read`, so that a process can be given a descriptor. A line that
//! cannot be understood is reported as a [`Finding`] and skipped; the others count.

mod access;
mod aliases;
mod authinfo;
pub mod cdb;
mod detail;
mod domaintable;
mod finding;
mod genericstable;
mod index;
mod kind;
mod lines;
mod list;
mod local_domains;
mod mailertable;
mod members;
mod networks;
mod pattern;
mod patterns;
mod place;
mod refusal;
mod relay_domains;
mod senderrelay;
mod source;
mod step;
mod trusted_users;
mod users;
mod virtusertable;

pub use access::{Access, Features, Hit, Tag, Value, Wish};
pub use aliases::{Alias, Aliases, Target};
pub use authinfo::{Authinfo, Credentials};
pub use detail::split_detail;
pub use domaintable::Domaintable;
pub use finding::Finding;
pub use genericstable::{Generic, Genericstable};
pub use kind::{Kind, MAX_SOURCES, add_source};
pub use list::Names;
pub use local_domains::{Because, LocalDomains, literal};
pub use mailertable::{Entry, Mailer, Mailertable};
pub use members::members;
pub use place::Place;
pub use refusal::Refusal;
pub use relay_domains::RelayDomains;
pub use senderrelay::Senderrelay;
pub use source::{Reader, Source};
pub use step::Step;
pub use trusted_users::TrustedUsers;
pub use users::Users;
pub use virtusertable::{Meaning, Virtual, Virtusertable};

/// A table as read, and what was wrong with it.
#[derive(Debug)]
pub struct Read<T> {
    pub table: T,
    pub findings: Vec<Finding>,
}

/// Bytes of a table file; 100,000 long lines fit.
pub const MAX_FILE: u64 = 64 << 20;
/// Bytes of an entry, its continuation lines included.
pub const MAX_ENTRY: usize = 64 << 10;
/// Findings kept of one file; who has more does not read them all.
pub const MAX_FINDINGS: usize = 1000;

/// The table that others may not read, and that is given to no process that has no use for it.
pub const SECRET: &str = "authinfo";
/// Files of the table directory that this version reads.
pub const SUPPORTED: [&str; 15] = [
    "access",
    "aliases",
    SECRET,
    "domaintable",
    "generics-domains",
    "genericstable",
    "local-host-names",
    "mailertable",
    "masquerade-domains",
    "relay-domains",
    "senderrelay",
    "trusted-users",
    "users",
    "virtuser-domains",
    "virtusertable",
];
