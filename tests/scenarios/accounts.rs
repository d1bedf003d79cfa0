//! As on a real machine: started as root, each process with an account of its own, and users.

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::process::Command;

use support::machine::{
    ALICE, BOB, CAROL, DAEMONS, LOG, MAIL, Machine, NOBODY, Process, as_user, program, set, until,
    write,
};
use support::{is_alive, skipped};

const MAILDIR: &str = "maildir:{home}/Maildir";

#[test]
fn every_process_is_somebody_else_and_only_the_supervisor_is_root() {
    let test = "accounts::every_process_is_somebody_else_and_only_the_supervisor_is_root";
    let Some(mut machine) = Machine::of(test) else { return };
    machine.configure(MAILDIR);
    machine.start();
    the_processes_are_who_they_should_be(&machine);
    mail_is_the_users_own(&machine);
    users_write_and_see_their_own(&machine);
    who_sends_as_another_is_named();
    who_is_trusted_says_where_mail_came_from();
    nobody_reads_what_is_not_his();
    a_kill_of_the_supervisor_leaves_nothing_behind(&mut machine);
    what_is_dropped_is_taken_up(&mut machine);
    commands_run_as_the_user(&mut machine);
    a_mailbox_is_the_users_and_of_the_group_mail(&mut machine);
    a_forward_and_what_it_names_are_the_users(&mut machine);
    a_port_is_not_for_everybody();
}

fn the_processes_are_who_they_should_be(machine: &Machine) {
    let processes = machine.processes();
    let find = |wanted: &str| processes.iter().find(|it| it.name == wanted).unwrap();
    let names = ["smtpd mx", "smtpd submission", "policyd", "qmgr", "remote", "local"];
    for (name, (account, id)) in names.into_iter().zip(DAEMONS) {
        let process = find(name);
        let id = id.to_string();
        for key in ["Uid", "Gid"] {
            assert_eq!(process.says(key), [&id; 4], "{name} is {account}, {key}");
        }
        assert_eq!(process.says("Groups"), [""; 0], "{name}");
        for key in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
            assert_eq!(process.says(key), ["0000000000000000"], "{name} {key}");
        }
    }
    assert_eq!(find("supervisor").says("Uid"), ["0"; 4]);
    assert_eq!(processes.len(), 1 + names.len());
    // What the kernel says of each of them, its open files too, for only root may look there.
    let mut status = Command::new(program("pennypost"));
    let output = as_user(0, status.args(["status", "--sandbox"]), "");
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{said}");
    assert!(said.ends_with("Every process is confined as it declared.\n"), "{said}");
}

fn mail_is_the_users_own(machine: &Machine) {
    for (user, uid) in [("alice", ALICE), ("bob", BOB)] {
        machine.send(&format!("{user}@local.test"), "to a maildir");
        let file = the_mail_of(user, "Subject: to a maildir\n");
        let about = fs::metadata(file).unwrap();
        assert_eq!((about.uid(), about.gid(), about.mode() & 0o777), (uid, uid, 0o600));
    }
    assert_eq!(roots(machine), ["supervisor"]);
}

/// The file of the message that contains `text`.
fn the_mail_of(user: &str, text: &str) -> String {
    let folder = format!("/home/{user}/Maildir/new");
    until(&format!("mail for {user}: {text}"), || {
        let mut entries = fs::read_dir(&folder).ok()?.map(|entry| entry.unwrap().path());
        let found = entries.find(|path| fs::read_to_string(path).unwrap().contains(text))?;
        Some(found.to_str().unwrap().to_owned())
    })
}

/// The processes of root.
fn roots(machine: &Machine) -> Vec<String> {
    let processes = machine.processes().into_iter();
    processes.filter(|it| it.says("Uid").contains(&"0")).map(|it| it.name).collect()
}

/// sendmail's X-Authentication-Warning.
fn who_sends_as_another_is_named() {
    let send = |uid: u32, claimed: &str, subject: &str| {
        let mut sendmail = Command::new(program("sendmail"));
        sendmail.args(["-i", "-f", claimed, "bob@local.test"]);
        let output = as_user(uid, &mut sendmail, &format!("Subject: {subject}\nTo: bob\n\nx\n"));
        assert!(output.status.success(), "{output:?}");
        fs::read_to_string(the_mail_of("bob", &format!("Subject: {subject}\n"))).unwrap()
    };
    let named = |user: &str, claimed: &str| {
        format!("\nX-Authentication-Warning: mta.test: {user} set sender to {claimed} using -f\n")
    };
    let mail = send(ALICE, "carol@local.test", "as carol");
    assert!(mail.contains(&named("alice", "carol@local.test")), "{mail}");
    assert!(mail.contains("\nTo: bob@mta.test\n"), "{mail}");
    let mail = send(ALICE, "alice+x@local.test", "as herself");
    assert!(!mail.contains("X-Authentication-Warning"), "{mail}");
    write("/etc/mail/trusted-users", "carol\n");
    let output = as_user(0, Command::new(program("pennypost")).arg("reload"), "");
    assert!(output.status.success(), "{output:?}");
    let mail = send(CAROL, "list-owner@far.test", "trusted");
    assert!(!mail.contains("X-Authentication-Warning"), "{mail}");
}

