//! What a caller of `sendmail` is told when something is wrong (sysexits(3), as sendmail has them),
//! and where the message is then.

use std::fs;
use std::process::{Command, Output};

use support::machine::{ALICE, Machine, as_user, mount, program, set, until, write};
use support::{System, SystemBuilder};

const LETTER: &str = "/home/alice/dead.letter";

/// Whatever the mode of delivery is, the mode of errors says who is told of an unknown user.
#[test]
fn the_error_mode_says_who_is_told() {
    let system = SystemBuilder::new().start();
    let mut bounces = 0;
    for delivery in ["-odb", "-odi", "-odq", "-odd"] {
        for (mode, code, printed, mailed) in [
            ("-oep", 67, true, false),
            ("-oeq", 67, false, false),
            ("-oem", 0, false, true),
            ("-oew", 0, false, true),
            ("-oee", 0, false, true),
        ] {
            let output = send(&system, &[delivery, mode, "nobody-here@local.test"]);
            assert_eq!(output.status.code(), Some(code), "{delivery} {mode}: {output:?}");
            assert_eq!(!output.stderr.is_empty(), printed, "{delivery} {mode}: {output:?}");
            bounces += usize::from(mailed);
            let mails = system.wait_mail("alice", bounces);
            assert_eq!(mails.len(), bounces, "{delivery} {mode}");
            // Who is known gets it in any mode.
            let output = send(&system, &[delivery, mode, "bob@local.test"]);
            assert_eq!(output.status.code(), Some(0), "{delivery} {mode}: {output:?}");
            assert!(output.stderr.is_empty(), "{delivery} {mode}: {output:?}");
        }
    }
    system.wait_mail("bob", 20);
    let bounce = system.wait_mail("alice", bounces).remove(0);
    assert!(
        bounce.contains("nobody-here@local.test") && bounce.contains("Subject: x\n"),
        "{bounce}"
    );
}

fn send(system: &System, arguments: &[&str]) -> Output {
    let mut command = system.command("sendmail");
    support::run(command.env("LOGNAME", "alice").args(arguments), "Subject: x\n\nx\n")
}

/// A whole machine, with users that are not root.
#[test]
fn disk_and_rights() {
    let Some(mut machine) = Machine::of("faults::disk_and_rights") else { return };
    machine.configure("maildir:{home}/Maildir");
    let config = fs::read_to_string("/etc/mail/pennypost.toml").unwrap();
    let config = config.replace("[queue]\n", "[queue]\nmin_free_space = \"1MB\"\n");
    write("/etc/mail/pennypost.toml", &config);
    mount(&["-t", "tmpfs", "-o", "size=24m,mode=0755", "pennypost-test", "/var/spool"]);
    machine.start();
    a_full_disk(&mut machine);
    no_permission(&mut machine);
}

fn a_full_disk(machine: &mut Machine) {
    fill_up();
    // The daemon says so, and there is no room in the drop directory either.
    the_author_keeps_it();
    machine.stop();
    // Stopping may have given room back.
    fill_up();
    the_author_keeps_it();
    fs::remove_file("/var/spool/filler").unwrap();
    machine.start();
    arrives("when there is room again");
}

fn fill_up() {
    let filled = Command::new("sh").args(["-c", "cat /dev/zero >>/var/spool/filler"]).output();
    assert!(!filled.unwrap().status.success(), "the disk is full");
}

/// Exit code 75, and the message in `dead.letter`; with `-oeq` not even there.
fn the_author_keeps_it() {
    let output = sendmail("kept", &["bob@local.test"]);
    assert_eq!(output.status.code(), Some(75), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("dead.letter"), "{output:?}");
    assert!(fs::read_to_string(LETTER).unwrap().contains("Subject: kept\n"));
    fs::remove_file(LETTER).unwrap();
    let output = sendmail("not kept", &["-oeq", "bob@local.test"]);
    assert_eq!(output.status.code(), Some(75), "{output:?}");
    assert!(!fs::exists(LETTER).unwrap());
}

fn sendmail(subject: &str, arguments: &[&str]) -> Output {
    let mut command = Command::new(program("sendmail"));
    as_user(ALICE, command.args(arguments), &format!("Subject: {subject}\n\nx\n"))
}

fn arrives(subject: &str) {
    let output = sendmail(subject, &["bob@local.test"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let _ = until(subject, || {
        let mut folder = fs::read_dir("/home/bob/Maildir/new").ok()?;
        folder.find(|entry| {
            let text = fs::read_to_string(entry.as_ref().unwrap().path()).unwrap();
            text.contains(&format!("Subject: {subject}\n"))
        })
    });
}

fn no_permission(machine: &mut Machine) {
    // Nobody may use the socket: the drop directory takes the message.
    set("/run/pennypost/submit", 0, 0, 0o600);
    arrives("by the drop directory");
    let code = |name: &str, arguments: &[&str], input: &str| {
        let mut command = Command::new(program(name));
        as_user(ALICE, command.args(arguments), input).status.code()
    };
    // What only administrators may do.
    assert_eq!(code("pennypost", &["stop"], ""), Some(77));
    assert_eq!(code("pennypost", &["reload"], ""), Some(77));
    // /etc/mail is not hers.
    write("/etc/mail/mailertable", "a b\n");
    assert_eq!(code("makemap", &["hash", "/etc/mail/x"], "a b\n"), Some(73));
    assert_eq!(code("editmap", &["-u", "hash", "/etc/mail/mailertable", "a", "b"], ""), Some(73));
    machine.stop();
    let drop = "/var/spool/pennypost/drop";
    set(drop, 0, 0, 0o700);
    the_author_keeps_it();
    // Nor may she write at home: then the message is lost to nobody but her, and she is told.
    set("/home/alice", 0, 0, 0o755);
    let output = sendmail("no place", &["bob@local.test"]);
    assert_eq!(output.status.code(), Some(75), "{output:?}");
    assert!(!output.stderr.is_empty());
    // The next start gives everybody the rights back.
    machine.start();
    arrives("with all rights");
}
