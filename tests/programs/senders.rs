//! Programs that send.

use std::process::Command;

use support::{System, SystemBuilder, installed, run};

fn system() -> System {
    SystemBuilder::new().start()
}

#[test]
fn swaks() {
    if !installed("swaks", "swaks") {
        return;
    }
    let system = system();
    for extra in [&["--pipeline"][..], &[], &["--attach-body", "@/etc/services"]] {
        let output = Command::new("swaks")
            .args(["--server", &system.smtp().to_string(), "--to", "alice@local.test"])
            .args(["--from", "swaks@example.org", "--header", "Subject: from swaks"])
            .args(extra)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    }
    assert!(system.wait_mail("alice", 3).iter().all(|mail| mail.contains("Subject: from swaks")));
}

#[test]
fn python_smtplib() {
    if !installed("python3", "python3") {
        return;
    }
    let system = system();
    let script = "
import smtplib, sys
from email.message import EmailMessage
m = EmailMessage()
m['Subject'], m['From'], m['To'] = 'from smtplib ü', 'py@example.org', 'alice@local.test, bob@local.test'
m.set_content('Zeile ü\\n.\\nend\\n')
m.add_attachment(b'x' * 300000, maintype='application', subtype='octet-stream')
with smtplib.SMTP('127.0.0.1', int(sys.argv[1])) as s:
    print(s.ehlo(), s.esmtp_features)
    assert s.send_message(m) == {}
    try:
        s.sendmail('py@example.org', ['nobody-here@local.test'], 'x')
    except smtplib.SMTPRecipientsRefused as e:
        assert e.recipients['nobody-here@local.test'][0] == 550
    else:
        raise SystemExit('an unknown user was accepted')
";
    let port = system.smtp().port().to_string();
    let output = Command::new("python3").args(["-c", script, &port]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    for user in ["alice", "bob"] {
        let mail = system.wait_mail(user, 1).remove(0);
        assert!(mail.contains("from smtplib") && mail.contains("application/octet-stream"));
    }
}

#[test]
fn s_nail() {
    if !installed("s-nail", "s-nail") {
        return;
    }
    let system = system();
    let mta = format!("mta={}", support::binary("sendmail").display());
    let output = run(
        Command::new("s-nail")
            .env("PENNYPOST_ROOT", system.path(""))
            .args(["-:/", "-S", &mta, "-S", "from=nail@example.org", "-S", "sendwait"])
            .args(["-s", "from s-nail", "-b", "bob@local.test", "alice@local.test"]),
        "a line\n.\nanother\n",
    );
    assert!(output.status.success(), "{output:?}");
    for user in ["alice", "bob"] {
        let mail = system.wait_mail(user, 1).remove(0);
        assert!(mail.contains("Subject: from s-nail") && !mail.contains("Bcc:"), "{mail}");
    }
}

#[test]
fn mutt() {
    if !installed("mutt", "mutt") {
        return;
    }
    let system = system();
    let sendmail = format!("set sendmail=\"{} -oem -oi\"", support::binary("sendmail").display());
    let output = run(
        Command::new("mutt")
            .env("PENNYPOST_ROOT", system.path(""))
            .env("HOME", system.path(""))
            .args(["-n", "-F", "/dev/null", "-e", &sendmail])
            .args(["-e", "set use_envelope_from=yes from=mutt@example.org copy=no"])
            .args(["-s", "from mutt", "--", "alice@local.test"]),
        "a line\n",
    );
    assert!(output.status.success(), "{output:?}");
    let mail = system.wait_mail("alice", 1).remove(0);
    assert!(
        mail.starts_with("Return-Path: <mutt@example.org>") && mail.contains("Subject: from mutt")
    );
}

#[test]
fn git_send_email() {
    if !installed("git-send-email", "git-email") {
        return;
    }
    let system = system();
    let patch = system.path("0001-change.patch");
    let text = "From 1234567890123456789012345678901234567890 Mon Sep 17 00:00:00 2001\n\
                From: Git User <git@example.org>\nDate: Mon, 2 Nov 2026 10:00:00 +0000\n\
                Subject: [PATCH] From git\n\nWhy.\n---\n file | 1 +\n";
    std::fs::write(&patch, text).unwrap();
    let send = |to: &str| {
        Command::new("git")
            .env("PENNYPOST_ROOT", system.path(""))
            .env("HOME", system.path(""))
            .envs(["GIT_COMMITTER_NAME", "GIT_AUTHOR_NAME"].map(|name| (name, "Git User")))
            .envs(["GIT_COMMITTER_EMAIL", "GIT_AUTHOR_EMAIL"].map(|name| (name, "git@example.org")))
            .current_dir(system.path(""))
            .args(["send-email", "--quiet", "--confirm=never", "--suppress-cc=all"])
            .args(["--from=git@example.org", "--envelope-sender=git@example.org"])
            .arg(format!("--to={to}"))
            .arg(format!("--sendmail-cmd={}", support::binary("sendmail").display()))
            .arg(&patch)
            .output()
            .unwrap()
    };
    let output = send("alice@local.test");
    assert!(output.status.success(), "{output:?}");
    assert!(system.wait_mail("alice", 1)[0].contains("Subject: [PATCH] From git"));
    assert!(!send("nobody-here@local.test").status.success());
}