/// A content filter that passes mail on. Whatever it says, it is the user whom the kernel names: a client
/// that the access table refuses is refused nowhere but where it connects.
fn who_is_trusted_says_where_mail_came_from() {
    write("/etc/mail/access", "Connect:192.0.2.7\tREJECT\n");
    let output = as_user(0, Command::new(program("pennypost")).arg("reload"), "");
    assert!(output.status.success(), "{output:?}");
    let send = |uid: u32, tag: &str| {
        let mut sendmail = Command::new(program("sendmail"));
        sendmail.args(["-v", "-i", "-L", tag, "-pESMTPS:mx.far.test", "-oMa", "192.0.2.7"]);
        sendmail.args(["-oMt", "ann)\r\nX-Forged: yes", "bob@local.test"]);
        let output = as_user(uid, &mut sendmail, &format!("Subject: from {tag}\n\nx\n"));
        assert!(output.status.success(), "{output:?}");
        let mail = fs::read_to_string(the_mail_of("bob", &format!("Subject: from {tag}\n")));
        let logged = until("a line of the log", || {
            let log = fs::read_to_string(LOG).unwrap();
            log.lines().find(|line| line.contains(&format!(", tag={tag}"))).map(str::to_owned)
        });
        (mail.unwrap(), logged, String::from_utf8(output.stderr).unwrap())
    };
    let (mail, logged, said) = send(CAROL, "filter");
    let told = "\nReceived: from mx.far.test (annX-Forged:yes@[192.0.2.7])\n\t(from carol, uid 2003)\n\
                \tby mta.test (Pennypost) with ESMTPS\n\tid ";
    assert!(mail.contains(told) && !mail.contains("\nX-Forged"), "{mail}");
    let told = ", relay=carol@localhost, orig_client=mx.far.test [192.0.2.7], orig_proto=ESMTPS, \
                tag=filter";
    assert!(logged.ends_with(told) && logged.contains(", proto=ESMTP, "), "{logged}");
    assert_eq!(said, "");

    let (mail, logged, said) = send(ALICE, "alices");
    let told = "\nReceived: (from alice, uid 2001)\n\tby mta.test (Pennypost) with ESMTP\n\tid ";
    assert!(mail.contains(told) && !mail.contains("far.test"), "{mail}");
    assert!(logged.ends_with(", relay=alice@localhost, tag=alices"), "{logged}");
    let told = "sendmail: warning: alice is not in trusted-users: -oM and -p are ignored\n";
    assert_eq!(said, told);
}

fn users_write_and_see_their_own(machine: &Machine) {
    let mut sendmail = Command::new(program("sendmail"));
    sendmail.args(["-i", "bob@local.test", "dave@far.test"]);
    let output = as_user(ALICE, &mut sendmail, "Subject: from alice\n\nx\n");
    assert!(output.status.success(), "{output:?}");
    let mail = fs::read_to_string(the_mail_of("bob", "Subject: from alice\n")).unwrap();
    assert!(mail.starts_with("Return-Path: <alice@mta.test>\n"), "{mail}");
    let queue = |uid| {
        let output = as_user(uid, &mut Command::new(program("mailq")), "");
        assert!(output.status.success(), "{output:?}");
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(said.contains("only your own messages"), [ALICE, BOB].contains(&uid), "{said}");
        String::from_utf8(output.stdout).unwrap()
    };
    // She who wrote it, root, and an administrator by her group see it; he who got it does not.
    until("dave's message is queued", || queue(ALICE).contains("dave@far.test").then_some(()));
    for uid in [0, CAROL] {
        assert!(queue(uid).contains("dave@far.test"), "{uid}");
    }
    assert!(!queue(BOB).contains("far.test"));
    let act = |uid, word| {
        let mut command = Command::new(program("pennypost"));
        as_user(uid, command.args(["queue", word, "--to", "dave"]), "")
    };
    let held = String::from_utf8(act(BOB, "delete").stdout).unwrap();
    assert!(queue(0).contains("dave@far.test"), "{held}");
    assert_eq!(
        as_user(BOB, Command::new(program("pennypost")).arg("stop"), "").status.code(),
        Some(77)
    );
    assert_eq!(roots(machine), ["supervisor"]);
    assert!(act(CAROL, "delete").status.success());
    assert!(!queue(0).contains("far.test"));
}

