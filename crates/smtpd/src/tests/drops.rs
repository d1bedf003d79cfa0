use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::time::SystemTime;

use envelope::Origin;

use super::*;
use crate::pickup;

const GOOD: &str =
    "MAIL FROM:<alice> BODY=8BITMIME\r\nRCPT TO:<bob>\r\nDATA\r\nSubject: x\r\n\r\n.\r\n..x\r\n";

/// A house with a drop directory that is watched.
struct Dropped {
    house: House,
    root: tempfile::TempDir,
}

impl Dropped {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let house = House::new(Role::Submission, root.path(), |_| ());
        fs::create_dir_all(&house.room.config.paths.drop).unwrap();
        Self { house, root }
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.house.room.config.paths.drop.join(name)
    }

    /// As `sendmail` does: written under another name, then renamed.
    fn put(&self, name: &str, text: &str) {
        let tmp = self.path(&format!("tmp.{name}"));
        fs::write(&tmp, text).unwrap();
        fs::set_permissions(&tmp, fs::Permissions::from_mode(0o640)).unwrap();
        fs::rename(&tmp, self.path(name)).unwrap();
    }

    fn watch(&self) {
        tokio::spawn(self.watching());
    }

    /// Watches until the house is drained.
    fn watching(&self) -> impl Future<Output = ()> + Send + 'static {
        pickup::watch(Arc::clone(&self.house.room), self.house.drain.subscribe().into())
    }

    async fn message(&mut self) -> (Envelope, Vec<u8>) {
        match self.house.submissions.recv().await {
            Some(Submission::Whole { envelope, content, .. }) => (envelope, content),
            other => panic!("{other:?}"),
        }
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.house.room.config.paths.drop).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// Waits until a message that is put now has gone the whole way.
    async fn settle(&mut self) {
        self.put("zz-last", GOOD);
        self.message().await;
        while self.path("zz-last").exists() {
            tokio::task::yield_now().await;
        }
    }
}

#[test]
fn what_was_there_and_what_comes_is_picked_up() {
    run(async {
        let mut dropped = Dropped::new();
        dropped.put("one", GOOD);
        dropped.watch();
        let (envelope, content) = dropped.message().await;
        assert_eq!(envelope.recipients[0].address.to_string(), "bob@mx.test");
        let uid = nix::unistd::getuid().as_raw();
        assert!(matches!(envelope.origin, Origin::User { uid: owner, .. } if owner == uid));
        assert!(content.ends_with(b"Subject: x\r\n\r\n.\r\n..x\r\n"), "not dot-stuffed");
        assert!(message::has(&content, "Message-ID"));
        dropped.settle().await;
        assert_eq!(dropped.names(), [""; 0]);
    });
}

#[test]
fn long_files_are_streamed_and_oldest_first() {
    run(async {
        let mut dropped = Dropped::new();
        let long = "x\r\n".repeat(100_000);
        dropped.put("younger", GOOD);
        dropped.put("older", &format!("MAIL FROM:<>\r\nRCPT TO:<bob>\r\nDATA\r\n\r\n{long}"));
        let hour_ago = SystemTime::now() - Duration::from_secs(3600);
        fs::File::options()
            .write(true)
            .open(dropped.path("older"))
            .unwrap()
            .set_modified(hour_ago)
            .unwrap();
        dropped.watch();
        let (envelope, content) = dropped.message().await;
        assert_eq!(envelope.reverse_path.to_string(), "");
        assert!(content.ends_with(long.as_bytes()));
        dropped.message().await;
    });
}

