//! The routing tables, from the files that the supervisor opened.

use daemon::{Error, Generation};
use routing::Router;
use tables::{Aliases, LocalDomains, Mailertable, Names};

/// Reads the tables.
///
/// # Errors
/// A file cannot be read.
pub(crate) fn read(generation: &Generation) -> Result<Router, Error> {
    let names = generation.table("local-host-names", Names::read)?;
    let aliases = generation.table("aliases", Aliases::read)?;
    let mailertable = generation.table("mailertable", Mailertable::read)?;
    let config = &generation.config;
    Ok(Router {
        local: LocalDomains {
            hostname: config.hostname.clone(),
            names,
            addresses: config.addresses.clone(),
        },
        aliases,
        mailertable,
        smarthost: config.relay.smarthost.clone(),
        detail: config.local.detail.clone(),
    })
}