/// Keys, the queue, the drop directory and other users' mail.
fn nobody_reads_what_is_not_his() {
    write("/etc/mail/key.pem", "secret\n");
    set("/etc/mail/key.pem", 0, 0, 0o600);
    let mail = the_mail_of("alice", "Subject: to a maildir\n");
    let queue = "/var/spool/pennypost/queue/queue.redb";
    let only = [("/etc/mail/key.pem", None), (queue, Some("_qmgr")), (&mail, Some("alice"))];
    let users = [("alice", ALICE), ("bob", BOB), ("carol", CAROL), ("nobody", NOBODY)];
    for (path, owner) in only {
        for (name, uid) in DAEMONS.into_iter().chain(users) {
            let readable =
                as_user(uid, Command::new("head").args(["-c1", path]), "").status.success();
            assert_eq!(readable, owner == Some(name), "{name} reads {path}");
        }
    }
    for (name, uid) in DAEMONS.into_iter().chain(users) {
        let listed = as_user(uid, Command::new("ls").arg("/var/spool/pennypost/drop"), "");
        assert_eq!(listed.status.success(), name == "_submit", "{name}");
        let path = format!("/var/spool/pennypost/queue/{name}");
        let written = as_user(uid, Command::new("touch").arg(&path), "").status.success();
        assert_eq!(written, name == "_qmgr", "{name}");
        let _ = fs::remove_file(path);
    }
}

fn a_kill_of_the_supervisor_leaves_nothing_behind(machine: &mut Machine) {
    for round in 0..3 {
        let subject = format!("round {round}");
        machine.send("alice@local.test", &subject);
        let before = machine.processes();
        machine.kill();
        // At once: what is left of the one before is waited for, and hinders nobody.
        machine.start();
        let is_there = |process: &&Process| is_alive(process.pid);
        until("its daemons are gone", || before.iter().find(is_there).is_none().then_some(()));
        the_mail_of("alice", &format!("Subject: {subject}\n"));
        let names = |processes: Vec<Process>| {
            let mut names: Vec<_> = processes.into_iter().map(|it| it.name).collect();
            names.retain(|name| name != "deliver");
            names.sort();
            names
        };
        assert_eq!(names(machine.processes()), names(before));
    }
}

/// Its owner is who looks at it for root, who without privileges could not.
fn the_queue_at_rest_is_shown_to_root_alone() {
    let list = |uid| as_user(uid, &mut Command::new(program("mailq")), "");
    let shown = list(0);
    assert!(shown.status.success(), "{shown:?}");
    assert!(String::from_utf8(shown.stdout).unwrap().contains("<dave@far.test>"));
    // She whose mail it is, and who is an administrator while the system runs.
    for uid in [ALICE, CAROL, NOBODY] {
        let refused = list(uid);
        assert_eq!((refused.status.code(), &*refused.stdout), (Some(69), &b""[..]), "{uid}");
        let said = String::from_utf8(refused.stderr).unwrap();
        assert!(said.contains("only root can list"), "{said}");
    }
}

fn what_is_dropped_is_taken_up(machine: &mut Machine) {
    let mut sendmail = Command::new(program("sendmail"));
    let message = "Subject: queued\n\nx\n";
    let output = as_user(ALICE, sendmail.args(["-i", "dave@far.test"]), message);
    assert!(output.status.success(), "{output:?}");
    machine.stop();
    the_queue_at_rest_is_shown_to_root_alone();
    let mut sendmail = Command::new(program("sendmail"));
    let message = "Subject: dropped\n\nx\n";
    let output = as_user(ALICE, sendmail.args(["-i", "bob@local.test"]), message);
    assert!(output.status.success(), "{output:?}");
    let drop = fs::read_dir("/var/spool/pennypost/drop").unwrap();
    let owners: Vec<u32> = drop.map(|entry| entry.unwrap().metadata().unwrap().uid()).collect();
    assert_eq!(owners, [ALICE]);
    machine.start();
    let mail = fs::read_to_string(the_mail_of("bob", "Subject: dropped\n")).unwrap();
    assert!(mail.starts_with("Return-Path: <alice@mta.test>\n"), "{mail}");
}

