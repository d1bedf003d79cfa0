//! The commands that sendmail has beside `sendmail`, on a running system and without one.

use std::process::Output;

use support::{Sink, System, SystemBuilder, run};

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn ours(system: &System, command: &str, arguments: &[&str]) -> Output {
    system.command(command).args(arguments).output().unwrap()
}

#[test]
fn newaliases_ends_when_the_new_table_is_in_force() {
    let mut system = SystemBuilder::new().start();
    let table = system.path("etc/mail/aliases");
    for round in 0..5 {
        let line = format!("round{round}: alice, bob\n");
        std::fs::write(&table, &line).unwrap();
        let output = ours(&system, "newaliases", &[]);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        let said = "aliases: 1 aliases, longest 10 bytes, 16 bytes total\n";
        assert!(text(&output.stdout).ends_with(said), "{output:?}");
        let recipient = format!("round{round}@local.test");
        system.session().transaction("carol@example.org", &[&recipient], "Subject: x\n\nx\n");
    }
    system.wait_mail("bob", 5);
    std::fs::write(&table, "good: alice\nno colon\n").unwrap();
    let output = ours(&system, "newaliases", &[]);
    assert_eq!(output.status.code(), Some(78), "{output:?}");
    assert!(text(&output.stderr).contains("aliases:2: "), "{output:?}");
    system.session().transaction("carol@example.org", &["good@local.test"], "Subject: x\n\nx\n");
    assert_eq!(text(&ours(&system, "praliases", &["good"]).stdout), "good:alice\n");
    std::fs::write(&table, "good: bob\n").unwrap();
    system.stop();
    let output = ours(&system, "newaliases", &[]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(text(&output.stderr).contains("does not run"), "{output:?}");
}

/// `sendmail -bv` and `pennypost route` say where mail then goes.
#[test]
fn the_way_that_is_shown_is_the_way_that_is_gone() {
    let sink = Sink::start();
    let aliases = "team: alice, dave@far.test\ngone: nobody-here\n";
    let mailertable = format!("far.test\tesmtp:[127.0.0.1]:{}\n", sink.address().port());
    let system =
        SystemBuilder::new().table("aliases", aliases).table("mailertable", &mailertable).start();
    let output = ours(&system, "sendmail", &["-bv", "team@local.test"]);
    let port = sink.address().port();
    let expected = format!(
        "alice... deliverable: mailer local, user alice\n\
         dave@far.test... deliverable: mailer esmtp, host [127.0.0.1]:{port}, user dave@far.test\n"
    );
    assert_eq!((text(&output.stdout), output.status.code()), (expected, Some(0)));
    let route = ours(&system, "pennypost", &["route", "team@local.test"]);
    assert!(text(&route.stdout).contains("\n  aliases:1: "), "{route:?}");
    assert_eq!(ours(&system, "sendmail", &["-bv", "gone"]).status.code(), Some(67));
    assert_eq!(ours(&system, "pennypost", &["route", "gone"]).status.code(), Some(67));
    let test = run(system.command("sendmail").arg("-bt"), "3,0 dave@far.test\n");
    let triple = format!("$# esmtp $@ [ 127 . 0 . 0 . 1 ] : {port} $: dave < @ far . test . >");
    assert!(text(&test.stdout).contains(&triple), "{test:?}");
    let identity = ours(&system, "sendmail", &["-d0.1", "-bv", "alice"]);
    assert!(text(&identity.stdout).contains("(canonical domain name) $j = mta.test\n"));

    system.session().transaction("alice@local.test", &["team@local.test"], "Subject: x\n\nx\n");
    system.wait_mail("alice", 1);
    let received = sink.wait(|received| !received.is_empty());
    assert!(received[0].rcpt[0].contains("dave@far.test"), "{received:?}");
}

/// What a Makefile in /etc/mail does.
#[test]
fn makemap_satisfies_make() {
    let system = SystemBuilder::new().start();
    let folder = system.path("etc/mail");
    std::fs::write(folder.join("mailertable"), "far.test\tesmtp:[192.0.2.1]\n").unwrap();
    let map = folder.join("mailertable");
    let map = map.to_str().unwrap();
    let made = |input: &str| run(system.command("makemap").args(["hash", map]), input);
    let read = || std::fs::read_to_string(map).unwrap();
    let output = made(&read());
    assert!(output.status.success(), "{output:?}");
    assert!(text(&output.stderr).contains("reads the text"), "{output:?}");
    let newer = |a: &str, b: &str| {
        let time = |name| std::fs::metadata(folder.join(name)).unwrap().modified().unwrap();
        time(a) >= time(b)
    };
    assert!(newer("mailertable.db", "mailertable"));
    let dump = ours(&system, "makemap", &["-u", "hash", map]);
    assert_eq!(text(&dump.stdout), "far.test\tesmtp:[192.0.2.1]\n");
    let update = ["-u", "hash", map, "near.test", "esmtp:[192.0.2.2]"];
    assert!(ours(&system, "editmap", &update).status.success());
    let way = ours(&system, "sendmail", &["-bv", "x@near.test"]);
    assert!(text(&way.stdout).contains("host [192.0.2.2], user"), "{way:?}");
    // makemap has no objection to this text, but as a mailertable it is wrong.
    std::fs::write(map, "a..b\tesmtp:[192.0.2.1]\n").unwrap();
    let output = made(&read());
    assert_eq!(output.status.code(), Some(65), "{output:?}");
    assert!(text(&output.stderr).contains("mailertable:1: "), "{output:?}");
}

/// sendmail-compat §5.6 under faults: the caller learns what became of the message.
#[test]
fn exit_codes_under_faults() {
    let mut system = SystemBuilder::new().start();
    for options in [&["-oep"][..], &["-odi"], &["-odq"], &["-odb"], &["-oeq"]] {
        let output = system.sendmail(&[options, &["nobody-here@local.test"]].concat(), "x\n");
        assert_eq!(output.status.code(), Some(67), "{options:?}: {output:?}");
        let silent = options.contains(&"-oeq");
        assert_eq!(output.stderr.is_empty(), silent, "{options:?}: {output:?}");
        let output = system.sendmail(&[options, &["alice@local.test"]].concat(), "x\n");
        assert_eq!(output.status.code(), Some(0), "{options:?}: {output:?}");
    }
    for wrong in [&["-z", "alice"][..], &["-N", "x", "alice"], &["-bv"], &["-q!f"], &["-Q."]] {
        assert_eq!(system.sendmail(wrong, "x\n").status.code(), Some(64), "{wrong:?}");
    }
    system.stop();
    assert_eq!(ours(&system, "mailq", &[]).status.code(), Some(0));
    assert_eq!(ours(&system, "sendmail", &["-q"]).status.code(), Some(69));
    let smtp = system.sendmail(&["-bs"], "EHLO x\r\nQUIT\r\n");
    assert_eq!(smtp.status.code(), Some(75), "{smtp:?}");
    assert!(text(&smtp.stdout).starts_with("421 "), "{smtp:?}");

    // Without the drop directory nobody can take the message: its author gets it back.
    let drop = system.path("var/spool/pennypost/drop");
    std::fs::rename(&drop, drop.with_file_name("away")).unwrap();
    std::fs::create_dir_all(system.path("home/alice")).unwrap();
    let send = |options: &[&str]| {
        let mut command = system.command("sendmail");
        run(command.env("LOGNAME", "alice").args(options), "Subject: kept\n\nx\n")
    };
    let output = send(&["bob@local.test"]);
    assert_eq!(output.status.code(), Some(75), "{output:?}");
    assert!(text(&output.stderr).contains("dead.letter"), "{output:?}");
    let letter = std::fs::read_to_string(system.path("home/alice/dead.letter")).unwrap();
    assert!(letter.contains("Subject: kept\n"), "{letter}");
    let output = send(&["-oeq", "bob@local.test"]);
    assert_eq!(output.status.code(), Some(75), "{output:?}");
    let again = std::fs::read_to_string(system.path("home/alice/dead.letter")).unwrap();
    assert_eq!(again, letter);
}

/// `-q[!]I`, `-q[!]R`, `-q[!]S`, `-q[!]Q`, alone and together.
#[test]
fn queue_runs_select() {
    let sink = Sink::scripted(|line| line.starts_with("MAIL").then(|| "451 4.3.2 no".to_owned()));
    let system = SystemBuilder::new().smarthost(sink.address()).start();
    for (from, to) in [("ann@x.test", "dave@far.test"), ("ben@x.test", "erin@far.test")] {
        system.session().transaction(from, &[to], "Subject: x\n\nx\n");
    }
    let deferred =
        |log: &[String]| log.iter().filter(|line| line.contains("stat=Deferred")).count();
    system.wait_logs(|log| (deferred(log) >= 2).then_some(()));
    let listed = |selection: &[&str]| {
        let output = ours(&system, "mailq", selection);
        assert!(output.status.success(), "{output:?}");
        let listing = text(&output.stdout);
        ["ann@", "ben@"].map(|name| listing.contains(name))
    };
    assert_eq!(listed(&[]), [true, true]);
    assert_eq!(listed(&["-qRDAVE"]), [true, false]);
    assert_eq!(listed(&["-q!RDAVE"]), [false, true]);
    assert_eq!(listed(&["-qSben@"]), [false, true]);
    assert_eq!(listed(&["-q!Sben@", "-qRfar.test"]), [true, false]);
    assert_eq!(listed(&["-q!Sben@", "-q!Rdave"]), [false, false]);
    assert_eq!(listed(&["-qL"]), [false, false]);
    let json = text(&ours(&system, "mailq", &["--json", "-qSann@"]).stdout);
    let object: serde_json::Value = serde_json::from_str(json.trim()).unwrap();
    let id = object["queue_id"].as_str().unwrap();
    assert_eq!(listed(&[&format!("-q!I{id}")]), [false, true]);
    assert!(ours(&system, "sendmail", &["-Qspam", "-qSann@"]).status.success());
    assert_eq!(listed(&["-qQ"]), [true, false]);
    assert_eq!(listed(&["-q!Q"]), [false, true]);
}
