//! Changed files come into force while mail flows, or change nothing.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Output;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Instant;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use support::{Client, PATIENCE, Sink, System, SystemBuilder, free_address};

const TEXT: &str = "Subject: x\n\nx\n";

/// How a file is changed.
#[derive(Debug, Clone, Copy)]
enum Way {
    /// A new file is put in its place.
    Rename,
    InPlace,
}

fn write(system: &System, name: &str, text: &str, way: Way) {
    let path = system.path("etc/mail").join(name);
    match way {
        Way::InPlace => {
            // Never empty in between: on a busy machine that may be for so long that it counts.
            let mut file = File::options().write(true).open(path).unwrap();
            file.write_all(text.as_bytes()).unwrap();
            file.set_len(text.len() as u64).unwrap();
        }
        Way::Rename => {
            let new = system.path("etc/mail/new~");
            fs::write(&new, text).unwrap();
            fs::rename(new, path).unwrap();
        }
    }
}

/// Replaces a part of `pennypost.toml`.
fn edit(system: &System, from: &str, to: &str) {
    let text = fs::read_to_string(system.path("etc/mail/pennypost.toml")).unwrap();
    assert!(text.contains(from), "{from} is not in {text}");
    write(system, "pennypost.toml", &text.replace(from, to), Way::Rename);
}

fn pennypost(system: &System, command: &str) -> Output {
    system.command("pennypost").arg(command).output().unwrap()
}