fn commands_run_as_the_user(machine: &mut Machine) {
    machine.stop();
    write(
        "/etc/mail/who",
        "#!/bin/sh\nid -u >who.tmp; id -G >>who.tmp; cat >/dev/null; mv who.tmp who\n",
    );
    set("/etc/mail/who", 0, 0, 0o755);
    machine.configure("command:/etc/mail/who");
    machine.start();
    machine.send("carol@local.test", "x");
    let told = until("the command has run", || fs::read_to_string("/home/carol/who").ok());
    // Supplementary groups are not set.
    assert_eq!(told, format!("{CAROL}\n{CAROL}\n"));
}

fn a_mailbox_is_the_users_and_of_the_group_mail(machine: &mut Machine) {
    machine.stop();
    machine.configure("mbox:/var/mail/{user}");
    machine.start();
    // Mail for root is never written by root.
    for (user, uid) in [("alice", ALICE), ("root", NOBODY)] {
        machine.send(&format!("{user}@local.test"), "to an mbox");
        let path = format!("/var/mail/{user}");
        let text =
            until(&path, || fs::read_to_string(&path).ok().filter(|text| text.ends_with("x\n\n")));
        assert!(text.starts_with("From c@example.org ") && text.contains("Subject: to an mbox\n"));
        let about = fs::metadata(path).unwrap();
        assert_eq!((about.uid(), about.gid()), (uid, MAIL));
    }
    assert_eq!(roots(machine), ["supervisor"]);
    machine.stop();
}

/// Mailboxes are of the group mail, and a process for them may read those of others: a program has no
/// such group, and no link leads a `.forward` there.
fn a_forward_and_what_it_names_are_the_users(machine: &mut Machine) {
    fs::create_dir("/etc/mail/smrsh").unwrap();
    let script = "#!/bin/sh\ncat >/dev/null; { id -u; id -G; } >\"$1.tmp\"; mv \"$1.tmp\" \"$1\"\n";
    write("/etc/mail/smrsh/who", script);
    set("/etc/mail/smrsh/who", 0, 0, 0o755);
    fs::create_dir("/run/told").unwrap();
    set("/run/told", 0, 0, 0o1777);
    write("/etc/shells", "/bin/sh\n");
    write("/etc/mail/aliases", "ask: |who /run/told/nobody\n");
    write("/home/alice/.forward", "\\alice, |who /run/told/alice, /home/alice/copy\n");
    set("/home/alice/.forward", ALICE, ALICE, 0o600);
    // Read as a list, it would name carol.
    let mailbox = fs::read_to_string("/var/mail/alice").unwrap();
    fs::write("/var/mail/alice", mailbox + "carol\n\n").unwrap();
    set("/var/mail/alice", ALICE, MAIL, 0o660);
    symlink("/var/mail/alice", "/home/bob/.forward").unwrap();
    machine.start();
    for user in ["alice", "bob", "ask"] {
        machine.send(&format!("{user}@local.test"), &format!("forwarded for {user}"));
    }
    for (name, id) in [("alice", ALICE), ("nobody", NOBODY)] {
        let told = until(name, || fs::read_to_string(format!("/run/told/{name}")).ok());
        assert_eq!(told, format!("{id}\n{id}\n"));
    }
    for path in ["/var/mail/alice", "/home/alice/copy", "/var/mail/bob"] {
        let has = |text: &String| text.contains("Subject: forwarded for ");
        until(path, || fs::read_to_string(path).ok().filter(has));
    }
    let copy = fs::metadata("/home/alice/copy").unwrap();
    assert_eq!((copy.uid(), copy.gid(), copy.mode() & 0o777), (ALICE, ALICE, 0o600));
    assert_eq!(roots(machine), ["supervisor"]);
    machine.stop();
    assert!(!fs::exists("/var/mail/carol").unwrap(), "a link led to another's mailbox");
}

fn a_port_is_not_for_everybody() {
    let first = fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start").unwrap();
    if first.trim().parse::<u16>().unwrap() <= 1 {
        return skipped("this machine lets everybody listen on every port");
    }
    let root = "/home/alice/root";
    for folder in [root, "/home/alice/root/etc", "/home/alice/root/etc/mail"] {
        fs::create_dir(folder).unwrap();
        set(folder, ALICE, ALICE, 0o755);
    }
    let listener = "[[listener]]\nrole = \"mx\"\naddress = [\"127.0.0.1:1\"]\n";
    let config = format!("hostname = \"mta.test\"\n{listener}");
    write("/home/alice/root/etc/mail/pennypost.toml", &config);
    let mut start = Command::new(program("pennypost"));
    let output = as_user(ALICE, start.args(["start", "--root", root]), "");
    assert_eq!(output.status.code(), Some(77), "{output:?}");
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("127.0.0.1:1: ") && said.contains("root"), "{said}");
    let output = as_user(ALICE, Command::new(program("pennypost")).arg("start"), "");
    assert_eq!(output.status.code(), Some(77), "{output:?}");
}
