//! Programs that call `sendmail`, and programs that read `mailq`.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use support::{Sink, System, SystemBuilder, installed, run};

fn system() -> System {
    SystemBuilder::new().start()
}

/// A program that calls the command of this system, whatever its caller makes of the environment.
fn wrapper(system: &System, command: &str, arguments: &str) -> PathBuf {
    let path = system.path(command);
    let (root, binary) = (system.path(""), support::binary(command));
    let script = format!(
        "#!/bin/sh\nPENNYPOST_ROOT={} exec {} {arguments} \"$@\"\n",
        root.display(),
        binary.display()
    );
    std::fs::write(&path, script).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path
}

#[test]
fn bsd_mailx() {
    if !installed("bsd-mailx", "bsd-mailx") {
        return;
    }
    let system = system();
    let settings = system.path("mailrc");
    let sendmail = wrapper(&system, "sendmail", "");
    std::fs::write(&settings, format!("set sendmail={}\n", sendmail.display())).unwrap();
    let mut command = Command::new("bsd-mailx");
    command.env("MAILRC", &settings).env("HOME", system.path(""));
    command.args(["-n", "-s", "from bsd-mailx", "-b", "bob@local.test", "alice@local.test"]);
    let output = run(&mut command, "a line\n.x\nanother\n");
    assert!(output.status.success(), "{output:?}");
    for user in ["alice", "bob"] {
        let mail = system.wait_mail(user, 1).remove(0);
        assert!(mail.contains("Subject: from bsd-mailx\n") && !mail.contains("Bcc:"), "{mail}");
        assert!(mail.ends_with("\n\na line\n.x\nanother\n"), "{mail}");
    }
}

#[test]
fn mailutils() {
    if !installed("mail.mailutils", "mailutils") {
        return;
    }
    let system = system();
    let sendmail = wrapper(&system, "sendmail", "");
    let mailer = format!("set sendmail=sendmail://{}", sendmail.display());
    let mut command = Command::new("mail.mailutils");
    command.env("HOME", system.path("")).args(["-n", "-E", &mailer]);
    command.args(["-s", "from mailutils", "-r", "gnu@example.org", "alice@local.test"]);
    let output = run(&mut command, "a line\n");
    assert!(output.status.success(), "{output:?}");
    let mail = system.wait_mail("alice", 1).remove(0);
    assert!(mail.contains("Subject: from mailutils\n"), "{mail}");
    assert!(mail.starts_with("Return-Path: <gnu@example.org>\n"), "{mail}");
}

#[test]
fn php_mail() {
    if !installed("php", "php-cli") {
        return;
    }
    let system = system();
    let path = format!("sendmail_path={} -t -i", wrapper(&system, "sendmail", "").display());
    let script = r#"
$ok = mail('alice@local.test', 'from PHP', "a line\nend\n", "From: Web <web@example.org>\r\nBcc: bob@local.test", '-fweb@example.org');
$no = mail('nobody-here@local.test', 'x', "x\n");
exit($ok && !$no ? 0 : 1);
"#;
    let output = Command::new("php").args(["-n", "-d", &path, "-r", script]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    for user in ["alice", "bob"] {
        let mail = system.wait_mail(user, 1).remove(0);
        assert!(mail.starts_with("Return-Path: <web@example.org>\n"), "{mail}");
        assert!(mail.contains("Subject: from PHP\n") && !mail.contains("Bcc:"), "{mail}");
        assert!(!mail.contains('\r') && mail.contains("\n\na line\nend\n"), "{mail:?}");
    }
}

/// procmail is given a message as a mailer gives it, and forwards it by calling `sendmail` back.
#[test]
fn procmail() {
    if !installed("procmail", "procmail") {
        return;
    }
    let system = system();
    let rules = system.path("procmailrc");
    let sendmail = wrapper(&system, "sendmail", "");
    let text = format!("SENDMAIL={}\n:0\n! alice@local.test\n", sendmail.display());
    std::fs::write(&rules, text).unwrap();
    let message = "From carol@example.org Sat Nov 21 04:35:50 2026\nFrom: carol@example.org\n\
                   Subject: through procmail\n\nx\n.\ny\n";
    let output = run(Command::new("procmail").arg("-m").arg(&rules), message);
    assert!(output.status.success(), "{output:?}");
    let mail = system.wait_mail("alice", 1).remove(0);
    assert!(mail.contains("Subject: through procmail\n"), "{mail}");
    assert!(mail.contains("\n\nx\n.\ny\n") && !mail.contains("\nFrom carol"), "{mail}");
}

/// The plugin as it is, in a folder of its own with the path of `mailq` in its settings.
#[test]
fn check_mailq() {
    if !installed("check_mailq", "monitoring-plugins-standard") {
        return;
    }
    let (system, _sink) = stuck();
    system.session().transaction("alice@local.test", &["dave@far.test"], "Subject: x\n\nx\n");
    system.wait_log(|line| line.contains("stat=Deferred"));
    let mailq = wrapper(&system, "mailq", "");
    let kinds = ["sendmail", "postfix"];
    for kind in kinds {
        set_format(&system, kind);
        let output = plugin(&system, &mailq, kind, ["2", "5"]);
        assert_eq!(output.status.code(), Some(0), "{kind}: {output:?}");
        assert!(said(&output).contains("(1)") || said(&output).contains("unsent=1"), "{output:?}");
        let output = plugin(&system, &mailq, kind, ["1", "5"]);
        assert_eq!(output.status.code(), Some(1), "{kind}: {output:?}");
    }
    let deleted = system.command("pennypost").args(["queue", "delete", "--all"]).output().unwrap();
    assert!(deleted.status.success(), "{deleted:?}");
    for kind in kinds {
        set_format(&system, kind);
        let output = plugin(&system, &mailq, kind, ["1", "5"]);
        assert_eq!(output.status.code(), Some(0), "{kind}: {output:?}");
        assert!(said(&output).contains("empty"), "{kind}: {output:?}");
    }
}

/// `mailq` reads it each time.
fn set_format(system: &System, format: &str) {
    let file = system.path("etc/mail/pennypost.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    let rest = text.lines().filter(|line| !line.starts_with("mailq_format"));
    let lines: Vec<_> = rest.map(|line| format!("{line}\n")).collect();
    std::fs::write(file, format!("mailq_format = \"{format}\"\n{}", lines.concat())).unwrap();
}

fn stuck() -> (System, Sink) {
    let refuse = |line: &str| line.starts_with("MAIL").then(|| "451 4.3.2 closed".to_owned());
    let sink = Sink::scripted(refuse);
    (SystemBuilder::new().smarthost(sink.address()).start(), sink)
}

fn plugin(system: &System, mailq: &Path, kind: &str, [warning, critical]: [&str; 2]) -> Output {
    let plugins = Path::new("/usr/lib/nagios/plugins");
    let settings = std::fs::read_to_string(plugins.join("utils.pm")).unwrap();
    let settings = settings.replace("/usr/bin/mailq", mailq.to_str().unwrap());
    std::fs::write(system.path("utils.pm"), settings).unwrap();
    let check = system.path("check_mailq");
    std::fs::copy(plugins.join("check_mailq"), &check).unwrap();
    let thresholds = ["-w", warning, "-c", critical, "-M", kind];
    Command::new("perl").arg(check).args(thresholds).output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}
