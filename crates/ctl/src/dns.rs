//! The DNS, for commands that ask it themselves, as the daemons do.

use std::io::{self, Write};

use config::{Config, Resolver as Configured, Role};
use envelope::{Dialogue, NextHop, Status, printable};
use net::{Families, Lookups, Resolver, Route, Servers};

use crate::control::wait;
use crate::{Exit, Failure};

/// # Errors
/// Exit code 78: the configuration of the system cannot be understood.
pub(crate) fn resolver(config: &Config, families: Families) -> Result<Resolver, Failure> {
    let servers = match &config.remote.resolver {
        Configured::System => Servers::System,
        Configured::Servers(addresses) => Servers::Listed(addresses.clone()),
    };
    Resolver::new(&servers, families).map_err(|error| Failure::new(Exit::Config, error))
}

/// `-d8`: what the DNS says on the way to a next hop, each answer as it comes, and the places that
/// `remote` would try.
pub(crate) fn follow(config: &Config, hop: &NextHop, out: &mut dyn Write) -> Result<(), Failure> {
    let families = match config.remote.families {
        config::Families::Ipv4 => Families::Ipv4,
        config::Families::Ipv6 => Families::Ipv6,
        config::Families::Auto => Families::Both,
    };
    let ourselves = config.ourselves(&[Role::Mx]);
    let lookups = Lookups::default();
    wait(async {
        let resolver = resolver(config, families)?.noting(&lookups);
        let found = Route::find(&resolver, &ourselves, hop).await;
        write(&lookups, out)?;
        let mut route = match found {
            Ok(route) => route,
            Err(status) => return Ok(no_way(&status, out)?),
        };
        let mut places = 0;
        loop {
            let target = route.next().await;
            write(&lookups, out)?;
            let Some(target) = target else { break };
            places += 1;
            writeln!(out, "{}tries {}", Dialogue::LOOKUP, printable(&target.to_string()))?;
        }
        if places == 0 {
            no_way(&route.trouble(), out)?;
        }
        Ok(())
    })
}

/// What was noted since the last call.
pub(crate) fn write(lookups: &Lookups, out: &mut dyn Write) -> io::Result<()> {
    lookups.take().iter().try_for_each(|line| writeln!(out, "{}", printable(line)))?;
    out.flush()
}

fn no_way(status: &Status, out: &mut dyn Write) -> io::Result<()> {
    let why = printable(&status.detail().text);
    writeln!(out, "{}no way: {} {why}", Dialogue::LOOKUP, status.code())
}
