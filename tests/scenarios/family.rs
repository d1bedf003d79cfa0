//! `hoststat`, `purgestat`, `mailstats`, `smrsh`, and what `sendmail` does with the queue and with the
//! system.

use std::fs::{self, Permissions};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Output;
use std::time::Instant;

use support::{PATIENCE, Sink, System, SystemBuilder, run};

use crate::relay::dns::Dns;

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn ours(system: &System, command: &str, arguments: &[&str]) -> Output {
    system.command(command).args(arguments).output().unwrap()
}

/// What it says, if it ends well.
fn said(system: &System, command: &str, arguments: &[&str]) -> String {
    let output = ours(system, command, arguments);
    assert!(output.status.success(), "{command} {arguments:?}: {output:?}");
    text(&output.stdout)
}

/// Asks until the answer is the one that is to come.
fn until(
    system: &System,
    command: &str,
    arguments: &[&str],
    fits: impl Fn(&str) -> bool,
) -> String {
    let end = Instant::now() + PATIENCE;
    loop {
        let answer = said(system, command, arguments);
        if fits(&answer) {
            return answer;
        }
        assert!(Instant::now() < end, "{command} {arguments:?}: {answer}");
        std::thread::yield_now();
    }
}

/// Hosts that take all mail, that are busy, that know nobody, and where nobody answers.
fn world() -> (System, Sink) {
    let good = Sink::start();
    let busy = Sink::scripted(|line| line.starts_with("MAIL").then(|| "451 4.3.2 busy".to_owned()));
    let lone = Sink::scripted(|line| line.starts_with("RCPT").then(|| "550 5.1.1 who?".to_owned()));
    let port = |sink: &Sink| sink.address().port();
    let (good_port, busy_port, lone_port) = (port(&good), port(&busy), port(&lone));
    // Bound and not listening for long enough to have a number of its own.
    let dead = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let table = format!(
        "good.test\tesmtp:[127.0.0.1]:{good_port}\nbusy.test\tesmtp:[127.0.0.1]:{busy_port}\n\
         lone.test\tesmtp:[127.0.0.1]:{lone_port}\ndead.test\tesmtp:[127.0.0.1]:{dead}\n"
    );
    (SystemBuilder::new().table("mailertable", &table).start(), good)
}

#[test]
fn next_hops_are_told_and_forgotten() {
    let (system, good) = world();
    assert_eq!(said(&system, "hoststat", &[]), "");
    for host in ["good", "busy", "dead"] {
        let to = format!("dave@{host}.test");
        system.session().transaction("alice@local.test", &[&to], "Subject: x\n\nx\n");
    }
    let table = until(&system, "hoststat", &["-v"], |table| table.lines().count() == 4);
    assert!(table.starts_with(" -------------- Hostname ---"), "{table}");
    let good = format!(" [127.0.0.1]:{}", good.address().port());
    let line = table.lines().find(|line| line.starts_with(&good)).expect(&table);
    assert!(line[40..].trim_start().starts_with("00:00:"), "{line}");
    assert!(line.contains(" 250 "), "{line}");
    for part in ["451 4.3.2 busy", "refused"] {
        assert!(table.contains(part), "{part}: {table}");
    }
    let json = said(&system, "pennypost", &["host", "--json"]);
    let dead = json.lines().find(|line| !line.contains("\"alone_until\":null")).expect(&json);
    let dead: serde_json::Value = serde_json::from_str(dead).unwrap();
    assert_eq!(said(&system, "purgestat", &[]), "", "nothing is that old");
    let forgotten = ["host", "forget", dead["name"].as_str().unwrap()];
    assert_eq!(said(&system, "pennypost", &forgotten), "forgotten: 1\n");
    assert_eq!(ours(&system, "pennypost", &forgotten).status.code(), Some(68));
    assert_eq!(said(&system, "sendmail", &["-bh"]).lines().count(), 3);
}

