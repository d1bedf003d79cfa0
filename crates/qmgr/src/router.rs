//! The routing tables, from the files that the supervisor opened.

use daemon::{Error, House};
use routing::Router;
use tables::{Aliases, LocalDomains, Mailertable, Names};

/// Reads the tables.
///
/// # Errors
/// A file cannot be read.
pub(crate) fn read(house: &mut House) -> Result<Router, Error> {
    let names = house.table("local-host-names", Names::read)?;
    let aliases = house.table("aliases", Aliases::read)?;
    let mailertable = house.table("mailertable", Mailertable::read)?;
    let config = &house.config;
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
