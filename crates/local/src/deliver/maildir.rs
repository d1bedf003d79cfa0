//! Delivery into a Maildir: written in `tmp`, synced, renamed into `new`, directory synced.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use envelope::{Detail, Enhanced, Status};
use ipc::mailbox::Store;

use super::content::{Content, Quoting};
use super::{fault, place};

const BUFFER: usize = 64 * 1024;

pub(crate) fn deliver(maildir: &Path, store: &Store, content: &Content) -> Status {
    match store_in(maildir, store, content) {
        Ok(()) => Status::Delivered(Detail::ours(Enhanced::UNDEFINED, "delivered to maildir")),
        Err(error) => fault::status(&format!("maildir {}", maildir.display()), &error),
    }
}

fn store_in(maildir: &Path, store: &Store, content: &Content) -> io::Result<()> {
    let name = unique_name(&store.hostname);
    let temporary = maildir.join("tmp").join(&name);
    let file = match create(&temporary) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            // `tmp` last: where it is, the others are.
            for part in ["cur", "new", "tmp"] {
                place::make(&maildir.join(part))?;
            }
            create(&temporary)?
        }
        other => other?,
    };
    let new = maildir.join("new");
    let stored = write(file, store, content)
        .and_then(|()| fs::rename(&temporary, new.join(&name)))
        .inspect_err(|_| {
            // What cannot be removed is never seen: readers look into `new`.
            let _ = fs::remove_file(&temporary);
        });
    stored.and_then(|()| place::sync(&new))
}

fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

fn write(file: File, store: &Store, content: &Content) -> io::Result<()> {
    let mut out = BufWriter::with_capacity(BUFFER, file);
    content.write(&mut out, store, Quoting::None)?;
    out.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()
}

/// `SECONDS.M…P…Q….HOST`: the time, the process, and the count of its deliveries.
fn unique_name(hostname: &str) -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let (seconds, micros) = (now.as_secs(), now.subsec_micros());
    let (pid, count) = (std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    let host = hostname.replace('/', "\\057").replace(':', "\\072");
    format!("{seconds}.M{micros}P{pid}Q{count}.{host}")
}
