//! The routing tables, from the files that the supervisor opened.

use std::fs::File;
use std::io;

use daemon::House;
use routing::Router;
use tables::{Aliases, LocalDomains, Mailertable, Names, Read};

/// Reads the tables; a missing file is an empty table, and a bad line is logged and skipped.
///
/// # Errors
/// A file cannot be read.
pub(crate) fn read(house: &mut House) -> io::Result<Router> {
    let names = table(house, "local-host-names", Names::read)?;
    let aliases = table(house, "aliases", Aliases::read)?;
    let mailertable = table(house, "mailertable", Mailertable::read)?;
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

fn table<T: Default>(
    house: &mut House,
    name: &'static str,
    read: impl FnOnce(&'static str, File) -> io::Result<Read<T>>,
) -> io::Result<T> {
    let Some(file) = house.tables.remove(name) else {
        return Ok(T::default());
    };
    let Read { table, findings } = read(name, file)?;
    for finding in findings {
        tracing::warn!("{finding}");
    }
    Ok(table)
}
