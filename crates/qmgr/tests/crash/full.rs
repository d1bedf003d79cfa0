//! A real disk that is full: a small tmpfs in a mount namespace of its own. The test runs itself
//! again in there; where that is not permitted it says so and checks nothing.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;
use std::process::Command;

use envelope::QueueId;
use nix::sys::statvfs::statvfs;
use qmgr::store::{Change, Fate, Options, Store, StoreError};

use crate::world::{Message, World, read};

const INSIDE: &str = "PENNYPOST_FULL_DISK";
const OPTIONS: Options = Options { min_free_space: 0 };
/// Pages of free space at which a submission and an outcome are tried.
const PAGES: u64 = 40;

#[test]
fn outcomes_go_on_when_the_disk_is_full() {
    if let Ok(disk) = std::env::var(INSIDE) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(on_a_small_disk(Path::new(&disk)));
        return;
    }
    let test = "full::outcomes_go_on_when_the_disk_is_full";
    let place = tempfile::tempdir().unwrap();
    if !inside(place.path(), &["true".as_ref()]) {
        let why = "this user may not mount a tmpfs in a namespace of its own (unshare -m)";
        // On stderr itself, which the test harness does not keep to itself.
        let _ = writeln!(io::stderr(), "skipped: {test}: {why}");
        return;
    }
    let this = std::env::current_exe().unwrap();
    assert!(inside(place.path(), &[this.as_os_str(), "--exact".as_ref(), test.as_ref()]));
}

/// Runs a program with a small disk at `place`, and says whether it succeeded.
fn inside(place: &Path, program: &[&OsStr]) -> bool {
    let script =
        "mount -t tmpfs -o size=24m pennypost-test \"$PENNYPOST_FULL_DISK\" && exec \"$@\"";
    let mut command = Command::new("unshare");
    command.args(["-m", "sh", "-c", script, "sh"]).args(program).env(INSIDE, place);
    command.status().is_ok_and(|status| status.success())
}

/// What else is on the disk.
struct Others<'a>(&'a Path);

impl Others<'_> {
    /// Leaves `pages` free pages.
    fn leave(&self, pages: u64) {
        let disk = statvfs(self.0).unwrap();
        assert_eq!(disk.fragment_size(), 4096);
        let mut file = File::options().append(true).create(true).open(self.0.join("others"));
        let file = file.as_mut().unwrap();
        for _ in pages..disk.blocks_available() {
            file.write_all(&[1; 4096]).unwrap();
        }
    }

    fn go(&self) {
        match fs::remove_file(self.0.join("others")) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => panic!("{error}"),
            Ok(()) | Err(_) => {}
        }
    }
}

fn id(number: u64) -> QueueId {
    QueueId::new(number).unwrap()
}

async fn on_a_small_disk(disk: &Path) {
    let others = Others(disk);
    let (store, _) = Store::open(disk, OPTIONS).await.unwrap();
    let mut world = World::new();
    let mut last = 0;
    let mut refused = 0;
    for pages in 0..PAGES {
        // With room: the store accepts by itself, whatever was before.
        let (first, second, bounce) = (id(last + 1), id(last + 2), id(last + 3));
        last += 3;
        let message = Message::new(first, 1, 30_000, 1);
        others.go();
        while store.submit(message.to_submit(first)).await == Err(StoreError::Full) {}
        world.insert(first, message);
        assert_eq!(read(&store).await, world, "{pages} pages: with room");

        others.leave(pages);
        let message = Message::new(second, 1, 60_000, 3);
        match store.submit(message.to_submit(second)).await {
            Ok(()) => drop(world.insert(second, message)),
            Err(error) => {
                assert_eq!(error, StoreError::Full, "{pages} pages");
                refused += 1;
            }
        }
        // The outcome has the reserve, if it needs it.
        let message = Message::new(bounce, 1, 9000, 1);
        let enqueue = vec![message.to_submit(bounce)];
        let change = Change { id: first, fate: Fate::Retired, enqueue };
        assert_eq!(store.outcome(change).await, Ok(()), "{pages} pages");
        world.remove(&first);
        world.insert(bounce, message);
        assert_eq!(read(&store).await, world, "{pages} pages: full");
    }
    assert!(refused > 0 && refused < PAGES, "{refused} of {PAGES} refused");
    others.go();
    let all = world.keys().map(|&id| Change { id, fate: Fate::Retired, enqueue: Vec::new() });
    store.change(all.collect()).await.unwrap();
    store.close().await;
    let (store, opened) = Store::open(disk, OPTIONS).await.unwrap();
    assert_eq!(opened.counts, qmgr::store::Counts::default());
    store.close().await;
}
