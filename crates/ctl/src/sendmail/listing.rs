//! `-bp` and `-q`: the queue is listed, tried, held, released.

use std::collections::HashSet;
use std::io::{self, BufWriter, Write};
use std::time::Duration;

use config::MailqFormat;
use envelope::QueueId;
use ipc::admin::{Action, Filter, Hello, Message};
use jiff::tz::TimeZone;

use super::drop;
use super::options::{Layout, Options, Patience};
use super::watch::{Show, Watch};
use crate::control::{Control, wait};
use crate::listing::{Detailed, Postfix, Sendmail, json_line, postqueue};
use crate::site::{Rules, Site};
use crate::{Exit, Failure, called, complain};

/// How long a queue run is followed without news.
const SILENCE: Duration = Duration::from_secs(600);
/// Ids in one request.
const IDS: usize = 10_000;

/// What scripts look for, whatever the directories are really called.
pub(super) const QUEUE: &str = "/var/spool/mqueue";
const SUBMISSION_QUEUE: &str = "/var/spool/clientmqueue";

/// `-bp`
pub(super) fn list(options: &Options, site: &Site) -> Result<Exit, Failure> {
    let mut out = BufWriter::new(io::stdout().lock());
    if options.submission_queue {
        list_left(site, &mut out)?;
    } else {
        let layout = options.layout.unwrap_or_else(|| configured(site));
        wait(async {
            let mut queue = look(site).await?;
            list_all(&mut queue, options, layout, &mut out).await
        })?;
    }
    out.flush()?;
    Ok(Exit::Ok)
}

/// `mailq_format`; a configuration that cannot be read is no reason to show nothing.
fn configured(site: &Site) -> Layout {
    match site.load().map(|config| config.mailq_format) {
        Ok(MailqFormat::Postfix) => Layout::Postfix,
        Ok(MailqFormat::Sendmail) | Err(_) => Layout::Sendmail,
    }
}

/// `-bpc`
pub(super) fn count(options: &Options, site: &Site) -> Result<Exit, Failure> {
    writeln!(io::stdout(), "{}", counted(options, site)?)?;
    Ok(Exit::Ok)
}

/// `-bP`, and with names what the configuration says of them: `-bP queue.lifetime`.
pub(super) fn entries(options: &Options, site: &Site) -> Result<Exit, Failure> {
    let mut out = io::stdout().lock();
    if options.words.is_empty() {
        write_entries(counted(options, site)?, &mut out)?;
    }
    for name in &options.words {
        writeln!(out, "{}", Rules::setting(site, name)?)?;
    }
    Ok(Exit::Ok)
}

fn write_entries(count: u64, out: &mut impl Write) -> io::Result<()> {
    match count {
        0 => writeln!(out, "{QUEUE} is empty"),
        count => writeln!(out, "{QUEUE}: entries={count}"),
    }
}

/// `-q`, `-Q`
pub(super) fn change(action: &Action, options: &Options, site: &Site) -> Result<Exit, Failure> {
    let waits = options.patience == Patience::FirstAttempt;
    let follows = *action == Action::Retry && (options.verbose || options.lookups || waits);
    // Before anything is tried, so that nothing is missed.
    let watch = if follows { Some(Watch::begin(site)?) } else { None };
    let ids = wait(async {
        let mut queue = Control::open(site, Hello::Queue).await?;
        change_all(&mut queue, options, action).await
    })?;
    let mut out = io::stdout().lock();
    if options.verbose {
        for (number, id) in (1..).zip(&ids) {
            let all = ids.len();
            if *action == Action::Retry {
                writeln!(out, "Running {QUEUE}/{id} (sequence {number} of {all})")?;
            } else {
                writeln!(out, "{id}")?;
            }
        }
    }
    if let Some(mut watch) = watch {
        let show = Show { results: options.verbose, lookups: options.lookups, ids: true };
        let seen = watch.follow(ids, SILENCE, show, &mut out)?;
        if options.verbose && !seen.open.is_empty() {
            writeln!(out, "{} messages are still under way", seen.open.len())?;
        }
    }
    Ok(Exit::Ok)
}

