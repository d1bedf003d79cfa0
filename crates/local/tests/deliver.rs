//! The `deliver` executable, spoken to as `local` does.

#![expect(clippy::unwrap_used, reason = "a test's helpers fail like the test")]

use std::collections::BTreeMap;
use std::fs::{self, File, Permissions};
use std::os::fd::AsFd;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, SystemTime};

use envelope::{QueueId, ReversePath, Status};
use ipc::mailbox::{Place, Said, Store, Stored};
use ipc::{Connection, Frame};

const TIME: Duration = Duration::from_secs(60);
const MESSAGE: &[u8] = b"Subject: hi\r\n\r\nFrom here\r\n.\r\nlast\r\n";
const STORED: &str = "Return-Path: <from@example.net>\nDelivered-To: anna@example.org\n\
                      Subject: hi\n\nFrom here\n.\nlast\n";

/// A running `deliver`.
struct Deliver {
    child: Child,
    connection: Connection,
}

impl Deliver {
    fn start() -> Self {
        Self::run(&mut Command::new(env!("CARGO_BIN_EXE_deliver")))
    }

    fn run(command: &mut Command) -> Self {
        let (connection, theirs) = Connection::pair().unwrap();
        let child = command.stdin(Stdio::from(theirs)).spawn().unwrap();
        Self { child, connection }
    }

    async fn store(&mut self, store: &Store, body: &[u8]) -> Status {
        answered(self.connection.call(store, body, None, TIME).await.unwrap())
    }

    async fn store_file(&mut self, store: &Store, spool: &File) -> Status {
        let descriptor = Some(spool.as_fd());
        answered(self.connection.call(store, b"", descriptor, TIME).await.unwrap())
    }

    /// Sends all of them before the first is answered; what came of each, in order.
    async fn store_all(&mut self, group: &[Store], body: &[u8]) -> Vec<Status> {
        for (number, store) in (0..).zip(group) {
            let store = Store { number, ..store.clone() };
            self.connection.send(&store, body, None).await.unwrap();
        }
        self.answers(group.len()).await
    }

    /// What came of the requests 0, 1, 2 …
    async fn answers(&mut self, count: usize) -> Vec<Status> {
        let mut statuses = BTreeMap::new();
        while statuses.len() < count {
            let frame = self.connection.receive_within::<Stored>(TIME).await.unwrap();
            for (number, said) in frame.head.0 {
                let before = statuses.insert(number, status(said));
                assert!(before.is_none(), "{number} answered twice");
            }
        }
        statuses.into_values().collect()
    }

    /// Closes the connection, after which the process ends by itself.
    fn end(self) {
        let Self { mut child, connection } = self;
        drop(connection);
        assert!(child.wait().unwrap().success());
    }
}

fn answered(frame: Frame<Stored>) -> Status {
    let Stored(mut answers) = frame.head;
    let (number, said) = answers.pop().unwrap();
    assert!(number == 3 && answers.is_empty(), "{answers:?}");
    status(said)
}

fn status(said: Said) -> Status {
    let status = match said {
        Said::Status(status) => Some(status),
        Said::Expanded { .. } | Said::Stale => None,
    };
    status.unwrap()
}

fn run(test: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test);
}

fn request(home: &Path, place: Place) -> Store {
    let tree = match &place {
        Place::Maildir(path) => path.clone(),
        Place::Mbox(path) => path.parent().unwrap().to_owned(),
        Place::Command(_) | Place::Program { .. } | Place::File(_) | Place::Include(_) => {
            PathBuf::new()
        }
    };
    Store {
        number: 3,
        id: QueueId::new(7).unwrap(),
        reverse_path: ReversePath("from@example.net".parse().ok()),
        recipient: "anna@example.org".parse().unwrap(),
        place,
        forward: Vec::new(),
        shell: None,
        tree,
        user: "anna".into(),
        home: home.to_owned(),
        detail: Some("tag".into()),
        hostname: "mx.example.org".into(),
        size: 0,
        replaced: 0,
        arrival: 1_790_000_000,
        make_home: false,
    }
}