#[test]
fn mail_is_counted_by_mailer() {
    let (system, good) = world();
    let mut session = system.session();
    session.transaction(
        "x@example.org",
        &["dave@good.test", "erin@good.test"],
        "Subject: x\n\nx\n",
    );
    session.command("MAIL FROM:<x@example.org>", "250");
    session.command("RCPT TO:<nobody-here@local.test>", "550");
    session.command("QUIT", "221");
    assert!(system.sendmail(&["alice@local.test"], "Subject: x\n\nx\n").status.success());
    system.wait_mail("alice", 1);
    good.wait(|received| !received.is_empty());
    let counted = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    until(&system, "mailstats", &["-P"], |table| {
        let esmtp = table.lines().find(|line| line.ends_with("esmtp")).map(counted);
        esmtp.is_some_and(|esmtp| esmtp[1..5] == ["1", "1", "2", "2"])
    });
    // smtpd tells of refusals when it ends, too.
    let config = system.path("etc/mail/pennypost.toml");
    let changed = fs::read_to_string(&config).unwrap() + "\n[limits]\nhops = 77\n";
    fs::write(&config, changed).unwrap();
    said(&system, "pennypost", &["reload"]);
    let table = until(&system, "mailstats", &[], |table| {
        table.lines().any(|line| line.ends_with("esmtp") && counted(line)[5] == "1")
    });
    assert!(table.starts_with("Statistics from "), "{table}");
    let local = table.lines().find(|line| line.ends_with("local")).expect(&table);
    assert_eq!(counted(local)[..5], ["3", "1", "1K", "1", "1K"], "{table}");
    let before = said(&system, "mailstats", &["-p"]);
    assert!(before.contains(" esmtp\n"), "{before}");
    let after = said(&system, "mailstats", &["--json"]);
    assert_eq!(after.lines().count(), 1, "{after}");
}

/// sendmail -odi, -v and -X.
#[test]
fn who_waits_learns_of_the_first_attempt() {
    let (system, _good) = world();
    for (to, code, words) in [
        ("dave@good.test", 0, "dave@good.test... Sent ("),
        ("bob@local.test", 0, "bob@local.test... Sent ("),
        ("dave@lone.test", 67, "dave@lone.test... 127.0.0.1: 550 5.1.1 who?"),
        // Queued: sendmail's finis() makes 75 a 0.
        ("dave@busy.test", 0, "dave@busy.test... Deferred: 127.0.0.1: 451 4.3.2 busy"),
        ("dave@dead.test", 0, "dave@dead.test... Deferred: "),
    ] {
        let record = system.path(to);
        let record = record.to_str().unwrap();
        let output = system.sendmail(&["-odi", "-v", "-X", record, to], "Subject: x\n\nx\n");
        assert_eq!(output.status.code(), Some(code), "{to}: {output:?}");
        assert!(text(&output.stdout).contains(words), "{to}: {output:?}");
        let record = fs::read_to_string(record).unwrap();
        for part in ["<<< 220 ", ">>> MAIL FROM:<", ">>> Subject: x", "<<< 250 "] {
            assert!(record.contains(part), "{part}: {record}");
        }
        let quiet = system.sendmail(&["-odi", to], "Subject: x\n\nx\n");
        assert_eq!(quiet.status.code(), Some(code), "{to}: {quiet:?}");
        assert_eq!(text(&quiet.stderr).contains("who?"), code == 67, "{quiet:?}");
        let cron = system.sendmail(&["-odi", "-oem", to], "Subject: x\n\nx\n");
        assert_eq!(cron.status.code(), Some(0), "{to}: {cron:?}");
    }
}

/// Our lines, the replies, and then the result.
#[test]
fn the_dialogue_of_an_attempt_is_shown() {
    let (system, _good) = world();
    let verbose = ["-odi", "-v", "-f", "a@one.test", "dave@lone.test"];
    let shown = text(&system.sendmail(&verbose, "Subject: x\n\nsecret\n").stdout);
    let (_, dialogue) = shown.split_once(" via esmtp...\n").expect(&shown);
    let size = |line: &str| line.split_once(" SIZE=").map_or(line, |(line, _)| line).to_owned();
    let dialogue: Vec<_> = dialogue.lines().map(size).collect();
    assert_eq!(dialogue.join("\n"), DIALOGUE);
    system.session().transaction("b@one.test", &["erin@busy.test"], "Subject: x\n\nx\n");
    until(&system, "mailq", &["-v"], |list| list.matches("Deferred: ").count() == 1);
    let run = said(&system, "sendmail", &["-qRerin@busy", "-v"]);
    let mut rest = run.as_str();
    for part in ["erin@busy.test... ", ">>> MAIL FROM:<b@one.test>", "451 4.3.2 busy"] {
        let after = rest.split_once(&format!(": {part}"));
        rest = after.unwrap_or_else(|| panic!("{part}: {run}")).1;
    }
    assert!(rest.contains(": erin@busy.test... Deferred: "), "{run}");
}

const DIALOGUE: &str = "\
220 sink.test
>>> EHLO mta.test
250-sink.test
250-PIPELINING
250-8BITMIME
250-SIZE
250-SMTPUTF8
250 ENHANCEDSTATUSCODES
>>> MAIL FROM:<a@one.test>
>>> RCPT TO:<dave@lone.test>
>>> DATA
250 2.1.0 ok
550 5.1.1 who?
354 go on
>>> .
250 2.0.0 kept
dave@lone.test... 127.0.0.1: 550 5.1.1 who?";