/// Reloads, which must succeed; says what changed.
fn reload(system: &System) -> String {
    let output = pennypost(system, "reload");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// Reloads, which must be refused; says why.
fn refused(system: &System) -> String {
    let output = pennypost(system, "reload");
    assert_eq!(output.status.code(), Some(78), "{output:?}");
    String::from_utf8(output.stderr).unwrap()
}

fn status(system: &System) -> String {
    String::from_utf8(pennypost(system, "status").stdout).unwrap()
}

/// The reply to a recipient, in a transaction of its own.
fn rcpt(client: &mut Client, to: &str) -> String {
    client.command("MAIL FROM:<c@example.org>", "250");
    let reply = client.command(&format!("RCPT TO:<{to}>"), "");
    client.command("RSET", "250");
    reply
}

fn wait_status(system: &System, wanted: impl Fn(&str) -> bool) {
    let end = Instant::now() + PATIENCE;
    loop {
        let status = status(system);
        if wanted(&status) {
            return;
        }
        assert!(Instant::now() < end, "{status}");
    }
}

#[test]
fn tables_change_by_themselves_and_sessions_go_on() {
    let system = SystemBuilder::new().start();
    let before = system.daemons();
    let mut client = system.session();
    assert!(rcpt(&mut client, "carol@local.test").starts_with("550 5.1.1"));
    let users = "alice:\nbob:\ncarol:\n";
    write(&system, "users", users, Way::Rename);
    system.wait_log(|line| line.contains("configuration 2 is in force: users changed"));
    client.transaction("c@example.org", &["carol@local.test"], TEXT);
    system.wait_mail("carol", 1);
    write(&system, "aliases", "team: alice, carol\n", Way::Rename);
    system.wait_log(|line| line.contains("configuration 3 is in force: aliases changed"));
    client.transaction("c@example.org", &["team@local.test"], TEXT);
    system.wait_mail("carol", 2);
    write(&system, "aliases", "team: bob\nbad line\n", Way::Rename);
    system.wait_log(|line| line.contains("configuration 4 is in force: aliases changed"));
    client.transaction("c@example.org", &["team@local.test"], TEXT);
    system.wait_mail("bob", 1);
    assert!(reload(&system).contains("aliases:2: "), "a bad line is skipped, and told");
    let log = system.log();
    let logged = log.iter().filter(|line| line.contains("aliases:2: "));
    assert_eq!(logged.count(), 1, "{log:#?}");
    fs::remove_file(system.path("etc/mail/aliases")).unwrap();
    system.wait_log(|line| line.contains("configuration 5 is in force: aliases changed"));
    assert!(rcpt(&mut client, "team@local.test").starts_with("550 5.1.1"));
    // Other files are nobody's business, and the same text is no change.
    write(&system, "users", users, Way::InPlace);
    write(&system, "notes", "x", Way::Rename);
    assert!(reload(&system).contains("configuration 5 is in force, "));
    let after = system.daemons();
    assert!(before.iter().all(|daemon| after.contains(daemon)), "nobody was replaced: {after:?}");
}

#[test]
fn queued_mail_follows_corrected_tables() {
    let closed = Sink::scripted(|line| line.starts_with("MAIL").then(|| "451 4.3.2 closed".into()));
    let sink = Sink::start();
    let by = |sink: &Sink| {
        format!("far.test\tesmtp:[{}]:{}\n", sink.address().ip(), sink.address().port())
    };
    let system = SystemBuilder::new()
        .table("mailertable", &by(&closed))
        .config("[queue]\nfirst_retry = \"1s\"\nmax_retry = \"1s\"\n")
        .start();
    system.session().transaction("c@example.org", &["dave@far.test"], TEXT);
    system.wait_log(|line| line.contains("stat=Deferred") && line.contains("closed"));
    write(&system, "mailertable", &by(&sink), Way::InPlace);
    sink.wait(|received| received.len() == 1);
}

#[test]
fn a_bad_file_changes_nothing_and_the_answer_says_where() {
    let system = SystemBuilder::new().start();
    let good = fs::read_to_string(system.path("etc/mail/pennypost.toml")).unwrap();
    let bad = format!("hostnam = 1\n{good}");
    write(&system, "pennypost.toml", &bad, Way::InPlace);
    system.wait_log(|line| line.contains("pennypost.toml:1:1"));
    let why = refused(&system);
    for part in ["unknown key `hostnam`", "pennypost.toml:1:1", "did you mean `hostname`?"] {
        assert!(why.contains(part), "{why}");
    }
    let shown = status(&system);
    assert!(shown.contains("NOT in force") && shown.contains("pennypost.toml:1:1"), "{shown}");
    write(&system, "pennypost.toml", &good, Way::InPlace);
    assert!(reload(&system).contains("configuration 1 is in force, "));
    assert!(!status(&system).contains("NOT in force"));

    let lines = "closed.test error:5.1.6:550 moved\nfar.test procmail:/x\n";
    write(&system, "mailertable", lines, Way::Rename);
    assert!(refused(&system).contains("etc/mail/mailertable:2: "));
    assert!(rcpt(&mut system.session(), "x@closed.test").starts_with("250"));
    fs::remove_file(system.path("etc/mail/mailertable")).unwrap();
    fs::create_dir(system.path("etc/mail/aliases")).unwrap();
    assert!(refused(&system).contains("aliases:1: cannot be read"));
    fs::remove_dir(system.path("etc/mail/aliases")).unwrap();

    // All tables at once, for a moment.
    fs::rename(system.path("etc/mail"), system.path("etc/away")).unwrap();
    assert!(refused(&system).contains("there is no configuration file"));
    system.session().transaction("c@example.org", &["alice@local.test"], TEXT);
    fs::rename(system.path("etc/away"), system.path("etc/mail")).unwrap();
    assert!(reload(&system).contains("configuration 1 is in force, "));

    edit(&system, "[log]", "[tables]\ndirectory = \"/none\"\n\n[log]");
    assert!(refused(&system).contains("there is no such directory"));
    write(&system, "pennypost.toml", &good, Way::Rename);
    edit(&system, "target = \"stderr\"", "target = \"journal\"");
    assert!(refused(&system).contains("[log]: this needs a restart"));
    write(&system, "pennypost.toml", &good, Way::Rename);
    assert!(reload(&system).contains("configuration 1 is in force, "));
    system.session().transaction("c@example.org", &["alice@local.test"], TEXT);
    system.wait_mail("alice", 2);
}

#[test]
fn tables_may_move_and_are_watched_there() {
    let system = SystemBuilder::new().start();
    fs::create_dir(system.path("tables")).unwrap();
    fs::write(system.path("tables/users"), "dora:\n").unwrap();
    fs::write(system.path("tables/local-host-names"), "local.test\n").unwrap();
    edit(&system, "[log]", "[tables]\ndirectory = \"/tables\"\n\n[log]");
    // With the tables goes the directory of programs.
    system.wait_log(|line| line.contains("configuration 2 is in force: [tables], [local], users"));
    let mut client = system.session();
    assert!(rcpt(&mut client, "alice@local.test").starts_with("550"));
    assert!(rcpt(&mut client, "dora@local.test").starts_with("250"));
    fs::write(system.path("tables/users"), "alice:\n").unwrap();
    system.wait_log(|line| line.contains("configuration 3 is in force: users"));
    assert!(rcpt(&mut client, "alice@local.test").starts_with("250"));
}

#[test]
fn listeners_come_and_go_and_sessions_stay() {
    let system = SystemBuilder::new().start();
    let old = system.smtp();
    let new = free_address();
    let mut early = Client::connect(old);
    assert!(early.command("EHLO client.test", "250").contains("SIZE 50000000"));
    edit(&system, &format!("[\"{old}\"]"), &format!("[\"{old}\", \"{new}\"]"));
    edit(&system, "[log]", "[limits]\nmessage_size = \"100KB\"\n\n[log]");
    assert!(reload(&system).contains("is in force"));
    for address in [old, new] {
        let greeting = Client::connect(address).command("EHLO client.test", "250");
        assert!(greeting.contains("SIZE 100000"), "{greeting}");
    }
    // It began with another limit, and ends with it.
    assert!(status(&system).contains("smtpd(mx) (retired)"), "{}", status(&system));
    let long = format!("Subject: long\n\n{}", "0123456789abcde\n".repeat(20_000));
    early.transaction("c@example.org", &["alice@local.test"], &long);
    system.wait_mail("alice", 1);

    edit(&system, &format!("[\"{old}\", \"{new}\"]"), &format!("[\"{new}\"]"));
    assert!(reload(&system).contains("[[listener]] changed"));
    // The socket is closed once the process that had it has let it go.
    let end = Instant::now() + PATIENCE;
    while Client::dial(old).is_ok() {
        assert!(Instant::now() < end, "{old} is still open");
    }
    let holder = std::net::TcpListener::bind(old).unwrap();
    edit(&system, &format!("[\"{new}\"]"), &format!("[\"{new}\", \"{old}\"]"));
    let why = refused(&system);
    let pid = format!("(pid {})", std::process::id());
    assert!(why.contains(&format!("cannot listen on {old}")) && why.contains(&pid), "{why}");
    Client::connect(new).command("QUIT", "221");
    drop(holder);
    reload(&system);
    Client::connect(old).command("QUIT", "221");

    early.transaction("c@example.org", &["alice@local.test"], TEXT);
    early.command("QUIT", "221");
    wait_status(&system, |status| !status.contains("retired"));
}

/// Also those whose successors have taken over are ended with the others.
#[test]
fn retired_processes_leave_with_the_house() {
    let mut system = SystemBuilder::new().start();
    let mut early = system.session();
    edit(&system, "[log]", "[limits]\nrecipients = 500\n\n[log]");
    reload(&system);
    let smtpds =
        |system: &System| system.daemons().iter().filter(|(name, _)| name == "smtpd mx").count();
    assert_eq!(smtpds(&system), 2);
    // Whoever is asked by both has an edge to both when it is there again.
    for name in ["policyd", "qmgr"] {
        system.kill_daemon(name);
        for session in [&mut early, &mut system.session()] {
            session.transaction("c@example.org", &["alice@local.test"], TEXT);
        }
    }
    system.kill();
    system.start();
    let mut early = system.session();
    edit(&system, "recipients = 500", "recipients = 600");
    reload(&system);
    assert_eq!(smtpds(&system), 2);
    let talker = thread::spawn(move || early.expect("421"));
    system.stop();
    talker.join().unwrap();
}

#[test]
fn sighup_reloads_too() {
    let system = SystemBuilder::new().start();
    // Of a chain of links the last directory is watched, and the first.
    fs::create_dir(system.path("links")).unwrap();
    fs::write(system.path("one"), "alice:\nbob:\n").unwrap();
    fs::write(system.path("two"), "alice:\nbob:\nerin:\n").unwrap();
    symlink(system.path("one"), system.path("links/users")).unwrap();
    symlink(system.path("links/users"), system.path("etc/mail/new~")).unwrap();
    fs::rename(system.path("etc/mail/new~"), system.path("etc/mail/users")).unwrap();
    let before = reload(&system);
    fs::remove_file(system.path("links/users")).unwrap();
    symlink(system.path("two"), system.path("links/users")).unwrap();
    assert!(rcpt(&mut system.session(), "erin@local.test").starts_with("550"), "{before}");
    kill(Pid::from_raw(system.pid().cast_signed()), Signal::SIGHUP).unwrap();
    system.wait_log(|line| line.contains("configuration 2 is in force: users changed"));
    system.session().transaction("c@example.org", &["erin@local.test"], TEXT);
    system.wait_mail("erin", 1);
}

#[test]
fn whoever_is_killed_during_a_reload_comes_back_whole() {
    let system = SystemBuilder::new().start();
    let names: Vec<_> = system.daemons().into_iter().map(|(name, _)| name).collect();
    for (round, name) in names.iter().enumerate() {
        let (user, hops) = (format!("user{round}"), 50 + round);
        write(&system, "users", &format!("alice:\nbob:\n{user}:\n"), Way::InPlace);
        edit(&system, "[log]", &format!("[limits]\nhops = {hops}\n\n[log]"));
        thread::scope(|scope| {
            scope.spawn(|| pennypost(&system, "reload"));
            scope.spawn(|| system.kill_daemon(name));
        });
        // Whatever came of it then.
        reload(&system);
        let mut client = system.session();
        client.transaction("c@example.org", &[&format!("{user}@local.test")], TEXT);
        system.wait_mail(&user, 1);
        edit(&system, &format!("[limits]\nhops = {hops}\n\n"), "");
    }
}

/// What the clients of the hundred reloads saw.
#[derive(Debug, Default)]
struct Seen {
    sent: usize,
    known: usize,
    unknown: usize,
}

/// One session after the other, with mail that stays and mail that leaves, and a recipient who
/// comes and goes.
fn talk(system: &System, over: &AtomicBool) -> Seen {
    let mut seen = Seen::default();
    while !over.load(Ordering::Relaxed) {
        let mut client = system.session();
        for _ in 0..5 {
            client.transaction("c@example.org", &["alice@local.test", "dave@far.test"], TEXT);
            seen.sent += 1;
            let reply = rcpt(&mut client, "carol@local.test");
            match reply.get(..9) {
                Some("250 2.1.5") => seen.known += 1,
                Some("550 5.1.1") => seen.unknown += 1,
                _ => panic!("{reply}"),
            }
        }
        client.command("QUIT", "221");
    }
    seen
}

/// Leaves files in the drop directory, as `sendmail` does when nobody answers.
fn drop_files(system: &System, over: &AtomicBool) -> usize {
    let folder = system.path("var/spool/pennypost/drop");
    let mut count = 0;
    while !over.load(Ordering::Relaxed) {
        let text = format!(
            "MAIL FROM:<bob> BODY=8BITMIME\r\nRCPT TO:<bob>\r\nDATA\r\nSubject: {count}\r\n\r\n.\r\n"
        );
        drop_file(&folder, count, &text);
        count += 1;
        system.wait_mail("bob", count);
    }
    count
}

fn drop_file(folder: &Path, number: usize, text: &str) {
    let temporary = folder.join(format!("tmp.{number}"));
    fs::write(&temporary, text).unwrap();
    fs::rename(temporary, folder.join(format!("{number}"))).unwrap();
}

/// Tables and configuration change in turn, each in both ways.
fn reload_a_hundred_times(system: &System) {
    for round in 0..100 {
        let way = if round % 3 == 0 { Way::InPlace } else { Way::Rename };
        if round % 4 == 3 {
            let (old, new) = (200 + round - 4, 200 + round);
            edit(system, &format!("recipients = {old}"), &format!("recipients = {new}"));
        } else {
            let users = if round % 2 == 0 { "alice:\nbob:\ncarol:\n" } else { "alice:\nbob:\n" };
            write(system, "users", users, way);
        }
        let answer = reload(system);
        assert!(answer.contains("is in force"), "{answer}");
    }
}

#[test]
fn a_hundred_reloads_under_load_lose_nothing() {
    let sink = Sink::start();
    let system = SystemBuilder::new()
        .smarthost(sink.address())
        .config("[limits]\nrecipients = 199\n")
        .start();
    let over = AtomicBool::new(false);
    let (seen, dropped) = thread::scope(|scope| {
        let talkers: Vec<_> = (0..4).map(|_| scope.spawn(|| talk(&system, &over))).collect();
        let dropper = scope.spawn(|| drop_files(&system, &over));
        // Also when this fails.
        let reloads = scope.spawn(|| reload_a_hundred_times(&system)).join();
        over.store(true, Ordering::Relaxed);
        let seen: Vec<_> = talkers.into_iter().map(|talker| talker.join().unwrap()).collect();
        reloads.unwrap();
        (seen, dropper.join().unwrap())
    });
    let sum = |of: fn(&Seen) -> usize| seen.iter().map(of).sum::<usize>();
    let (sent, known, unknown) = (sum(|it| it.sent), sum(|it| it.known), sum(|it| it.unknown));
    println!(
        "100 reloads: {sent} messages to two recipients, {dropped} dropped files, a user who was there \
         {known} times and {unknown} times not"
    );
    system.wait_mail("alice", sent);
    sink.wait(|received| received.len() >= sent);
    assert!(known > 0 && unknown > 0);
    // No file was taken twice, by a process and its successor.
    let mut subjects: BTreeMap<String, usize> = BTreeMap::new();
    for mail in system.mail("bob") {
        let subject = mail.lines().find(|line| line.starts_with("Subject: ")).unwrap();
        *subjects.entry(subject.to_owned()).or_default() += 1;
    }
    assert!(
        subjects.len() == dropped && subjects.values().all(|count| *count == 1),
        "{subjects:?}"
    );
}