fn shell(home: &Path, script: &str) -> Store {
    request(home, Place::Command(["/bin/sh", "-c", script].map(String::from).to_vec()))
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(directory) else {
        return Vec::new();
    };
    entries.map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn maildir() {
    run(async {
        let home = tempfile::tempdir().unwrap();
        let maildir = home.path().join("mail/in");
        let store = request(home.path(), Place::Maildir(maildir.clone()));
        let mut deliver = Deliver::start();
        for count in 1..=3 {
            assert_eq!(deliver.store(&store, MESSAGE).await.code(), "2.0.0");
            assert_eq!(files(&maildir.join("new")).len(), count);
        }
        deliver.end();
        for file in files(&maildir.join("new")) {
            assert_eq!(fs::read_to_string(&file).unwrap(), STORED);
            assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        }
        assert!(files(&maildir.join("tmp")).is_empty());
        assert!(maildir.join("cur").is_dir());
    });
}

#[test]
fn a_missing_home_defers_unless_it_may_be_made() {
    run(async {
        let root = tempfile::tempdir().unwrap();
        let home = root.path().join("home/anna");
        let mut store = request(&home, Place::Maildir(home.join("Maildir")));
        let mut deliver = Deliver::start();
        assert_eq!(deliver.store(&store, MESSAGE).await.code(), "4.2.0");
        assert!(!home.exists());
        store.make_home = true;
        assert_eq!(deliver.store(&store, MESSAGE).await.code(), "2.0.0");
        assert_eq!(files(&home.join("Maildir/new")).len(), 1);
    });
}

#[test]
fn a_process_can_do_what_its_first_message_needs_and_no_more() {
    run(async {
        let home = tempfile::tempdir().unwrap();
        let maildir = |name: &str| {
            let path = home.path().join(name);
            request(home.path(), Place::Maildir(path))
        };
        let command = shell(home.path(), "exit 0");
        let mut confined = Deliver::start();
        assert_eq!(confined.store(&maildir("one"), MESSAGE).await.code(), "2.0.0");
        assert_eq!(confined.store(&maildir("two"), MESSAGE).await.code(), "4.2.0");
        assert!(!home.path().join("two").exists());
        assert_eq!(confined.store(&command, MESSAGE).await.code(), "4.3.0");
        assert_eq!(confined.store(&maildir("one"), MESSAGE).await.code(), "2.0.0");
        assert_eq!(Deliver::start().store(&maildir("two"), MESSAGE).await.code(), "2.0.0");

        let mut free = Deliver::start();
        assert_eq!(free.store(&command, MESSAGE).await.code(), "2.0.0");
        assert_eq!(free.store(&maildir("one"), MESSAGE).await.code(), "4.3.0");
    });
}

#[test]
fn spooled_content() {
    run(async {
        let home = tempfile::tempdir().unwrap();
        let spool = home.path().join("spool");
        let line = format!("{}\r\n", "x".repeat(70));
        let text = format!("Subject: long\r\n\r\n{}", line.repeat(20_000));
        fs::write(&spool, &text).unwrap();
        let file = File::open(&spool).unwrap();
        let mut store = request(home.path(), Place::Maildir(home.path().join("Maildir")));
        store.size = text.len().try_into().unwrap();
        let mut deliver = Deliver::start();
        for _ in 0..2 {
            assert_eq!(deliver.store_file(&store, &file).await.code(), "2.0.0");
        }
        for stored in files(&home.path().join("Maildir/new")) {
            assert!(fs::read_to_string(stored).unwrap().ends_with(&text.replace('\r', "")));
        }
    });
}

#[test]
fn mbox() {
    run(async {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("mbox");
        let mut store = request(home.path(), Place::Mbox(path.clone()));
        let mut deliver = Deliver::start();
        assert_eq!(deliver.store(&store, MESSAGE).await.code(), "2.0.0");
        store.reverse_path = ReversePath::NULL;
        assert_eq!(deliver.store(&store, MESSAGE).await.code(), "2.0.0");
        let one = STORED.replace("\nFrom here", "\n>From here");
        let two = one.replace("from@example.net", "");
        let date = "Mon Sep 21 14:13:20 2026";
        let expected =
            format!("From from@example.net {date}\n{one}\nFrom MAILER-DAEMON {date}\n{two}\n");
        assert_eq!(fs::read_to_string(&path).unwrap(), expected);
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(files(home.path()), [path], "no lock is left");
    });
}

#[test]
fn what_waits_together_is_stored_and_answered_one_by_one() {
    run(async {
        let home = tempfile::tempdir().unwrap();
        let at = |name: &str| home.path().join("in").join(name);
        fs::create_dir_all(at("no/tmp")).unwrap();
        fs::write(at("no/new"), "not a directory").unwrap();
        for make in [Place::Maildir, Place::Mbox] {
            let request = |place: Place| Store { tree: at(""), ..request(home.path(), place) };
            let good = request(make(at("good")));
            let bad = request(make(at("no")));
            let looping = Store { recipient: "hi@example.org".parse().unwrap(), ..good.clone() };
            let group: Vec<_> =
                [&good, &bad, &looping].into_iter().cycle().take(60).cloned().collect();
            let body = [b"Delivered-To: hi@example.org\r\n", MESSAGE].concat();
            let statuses = Deliver::start().store_all(&group, &body).await;
            let codes: Vec<_> = statuses.iter().map(|status| status.code()).collect();
            assert_eq!(codes, ["2.0.0", "4.2.0", "5.4.6"].repeat(20));
            if at("good").is_dir() {
                assert_eq!(files(&at("good/new")).len(), 20);
                fs::remove_dir_all(at("good")).unwrap();
            }
        }
        let mbox = fs::read_to_string(at("good")).unwrap();
        assert_eq!(mbox.matches("\n\nFrom from@example.net ").count(), 19);
        assert!(mbox.starts_with("From ") && !at("good.lock").exists());
    });
}

#[test]
fn one_message_that_does_not_fit_leaves_the_others_of_its_group() {
    run(async {
        let home = tempfile::tempdir().unwrap();
        let mut limited = Command::new("/bin/sh");
        limited.args(["-c", "ulimit -f 16; exec \"$0\"", env!("CARGO_BIN_EXE_deliver")]);
        let mut deliver = Deliver::run(&mut limited);
        let spool = home.path().join("spool");
        fs::write(&spool, [MESSAGE, &b"0123456789\r\n".repeat(4000)].concat()).unwrap();
        let spool = File::open(&spool).unwrap();
        let mut long = request(home.path(), Place::Mbox(home.path().join("mbox")));
        long.size = spool.metadata().unwrap().len();
        let short = Store { size: 0, ..long.clone() };
        deliver
            .connection
            .send(&Store { number: 0, ..short.clone() }, MESSAGE, None)
            .await
            .unwrap();
        let descriptor = Some(spool.as_fd());
        deliver.connection.send(&Store { number: 1, ..long }, b"", descriptor).await.unwrap();
        deliver.connection.send(&Store { number: 2, ..short }, MESSAGE, None).await.unwrap();
        let statuses = deliver.answers(3).await;
        let codes: Vec<_> = statuses.iter().map(|status| status.code()).collect();
        assert_eq!(codes, ["2.0.0", "4.2.2", "2.0.0"]);
        let one = STORED.replace("\nFrom here", "\n>From here");
        let one = format!("From from@example.net Mon Sep 21 14:13:20 2026\n{one}\n");
        assert_eq!(fs::read_to_string(home.path().join("mbox")).unwrap(), one.repeat(2));
    });
}

#[test]
fn commands_run_side_by_side() {
    run(async {
        let home = tempfile::tempdir().unwrap();
        // Each waits for the other.
        let script =
            |own, other| format!("echo >{own}; until test -e {other}; do sleep 0.01; done");
        let group = [script("a", "b"), script("b", "a")].map(|script| shell(home.path(), &script));
        let statuses = Deliver::start().store_all(&group, MESSAGE).await;
        assert!(statuses.iter().all(|status| status.code() == "2.0.0"), "{statuses:?}");
    });
}

#[test]
fn an_mbox_that_is_not_the_users_own_is_not_written() {
    run(async {
        let home = tempfile::tempdir().unwrap();
        let at = |name: &str| home.path().join(name);
        fs::write(at("plain"), "text\n").unwrap();
        symlink(at("plain"), at("symlink")).unwrap();
        fs::write(at("one"), "text\n").unwrap();
        fs::hard_link(at("one"), at("two")).unwrap();
        fs::create_dir(at("directory")).unwrap();
        let mut deliver = Deliver::start();
        for path in [at("symlink"), at("one"), at("directory"), "/dev/full".into()] {
            let status = deliver.store(&request(home.path(), Place::Mbox(path)), MESSAGE).await;
            assert_eq!(status.code(), "4.2.0", "{status}");
        }
        assert_eq!(fs::read_to_string(at("plain")).unwrap(), "text\n");
        assert_eq!(fs::read_to_string(at("one")).unwrap(), "text\n");
    });
}

#[test]
fn an_mbox_whose_name_cannot_be_synced_stays_empty() {
    run(async {
        let home = tempfile::tempdir().unwrap();
        let store = request(home.path(), Place::Mbox(home.path().join("mbox")));
        // Files can be made in it, but it cannot be opened.
        fs::set_permissions(home.path(), fs::Permissions::from_mode(0o300)).unwrap();
        let mut deliver = Deliver::start();
        for _ in 0..2 {
            assert_eq!(deliver.store(&store, MESSAGE).await.code(), "4.2.0");
        }
        fs::set_permissions(home.path(), fs::Permissions::from_mode(0o700)).unwrap();
        assert_eq!(fs::read_to_string(home.path().join("mbox")).unwrap(), "");
        assert_eq!(deliver.store(&store, MESSAGE).await.code(), "2.0.0");
    });
}

#[test]
fn a_maildir_that_cannot_be_synced_stays_empty() {
    run(async {
        let home = tempfile::tempdir().unwrap();
        let maildir = home.path().join("Maildir");
        let store = request(home.path(), Place::Maildir(maildir.clone()));
        let mut deliver = Deliver::start();
        assert_eq!(deliver.store(&store, MESSAGE).await.code(), "2.0.0");
        // Files can be moved into it, but it cannot be opened.
        fs::set_permissions(maildir.join("new"), fs::Permissions::from_mode(0o300)).unwrap();
        assert!(deliver.store(&store, MESSAGE).await.code().starts_with('4'));
        fs::set_permissions(maildir.join("new"), fs::Permissions::from_mode(0o700)).unwrap();
        assert_eq!((files(&maildir.join("new")).len(), files(&maildir.join("tmp")).len()), (1, 0));
    });
}

#[test]
fn a_lock_left_behind_long_ago_does_not_block() {
    run(async {
        let home = tempfile::tempdir().unwrap();
        let lock = File::create(home.path().join("mbox.lock")).unwrap();
        lock.set_modified(SystemTime::now() - Duration::from_secs(600)).unwrap();
        let store = request(home.path(), Place::Mbox(home.path().join("mbox")));
        assert_eq!(Deliver::start().store(&store, MESSAGE).await.code(), "2.0.0");
        assert!(!home.path().join("mbox.lock").exists());
    });
}

#[test]
fn many_writers_of_one_mbox() {
    const WRITERS: usize = 4;
    const EACH: usize = 10;
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("mbox");
    std::thread::scope(|scope| {
        for _ in 0..WRITERS {
            scope.spawn(|| run(write_many(home.path(), &path, EACH)));
        }
    });
    let one = STORED.replace("\nFrom here", "\n>From here");
    let one = format!("From from@example.net Mon Sep 21 14:13:20 2026\n{one}\n");
    assert_eq!(fs::read_to_string(&path).unwrap(), one.repeat(WRITERS * EACH));
}

async fn write_many(home: &Path, path: &Path, count: usize) {
    let store = request(home, Place::Mbox(path.to_owned()));
    let mut deliver = Deliver::start();
    for _ in 0..count {
        assert_eq!(deliver.store(&store, MESSAGE).await.code(), "2.0.0");
    }
}

#[test]
fn command() {
    run(async {
        let home = tempfile::tempdir().unwrap();
        let mut deliver = Deliver::start();
        let script = "cat > got; env | sort | cut -d= -f1 | tr '\\n' ' ' > names; \
                      echo $HOME $USER $SENDER $RECIPIENT $EXTENSION > env; pwd >> env";
        assert_eq!(deliver.store(&shell(home.path(), script), MESSAGE).await.code(), "2.0.0");
        let read = |name: &str| fs::read_to_string(home.path().join(name)).unwrap();
        assert_eq!(read("got"), STORED);
        let at = home.path().display();
        let expected = format!("{at} anna from@example.net anna@example.org tag\n{at}\n");
        assert_eq!(read("env"), expected);
        assert_eq!(
            read("names"),
            "EXTENSION HOME LOGNAME PATH PWD RECIPIENT SENDER SHELL USER ",
            "PWD is the shell's"
        );
        for (script, shown) in [
            ("exit 67", "5.1.1 (User unknown (/bin/sh: exit 67))"),
            (
                "echo >&2; echo no way >&2; echo x; exit 77",
                "5.7.0 (Insufficient permission: no way (/bin/sh: exit 77))",
            ),
            ("echo later; exit 75", "4.0.0 (Deferred: later (/bin/sh: exit 75))"),
            ("kill -9 $$", "4.2.0 (/bin/sh: ended by signal 9)"),
            ("exit 127", "4.2.0 (Command not found (/bin/sh: exit 127))"),
        ] {
            let status = deliver.store(&shell(home.path(), script), MESSAGE).await;
            assert_eq!(status.to_string(), shown, "{script}");
        }
        let none = request(home.path(), Place::Command(vec!["/nonexistent/program".into()]));
        assert_eq!(deliver.store(&none, MESSAGE).await.code(), "4.3.0");
    });
}

#[test]
fn a_command_may_leave_its_input_and_talk_at_length() {
    run(async {
        let home = tempfile::tempdir().unwrap();
        let mut deliver = Deliver::start();
        let body = [MESSAGE, &b"x\r\n".repeat(30_000)].concat();
        let script = "yes | head -c 1000000; exec true";
        for script in ["exec true", script] {
            assert_eq!(deliver.store(&shell(home.path(), script), &body).await.code(), "2.0.0");
        }
    });
}

#[test]
fn a_loop_fails() {
    run(async {
        let home = tempfile::tempdir().unwrap();
        let maildir = home.path().join("Maildir");
        let store = request(home.path(), Place::Maildir(maildir.clone()));
        let mut deliver = Deliver::start();
        assert_eq!(deliver.store(&store, MESSAGE).await.code(), "2.0.0");
        let [stored] = &files(&maildir.join("new"))[..] else { panic!("one message") };
        let again = fs::read_to_string(stored).unwrap().replace('\n', "\r\n");
        assert_eq!(deliver.store(&store, again.as_bytes()).await.code(), "5.4.6");
    });
}

#[test]
fn a_write_that_fails_leaves_nothing() {
    run(async {
        let home = tempfile::tempdir().unwrap();
        let (mbox, maildir) = (home.path().join("mbox"), home.path().join("Maildir"));
        let mut limited = Command::new("/bin/sh");
        limited.args(["-c", "ulimit -f 16; exec \"$0\"", env!("CARGO_BIN_EXE_deliver")]);
        let mut deliver = Deliver::run(&mut limited);
        let long = [MESSAGE, &b"0123456789\r\n".repeat(4000)].concat();
        let store = request(home.path(), Place::Mbox(mbox.clone()));
        assert_eq!(deliver.store(&store, MESSAGE).await.code(), "2.0.0");
        let before = fs::read(&mbox).unwrap();
        let status = deliver.store(&store, &long).await;
        assert_eq!(status.code(), "4.2.2", "{status}");
        assert_eq!(fs::read(&mbox).unwrap(), before);
        let store = request(home.path(), Place::Maildir(maildir.clone()));
        assert_eq!(deliver.store(&store, &long).await.code(), "4.2.2");
        assert!(files(&maildir.join("tmp")).is_empty() && files(&maildir.join("new")).is_empty());
    });
}

#[test]
fn a_crash_in_the_middle_shows_no_partial_message() {
    run(async {
        let home = tempfile::tempdir().unwrap();
        let maildir = home.path().join("Maildir");
        let spool = home.path().join("spool");
        let text = "0123456789abcde\r\n".repeat(1 << 20);
        fs::write(&spool, &text).unwrap();
        let mut store = request(home.path(), Place::Maildir(maildir.clone()));
        store.size = text.len().try_into().unwrap();
        let mut deliver = Deliver::start();
        let file = File::open(&spool).unwrap();
        deliver.connection.send(&store, b"", Some(file.as_fd())).await.unwrap();
        while files(&maildir.join("tmp")).is_empty() && files(&maildir.join("new")).is_empty() {
            std::thread::yield_now();
        }
        deliver.child.kill().unwrap();
        deliver.child.wait().unwrap();
        let before = files(&maildir.join("new")).len();
        // The next attempt is not hindered by what is left, and nothing shows half a message.
        let status = Deliver::start().store_file(&store, &file).await;
        assert_eq!(status.code(), "2.0.0", "{status}");
        let stored = files(&maildir.join("new"));
        assert_eq!(stored.len(), before + 1);
        for path in stored {
            assert!(fs::read_to_string(path).unwrap().ends_with(&text.replace('\r', "")));
        }
    });
}

#[test]
fn a_group_of_long_messages_fits_into_the_memory() {
    run(async {
        let home = tempfile::tempdir().unwrap();
        let body = b"0123456789abcde\r\n".repeat(ipc::MAX_BODY / 17);
        for make in [Place::Maildir, Place::Mbox] {
            let store = request(home.path(), make(home.path().join("in")));
            let statuses = Deliver::start().store_all(&vec![store; 100], &body).await;
            assert!(statuses.iter().all(|status| status.code() == "2.0.0"), "{statuses:?}");
            let _ = fs::remove_dir_all(home.path().join("in"));
        }
    });
}

#[test]
fn a_program_that_cannot_be_run_waits_and_is_no_fault_of_ours() {
    run(async {
        let home = tempfile::tempdir().unwrap();
        let program = |name: &str| {
            let path = home.path().join(name).display().to_string();
            let place = Place::Program { argv: vec![path, "a b".into()], failure: None };
            request(home.path(), place)
        };
        let mut deliver = Deliver::start();
        let status = deliver.store(&program("none"), MESSAGE).await;
        assert_eq!(status.code(), "4.3.5");
        let text = "\"none\" not available for sendmail programs (No such file or directory";
        assert!(status.detail().text.starts_with(text), "{status}");
        fs::write(home.path().join("plain"), "#!/bin/sh\n").unwrap();
        assert_eq!(deliver.store(&program("plain"), MESSAGE).await.code(), "4.3.5");
        let script = home.path().join("script");
        fs::write(&script, "#!/bin/sh\necho \"$1\" >&2; cat >got; exit 67\n").unwrap();
        fs::set_permissions(&script, Permissions::from_mode(0o755)).unwrap();
        let status = deliver.store(&program("script"), MESSAGE).await;
        assert!(status.to_string().starts_with("5.1.1 (User unknown: a b ("), "{status}");
        assert!(fs::read_to_string(home.path().join("got")).unwrap().contains("Subject:"));
        // `|script || exit 75`
        let argv = vec![script.display().to_string()];
        let patient = request(home.path(), Place::Program { argv, failure: Some(75) });
        assert_eq!(deliver.store(&patient, MESSAGE).await.code(), "4.0.0");
        deliver.end();
    });
}

#[test]
fn mail_is_appended_to_a_file_but_not_to_everything() {
    run(async {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("old");
        let to = |path: &Path| request(home.path(), Place::File(path.to_owned()));
        let mut deliver = Deliver::start();
        for count in 1..=2 {
            assert_eq!(deliver.store(&to(&file), MESSAGE).await.code(), "2.0.0");
            let text = fs::read_to_string(&file).unwrap();
            assert_eq!(text.matches("\nSubject: ").count(), count, "{text}");
        }
        assert!(!home.path().join("old.lock").exists());
        // Directories are nobody's to make.
        assert_eq!(deliver.store(&to(&home.path().join("a/b")), MESSAGE).await.code(), "4.2.0");
        let refused = |path: PathBuf| to(&path);
        symlink(&file, home.path().join("link")).unwrap();
        fs::hard_link(&file, home.path().join("hard")).unwrap();
        fs::write(home.path().join("program"), "x").unwrap();
        fs::set_permissions(home.path().join("program"), Permissions::from_mode(0o744)).unwrap();
        let before = fs::read_to_string(&file).unwrap();
        for name in ["link", "hard", "program", "."] {
            let status = deliver.store(&refused(home.path().join(name)), MESSAGE).await;
            assert_eq!(status.code(), "4.2.0", "{name}: {status}");
        }
        assert_eq!(fs::read_to_string(&file).unwrap(), before);
        assert_eq!(fs::read_to_string(home.path().join("program")).unwrap(), "x");
        deliver.end();
    });
}

#[test]
fn long_lists_that_are_read_together_are_answered_one_by_one() {
    run(async {
        let home = tempfile::tempdir().unwrap();
        let list = home.path().join("list");
        let names: String =
            (0..10_000).map(|number| format!("user{number:06}@example.org\n")).collect();
        fs::write(&list, names).unwrap();
        fs::set_permissions(&list, Permissions::from_mode(0o644)).unwrap();
        let store = request(home.path(), Place::Include(list));
        let mut deliver = Deliver::start();
        // More than fits into one frame.
        for number in 0..8 {
            let store = Store { number, ..store.clone() };
            deliver.connection.send(&store, MESSAGE, None).await.unwrap();
        }
        for _ in 0..8 {
            let frame = deliver.connection.receive_within::<Stored>(TIME).await.unwrap();
            let [(_, Said::Expanded { members, .. })] = &frame.head.0[..] else { panic!() };
            assert_eq!(members.len(), 10_000);
        }
        deliver.end();
    });
}

#[test]
fn a_forward_goes_before_the_mailbox_and_may_change_at_any_time() {
    run(async {
        let home = tempfile::tempdir().unwrap();
        fs::set_permissions(home.path(), Permissions::from_mode(0o700)).unwrap();
        let maildir = home.path().join("Maildir");
        let forward = home.path().join(".forward");
        let store = Store {
            forward: vec![forward.clone()],
            ..request(home.path(), Place::Maildir(maildir.clone()))
        };
        let mut deliver = Deliver::start();
        let mut ask = async |store: &Store| {
            let frame = deliver.connection.call::<_, Stored>(store, MESSAGE, None, TIME).await;
            frame.unwrap().head.0.pop().unwrap().1
        };
        fs::write(&forward, "otto\n").unwrap();
        let said = ask(&store).await;
        assert!(matches!(&said, Said::Expanded { members, .. } if members.len() == 1), "{said:?}");
        assert!(!maildir.exists(), "no copy here");
        fs::remove_file(&forward).unwrap();
        assert!(matches!(ask(&store).await, Said::Status(Status::Delivered(_))));
        assert_eq!(files(&maildir.join("new")).len(), 1);
        // It is confined now, and another process has to read what is new.
        fs::write(&forward, "otto\n").unwrap();
        assert_eq!(ask(&store).await, Said::Stale);
        let verbatim = Store { forward: Vec::new(), ..store };
        assert!(matches!(ask(&verbatim).await, Said::Status(Status::Delivered(_))));
        deliver.end();
    });
}