#[test]
fn what_cannot_be_used_is_renamed_and_kept() {
    run(async {
        let mut dropped = Dropped::new();
        for (name, text) in [
            ("no-data", "MAIL FROM:<>\r\nRCPT TO:<bob>\r\n"),
            ("no-rcpt", "MAIL FROM:<>\r\nDATA\r\nx\r\n"),
            ("bad-rcpt", "MAIL FROM:<>\r\nRCPT TO:<b..b>\r\nDATA\r\nx\r\n"),
            ("bare-lf", "MAIL FROM:<>\r\nRCPT TO:<bob>\r\nDATA\r\nx\ny\r\n"),
            ("bare-lf-before", "MAIL FROM:<>\nRCPT TO:<bob>\r\nDATA\r\nx\r\n"),
            ("nul", "MAIL FROM:<>\r\nRCPT TO:<bob>\r\nDATA\r\nx\0\r\n"),
            ("two", "MAIL FROM:<>\r\nRCPT TO:<bob>\r\nBDAT 0 LAST\r\nDATA\r\nx\r\n"),
            ("writable", GOOD),
            ("linked", GOOD),
            ("empty", ""),
        ] {
            dropped.put(name, text);
        }
        fs::set_permissions(dropped.path("writable"), fs::Permissions::from_mode(0o666)).unwrap();
        fs::hard_link(dropped.path("linked"), dropped.root.path().join("elsewhere")).unwrap();
        fs::write(dropped.root.path().join("target"), GOOD).unwrap();
        symlink(dropped.root.path().join("target"), dropped.path("symlink")).unwrap();
        fs::create_dir(dropped.path("directory")).unwrap();
        nix::unistd::mkfifo(&dropped.path("fifo"), nix::sys::stat::Mode::S_IRUSR).unwrap();
        fs::write(dropped.path("bad.no-rcpt"), "an older one").unwrap();
        fs::write(dropped.path("tmp.unfinished"), "MAIL").unwrap();
        dropped.watch();
        dropped.settle().await;
        let kept = [
            "bad.bad-rcpt",
            "bad.bare-lf",
            "bad.bare-lf-before",
            "bad.directory",
            "bad.empty",
            "bad.fifo",
            "bad.linked",
            "bad.no-data",
            "bad.no-rcpt",
            "bad.no-rcpt.1",
            "bad.nul",
            "bad.symlink",
            "bad.two",
            "bad.writable",
            "tmp.unfinished",
        ];
        assert_eq!(dropped.names(), kept);
        assert!(dropped.house.submissions.try_recv().is_err());
    });
}

#[test]
fn a_queue_that_is_full_leaves_the_file() {
    run(async {
        let mut dropped = Dropped::new();
        dropped.put("full", &GOOD.replace("<alice>", "<full>"));
        dropped.watch();
        assert!(matches!(dropped.house.submissions.recv().await, Some(Submission::Refused)));
        // What comes later waits behind it.
        dropped.put("zz", GOOD);
        assert!(matches!(dropped.house.submissions.recv().await, Some(Submission::Refused)));
        assert_eq!(dropped.names(), ["full", "zz"]);
    });
}

#[test]
fn at_the_end_the_file_under_way_is_finished_and_no_other_begun() {
    run(async {
        let mut dropped = Dropped::new();
        dropped.put("a", GOOD);
        dropped.put("b", GOOD);
        let watching = tokio::spawn(dropped.watching());
        dropped.message().await;
        dropped.house.drain.send_replace(true);
        watching.await.unwrap();
        assert_eq!(dropped.names().len(), 1);
        assert!(dropped.house.submissions.try_recv().is_err());
    });
}

#[test]
fn unfinished_files_go_after_a_day() {
    run(async {
        let mut dropped = Dropped::new();
        for name in ["tmp.old", "tmp.new", "bad.old"] {
            fs::write(dropped.path(name), "x").unwrap();
        }
        let before = SystemTime::now() - Duration::from_secs(25 * 3600);
        for name in ["tmp.old", "bad.old"] {
            fs::File::options()
                .write(true)
                .open(dropped.path(name))
                .unwrap()
                .set_modified(before)
                .unwrap();
        }
        fs::create_dir(dropped.path("tmp.room")).unwrap();
        fs::File::open(dropped.path("tmp.room")).unwrap().set_modified(before).unwrap();
        dropped.watch();
        dropped.settle().await;
        assert_eq!(dropped.names(), ["bad.old", "bad.tmp.room", "tmp.new"]);
    });
}

/// Two processes, of which one is to be retired, see the same file.
#[test]
fn one_process_at_a_time_takes_files() {
    run(async {
        let mut dropped = Dropped::new();
        let lock = fs::File::open(&dropped.house.room.config.paths.drop).unwrap();
        lock.try_lock().unwrap();
        dropped.put("a", GOOD);
        let mut watching = Box::pin(dropped.watching());
        // Its first look is before its first wait.
        tokio::select! {
            biased;
            () = &mut watching => panic!("it ended"),
            () = std::future::ready(()) => {}
        }
        assert_eq!(dropped.names(), ["a"]);
        assert!(dropped.house.submissions.try_recv().is_err());
        drop(lock);
        tokio::spawn(watching);
        dropped.message().await;
    });
}
