//! Who takes the place of a recipient: programs, files and lists of aliases, and a user's `.forward`.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use support::{Sink, System, SystemBuilder, skipped};

/// A script in the directory of programs.
fn script(system: &SystemBuilder, name: &str, text: &str) {
    let folder = system.path("etc/mail/smrsh");
    fs::create_dir_all(&folder).unwrap();
    let path = folder.join(name);
    fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
}

fn forward(home: &Path, text: &str) {
    fs::create_dir_all(home).unwrap();
    // Whole, as an editor does it.
    fs::write(home.join(".new"), text).unwrap();
    fs::set_permissions(home.join(".new"), Permissions::from_mode(0o644)).unwrap();
    fs::rename(home.join(".new"), home.join(".forward")).unwrap();
}

fn send(system: &System, to: &[&str], subject: &str) {
    let text = format!("Subject: {subject}\n\nx\n");
    system.session().transaction("carol@example.org", to, &text);
}

fn wait_delivered(system: &System, mailer: &str) {
    system.wait_log(|line| line.contains(mailer) && line.contains("stat=Sent"));
}

#[test]
fn aliases_name_programs_files_and_lists() {
    let builder = SystemBuilder::new().table(
        "aliases",
        "cmd: \"|/usr/local/bin/keep 'a b' c\"\nold: /var/old\nnone: /dev/null\n\
         list: :include:/etc/mail/list\nowner-list: bob\n",
    );
    let builder = builder.table("list", "# friends\nAlice A. <alice@local.test>, cmd\nno good\n");
    script(&builder, "keep", "cat >\"$HOME/got.$$\"; echo \"$1,$2\" >>\"$HOME/got.$$\"");
    fs::create_dir_all(builder.path("var")).unwrap();
    let system = builder.start();
    send(&system, &["cmd@local.test", "old@local.test", "none@local.test"], "one");
    for mailer in ["mailer=prog", "mailer=*file*,", "to=/dev/null, "] {
        wait_delivered(&system, mailer);
    }
    let old = fs::read_to_string(system.path("var/old")).unwrap();
    assert!(old.starts_with("From carol@example.org ") && old.contains("Subject: one"), "{old}");
    assert!(got(&system)[0].ends_with("\na b,c\n"), "{:?}", got(&system));
    // The list's members get it in the name of its owner; what is none is told in the log.
    send(&system, &["list@local.test"], "two");
    let mail = system.wait_mail("alice", 1).remove(0);
    assert!(mail.starts_with("Return-Path: <bob@"), "{mail}");
    system.wait_log(|line| line.contains("/list:3: ") && line.contains("to=<list@local.test>"));
    system.wait_logs(|_| (got(&system).len() == 2).then_some(()));
}

/// With the other recipient there are more than a message may have.
#[test]
fn a_list_that_is_too_long_waits_and_the_log_says_so() {
    let members: String = (0..10_000).map(|number| format!("u{number}@far.test\n")).collect();
    let builder = SystemBuilder::new().table("aliases", "list: :include:/etc/mail/list\n");
    let system = builder.table("list", &members).start();
    send(&system, &["bob@local.test", "list@local.test"], "one");
    system.wait_log(|line| {
        let deferred = "dsn=4.2.4, ntries=1, stat=Deferred: the list is too long";
        line.contains("to=<list@local.test>") && line.contains(deferred)
    });
}

/// What `keep` has got.
fn got(system: &System) -> Vec<String> {
    let entries = fs::read_dir(system.path("")).unwrap().map(|entry| entry.unwrap().path());
    let files = entries.filter(|path| path.to_str().unwrap().contains("/got."));
    files.map(|path| fs::read_to_string(path).unwrap()).collect()
}

