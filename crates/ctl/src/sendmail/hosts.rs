//! `-bh` and `-bH`, `hoststat` and `purgestat`: what is known of next hops is shown or forgotten.

use std::io::{self, BufWriter, Write};

use ipc::admin::{Forget, Hello};

use super::options::{Layout, Options};
use crate::control::{Control, wait};
use crate::listing::{Detailed, host_json, hoststat, json_line};
use crate::site::Site;
use crate::{Exit, Failure};

pub(super) fn show(options: &Options, site: &Site) -> Result<Exit, Failure> {
    let hosts = wait(async { Control::open(site, Hello::Queue).await?.hosts().await })?;
    let mut out = BufWriter::new(io::stdout().lock());
    match options.layout {
        Some(Layout::Json) => {
            hosts.iter().try_for_each(|host| json_line(&host_json(host), &mut out))?
        }
        Some(Layout::Sendmail | Layout::Postfix) | None => {
            let detailed = if options.verbose { Detailed::Yes } else { Detailed::No };
            hoststat(&hosts, detailed, crate::now(), &mut out)?;
        }
    }
    out.flush()?;
    Ok(Exit::Ok)
}

/// Like sendmail's it says nothing.
pub(super) fn purge(site: &Site) -> Result<Exit, Failure> {
    wait(async { Control::open(site, Hello::Queue).await?.forget(Forget::Expired).await })?;
    Ok(Exit::Ok)
}
