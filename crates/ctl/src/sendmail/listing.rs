//! `-bp` and `-q`: the queue is listed, tried, held, released.

use std::collections::HashSet;
use std::io::{self, BufWriter, Write};

use envelope::QueueId;
use ipc::admin::{Action, Filter, Hello, Message};
use jiff::tz::TimeZone;

use super::options::{Layout, Mode, Options};
use crate::control::{Control, wait};
use crate::listing::{Detailed, Postfix, Sendmail, json_line, postqueue};
use crate::site::Site;
use crate::{Exit, Failure};

pub(super) fn run(options: &Options, site: &Site) -> Result<Exit, Failure> {
    let mut out = BufWriter::new(io::stdout().lock());
    wait(async {
        let mut queue = Control::open(site, Hello::Queue).await?;
        match options.mode {
            Mode::Retry => change(&mut queue, options, &Action::Retry, &mut out).await?,
            Mode::Hold => change(&mut queue, options, &Action::Hold, &mut out).await?,
            Mode::Release => change(&mut queue, options, &Action::Release, &mut out).await?,
            Mode::Count => writeln!(out, "{}", count(&mut queue, options).await?)?,
            Mode::List
            | Mode::Deliver
            | Mode::Smtp
            | Mode::Aliases
            | Mode::Verify
            | Mode::Test
            | Mode::Hosts
            | Mode::PurgeHosts
            | Mode::Help
            | Mode::Version
            | Mode::Nothing(_)
            | Mode::NotYet(_) => list(&mut queue, options, &mut out).await?,
        }
        Ok(())
    })?;
    out.flush()?;
    Ok(Exit::Ok)
}

async fn list(queue: &mut Control, options: &Options, out: &mut impl Write) -> Result<(), Failure> {
    let zone = TimeZone::system();
    match options.layout {
        Layout::Json => {
            each(queue, options, |message| Ok(json_line(&postqueue(message), out)?)).await
        }
        Layout::Postfix => {
            let mut listing = Postfix::new(zone);
            each(queue, options, |message| Ok(listing.message(message, out)?)).await?;
            Ok(listing.end(out)?)
        }
        Layout::Sendmail => {
            let detailed = if options.verbose { Detailed::Yes } else { Detailed::No };
            let mut listing = Sendmail::new(detailed, zone);
            // Counted before: the number stands in the first line, and the list may be too long
            // to be kept.
            listing.begin(count(queue, options).await?, out)?;
            each(queue, options, |message| Ok(listing.message(message, out)?)).await?;
            Ok(listing.end(out)?)
        }
    }
}

async fn count(queue: &mut Control, options: &Options) -> Result<u64, Failure> {
    if options.selection.filters() == [Filter::default()] && queue.admin {
        return Ok(queue.count().await?.messages);
    }
    let mut count = 0;
    each(queue, options, |_| {
        count += 1;
        Ok(())
    })
    .await?;
    Ok(count)
}

/// Shows each selected message once.
async fn each(
    queue: &mut Control,
    options: &Options,
    mut show: impl FnMut(&Message) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let filters = options.selection.filters();
    let mut seen = HashSet::new();
    for filter in &filters {
        let shown = queue.each_message(filter, |message| {
            let fresh = filters.len() == 1 || seen.insert(message.id);
            if fresh { show(&message) } else { Ok(()) }
        });
        shown.await?;
    }
    Ok(())
}

async fn change(
    queue: &mut Control,
    options: &Options,
    action: &Action,
    out: &mut impl Write,
) -> Result<(), Failure> {
    for filter in &options.selection.filters() {
        let show = |id: QueueId| {
            if options.verbose {
                writeln!(out, "{id}")?;
            }
            Ok(())
        };
        queue.change(action, filter, false, show).await?;
    }
    Ok(())
}