/// `-d8.11`: before anything is sent, in the address test mode, and in the attempts themselves.
#[test]
fn what_the_dns_says_is_shown_to_who_asks() {
    let busy = Sink::scripted(|line| line.starts_with("MAIL").then(|| "451 4.3.2 busy".to_owned()));
    let port = busy.address().port();
    let dns = Dns::start(
        "far.test MX 10 mx.far.test\nmx.far.test A 127.0.0.1\nalias.test CNAME far.test\n\
         broken.test SERVFAIL\n",
    );
    let system = SystemBuilder::new()
        .table("mailertable", &format!("far.test\tesmtp:mx.far.test:{port}\n"))
        .config(&format!("[remote]\nresolver = [\"{}\"]\nfamilies = \"ipv4\"\n", dns.address))
        .start();
    let to = ["x@alias.test", "x@nowhere.test", "x@broken.test", "alice@local.test"];
    let shown = said(&system, "sendmail", &[&["-d8.11", "-bv"][..], &to].concat());
    for part in [
        "dns: alias.test MX? 2 record(s)\ndns:   alias.test. 60 CNAME far.test.\n\
         dns:   far.test. 60 MX 10 mx.far.test.\ndns: mx.far.test A? 1 record(s)\n\
         dns:   mx.far.test. 60 A 127.0.0.1\ndns: tries mx.far.test [127.0.0.1]:25\n",
        "dns: nowhere.test MX? no such name (NXDOMAIN)\n\
         dns: no way: 5.1.2 nowhere.test: the DNS knows no such name\nx@broken.test... ",
        "dns: broken.test MX? no answer after ",
        "alice@local.test... deliverable: mailer local, user alice\n",
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    let file = system.path("debug");
    let to_file = ["-d8.11", "-D", file.to_str().unwrap(), "-bv", "x@nowhere.test"];
    assert!(!said(&system, "sendmail", &to_file).contains("dns: "));
    assert_eq!(fs::read_to_string(&file).unwrap().lines().count(), 2);
    let test = system.sendmail(&["-bt"], "/mx far.test\n-d8.11\n/mx far.test\n3,0 x@alias.test\n");
    let test = text(&test.stdout);
    assert_eq!(test.matches("dns: far.test MX? 1 record(s)\n").count(), 1, "{test}");
    assert!(test.contains("dns: tries mx.far.test [127.0.0.1]:25\n"), "{test}");

    let asked = "dns: mx.far.test A? 1 record(s)\n";
    let post = |options: &[&str]| {
        let to = format!("{}@far.test", options.concat().replace('-', "x").replace('.', ""));
        let output = system.sendmail(&[options, &[&to]].concat(), "Subject: x\n\nx\n");
        assert!(output.status.success(), "{output:?}");
        said(&system, "pennypost", &["host", "forget", &format!("mx.far.test:{port}")]);
        text(&output.stdout)
    };
    let both = post(&["-odi", "-v", "-d8.11"]);
    assert!(both.contains(asked) && both.contains("\n>>> MAIL FROM:<"), "{both}");
    let without = post(&["-odi", "-v"]);
    assert!(!without.contains("dns: ") && without.contains(">>> MAIL FROM:<"), "{without}");
    let only = post(&["-odi", "-d8.11"]);
    assert!(!only.contains(">>> "), "{only}");
    let run = said(&system, "sendmail", &["-q", "-v", "-d8.11"]);
    assert!(run.contains("451 4.3.2 busy"), "{run}");
}

#[test]
fn the_queue_is_run_held_and_sent_elsewhere() {
    let (system, good) = world();
    for (from, to) in [
        ("a@one.test", "dave@busy.test"),
        ("b@one.test", "erin@busy.test"),
        ("a@one.test", "frank@dead.test"),
    ] {
        system.session().transaction(from, &[to], "Subject: x\n\nx\n");
    }
    until(&system, "mailq", &["-v"], |list| list.matches("Deferred: ").count() == 3);
    let run = said(&system, "sendmail", &["-v", "-qRbusy"]);
    assert!(run.contains("Running /var/spool/mqueue/"), "{run}");
    assert_eq!(run.matches("(sequence 2 of 2)").count(), 1, "{run}");
    assert_eq!(
        run.matches("@busy.test... Deferred: 127.0.0.1: 451 4.3.2 busy").count(),
        2,
        "{run}"
    );
    said(&system, "sendmail", &["-qf"]);
    assert_eq!(said(&system, "sendmail", &["-bP"]), "/var/spool/mqueue: entries=3\n");
    let top = said(&system, "pennypost", &["queue", "top", "--by", "from", "--asc"]);
    assert_eq!(top.lines().last(), Some("2           2         <a@one.test>"), "{top}");

    said(&system, "sendmail", &["-Qtoo odd", "-qSb@"]);
    let held = said(&system, "mailq", &["-qQ"]);
    assert!(held.contains("QUARANTINE: too odd") && held.contains("erin"), "{held}");
    said(&system, "sendmail", &["-Q", "-qQ"]);
    assert!(!said(&system, "mailq", &[]).contains("QUARANTINE"));

    until(&system, "mailq", &[], |list| !list.contains("* "));
    let into = ["queue", "redirect", "--to", "frank", "--into", "frank@good.test"];
    assert_eq!(said(&system, "pennypost", &into), "redirect: 1 message\n");
    good.wait(|received| received.iter().any(|mail| mail.rcpt[0].contains("frank@good.test")));
    let by_reason = ["queue", "hold", "--reason", "(?i)BUSY$", "--dry-run"];
    assert_eq!(said(&system, "pennypost", &by_reason).lines().count(), 3, "two ids, and a line");
    let bounce = ["queue", "bounce", "--domain", "busy.test"];
    assert_eq!(said(&system, "pennypost", &bounce), "bounce: 2 messages\n");
    let left = said(&system, "mailq", &["-qRbusy"]);
    assert!(!left.contains("@busy.test"), "{left}");
}

#[test]
fn settings_and_starts() {
    let mut system = SystemBuilder::new().start();
    assert_eq!(said(&system, "sendmail", &["-bP"]), "/var/spool/mqueue is empty\n");
    let settings = ["-bP", "hostname", "queue.lifetime", "limits.hops"];
    assert_eq!(said(&system, "sendmail", &settings), "mta.test\n432000\n100\n");
    assert_eq!(ours(&system, "sendmail", &["-bP", "no.such"]).status.code(), Some(64));
    assert_eq!(said(&system, "sendmail", &["-bC"]), said(&system, "pennypost", &["check"]));
    assert_eq!(said(&system, "sendmail", &["-bd", "-q30m"]), "the mail system runs already\n");
    assert_eq!(said(&system, "makemap", &["-l"]), "hash\nbtree\ncdb\ndbm\nimplicit\n");
    let left = said(&system, "mailq", &["-Ac"]);
    assert_eq!(left, "/var/spool/clientmqueue is empty\n\t\tTotal requests: 0\n");
    let debug = system.path("debug");
    said(&system, "sendmail", &["-D", debug.to_str().unwrap(), "-d0.1", "-bv", "alice"]);
    assert!(fs::read_to_string(debug).unwrap().contains("SYSTEM IDENTITY"));
    system.stop();
    assert_eq!(ours(&system, "hoststat", &[]).status.code(), Some(69));
    assert_eq!(ours(&system, "mailstats", &[]).status.code(), Some(69));
    said(&system, "sendmail", &["-bd"]);
    assert!(said(&system, "pennypost", &["status"]).contains("qmgr"));
    said(&system, "pennypost", &["stop"]);
    let config = system.path("etc/mail/pennypost.toml");
    fs::write(&config, "hostname = 3\n").unwrap();
    assert_eq!(ours(&system, "sendmail", &["-bC"]).status.code(), Some(78));
    assert_eq!(ours(&system, "sendmail", &["-bd"]).status.code(), Some(78));
}

#[test]
fn smrsh_runs_what_is_in_its_directory() {
    let system = SystemBuilder::new().start();
    let folder = system.path("etc/mail/smrsh");
    fs::create_dir_all(&folder).unwrap();
    let program = folder.join("show");
    fs::write(&program, "#!/bin/sh\necho \"$1:$(env | grep -c .)\"\ncat\nexit 3\n").unwrap();
    fs::set_permissions(&program, Permissions::from_mode(0o755)).unwrap();
    let smrsh = |line: &str| run(system.command("smrsh").args(["-c", line]), "text");
    let output = smrsh("/opt/bin/show 'a b'");
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    // PATH, and what sh(1) itself adds.
    let first = text(&output.stdout).lines().next().unwrap().to_owned();
    let count: u32 = first.strip_prefix("a b:").expect(&first).parse().unwrap();
    assert!(count <= 4 && text(&output.stdout).ends_with("text"), "{output:?}");
    for (line, why) in [
        ("sh -c x", "smrsh: \"sh\" not available for sendmail programs (stat failed)"),
        ("show; sh", "smrsh: cannot use ; in command"),
        ("show `sh`", "smrsh: cannot use ` in command"),
    ] {
        let output = smrsh(line);
        assert_eq!(output.status.code(), Some(69), "{output:?}");
        assert_eq!(text(&output.stderr).trim_end(), why);
    }
    assert_eq!(ours(&system, "smrsh", &["show"]).status.code(), Some(64));
}