#[test]
fn a_forward_holds_from_the_next_message_on() {
    let sink = Sink::scripted(|_| None);
    let builder = SystemBuilder::new().smarthost(sink.address());
    let home = builder.path("home/alice");
    script(&builder, "note", "grep ^Subject: >>\"$HOME/notes\"");
    let system = builder.start();
    send(&system, &["alice@local.test"], "one");
    system.wait_mail("alice", 1);
    // The process that has just stored one is there yet, and may not read this.
    forward(&home, "\\alice, bob\n\"|note\"\ndave@far.test\n");
    send(&system, &["alice@local.test"], "two");
    system.wait_mail("alice", 2);
    assert!(system.wait_mail("bob", 1)[0].contains("Subject: two"));
    let received = sink.wait(|received| received.len() == 1);
    assert!(received[0].mail.contains("FROM:<carol@example.org>"), "{received:?}");
    wait_delivered(&system, "to=\"|note\", ");
    assert_eq!(fs::read_to_string(home.join("notes")).unwrap(), "Subject: two\n");
    fs::remove_file(home.join(".forward")).unwrap();
    send(&system, &["alice@local.test"], "three");
    system.wait_mail("alice", 3);
    // Others may write to it: not followed, and told.
    forward(&home, "bob\n");
    fs::set_permissions(home.join(".forward"), Permissions::from_mode(0o666)).unwrap();
    send(&system, &["alice@local.test"], "four");
    system.wait_mail("alice", 4);
    system.wait_log(|line| line.contains(".forward: others may write to it, so it is not"));
    assert_eq!(system.mail("bob").len(), 1);
}

#[test]
fn procmail_in_a_forward_sorts_mail() {
    let Some(procmail) = ["/usr/bin/procmail"].iter().find(|path| Path::new(path).exists()) else {
        return skipped("no procmail");
    };
    let builder = SystemBuilder::new();
    let (folder, home) = (builder.path("etc/mail/smrsh"), builder.path("home/alice"));
    fs::create_dir_all(&folder).unwrap();
    symlink(procmail, folder.join("procmail")).unwrap();
    forward(&home, "\"|exec /usr/bin/procmail -m ./rc || exit 75 #alice\"\n");
    let rc = ":0\n* ^Subject: list\nlist/\n\n:0\ninbox/\n";
    fs::write(home.join("rc"), rc).unwrap();
    fs::set_permissions(home.join("rc"), Permissions::from_mode(0o644)).unwrap();
    let system = builder.start();
    for subject in ["list one", "other"] {
        send(&system, &["alice@local.test"], subject);
    }
    let count = |name: &str| fs::read_dir(home.join(name).join("new")).map_or(0, Iterator::count);
    system.wait_logs(|_| (count("list") == 1 && count("inbox") == 1).then_some(()));
}

#[test]
fn mail_for_unknown_users_goes_where_the_configuration_says() {
    let builder = SystemBuilder::new().replace("[local]\n", "[local]\ncatch_all = \"lost\"\n");
    let system = builder.table("aliases", "lost: bob\n").start();
    let mut client = system.session();
    client.command("MAIL FROM:<carol@example.org>", "250");
    client.command("RCPT TO:<nobody-here@local.test>", "250");
    client.command("RSET", "250");
    client.transaction("carol@example.org", &["nobody-here@local.test"], "Subject: x\n\nx\n");
    system.wait_mail("bob", 1);

    let sink = Sink::scripted(|_| None);
    let hub = format!("[local]\ncatch_all = \"relay:[127.0.0.1]:{}\"\n", sink.address().port());
    let system = SystemBuilder::new().replace("[local]\n", &hub).start();
    send(&system, &["nobody-here@local.test", "alice@local.test"], "x");
    let received = sink.wait(|received| received.len() == 1);
    assert!(received[0].rcpt.concat().contains("<nobody-here@local.test>"), "{received:?}");
    system.wait_mail("alice", 1);
}

#[test]
fn a_program_that_fails_bounces_alone_and_one_that_is_missing_waits() {
    let builder = SystemBuilder::new();
    let home = builder.path("home/bob");
    script(&builder, "full", "echo 'no room here'; exit 73");
    forward(&home, "\\bob, |full, |missing\n");
    let system = builder.start();
    system.session().transaction("alice@local.test", &["bob@local.test"], "Subject: x\n\nx\n");
    let bounce = system.wait_mail("alice", 1).remove(0);
    assert!(bounce.contains("no room here") && bounce.contains("Status: 5.0.0"), "{bounce}");
    assert!(!bounce.contains("missing"), "{bounce}");
    system.wait_mail("bob", 1);
    system.wait_log(|line| {
        let parts = ["to=\"|missing\", ", ", mailer=prog, ", ", dsn=4.3.5, ", "not available"];
        parts.iter().all(|part| line.contains(part))
    });
    assert_eq!(system.mail("bob").len(), 1);
}