/// What waits in the drop directory, of which only root sees the names: it is counted.
fn list_left(site: &Site, out: &mut impl Write) -> Result<(), Failure> {
    let directory = site.drop_directory();
    let count = drop::count(&directory).map_err(|error| {
        if error.kind() == io::ErrorKind::PermissionDenied {
            return Failure::new(Exit::NoPerm, "You are not permitted to see the queue");
        }
        Failure::new(Exit::NoInput, format!("{}: {error}", directory.display()))
    })?;
    Ok(write_left(count, out)?)
}

fn write_left(count: usize, out: &mut impl Write) -> io::Result<()> {
    if count == 0 {
        writeln!(out, "{SUBMISSION_QUEUE} is empty")?;
    } else {
        let plural = if count == 1 { "" } else { "s" };
        writeln!(out, "\t\t{SUBMISSION_QUEUE} ({count} request{plural})")?;
    }
    writeln!(out, "\t\tTotal requests: {count}")
}

/// Who sees a part is told so: what watches the queue would else find it empty for ever.
async fn look(site: &Site) -> Result<Control, Failure> {
    let queue = Control::look(site).await?;
    if !queue.admin {
        let who = "the users of control.admins in pennypost.toml";
        complain(&called(), format_args!("only your own messages are shown; {who} see all"));
    }
    Ok(queue)
}

async fn list_all(
    queue: &mut Control,
    options: &Options,
    layout: Layout,
    out: &mut impl Write,
) -> Result<(), Failure> {
    let zone = TimeZone::system();
    match layout {
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
            listing.begin(count_all(queue, options).await?, out)?;
            each(queue, options, |message| Ok(listing.message(message, out)?)).await?;
            Ok(listing.end(out)?)
        }
    }
}

fn counted(options: &Options, site: &Site) -> Result<u64, Failure> {
    wait(async {
        let mut queue = look(site).await?;
        count_all(&mut queue, options).await
    })
}

async fn count_all(queue: &mut Control, options: &Options) -> Result<u64, Failure> {
    let selection = &options.selection;
    let all = selection.filters() == [Filter::default()] && selection.route.is_none();
    if all && queue.admin {
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
            let meant = fresh && options.selection.has_route(&message);
            if meant { show(&message) } else { Ok(()) }
        });
        shown.await?;
    }
    Ok(())
}

/// Says which messages were changed.
async fn change_all(
    queue: &mut Control,
    options: &Options,
    action: &Action,
) -> Result<Vec<QueueId>, Failure> {
    let mut changed = Vec::new();
    for filter in filters_of_change(queue, options).await? {
        let note = |id| {
            changed.push(id);
            Ok(())
        };
        queue.change(action, &filter, false, note).await?;
    }
    changed.sort_unstable();
    changed.dedup();
    Ok(changed)
}

/// Routes are known here only: what has one is named by its ids.
async fn filters_of_change(queue: &mut Control, options: &Options) -> Result<Vec<Filter>, Failure> {
    if options.selection.route.is_none() {
        return Ok(options.selection.filters());
    }
    let mut ids = Vec::new();
    each(queue, options, |message| {
        ids.push(message.id);
        Ok(())
    })
    .await?;
    let some = |ids: &[QueueId]| Filter { ids: ids.to_vec(), ..Filter::default() };
    Ok(ids.chunks(IDS).map(some).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::listing::tests::text;

    /// `-bP` and `-Ac -bp`.
    #[test]
    fn numbers_only() {
        let shown = [0, 1, 2].map(|count| {
            text(|out| {
                write_entries(count, out)?;
                write_left(usize::try_from(count).unwrap(), out)
            })
        });
        insta::assert_snapshot!("numbers", shown.concat());
    }
}
