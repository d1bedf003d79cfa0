//! The life of the processes.

use std::io::ErrorKind;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use support::{SystemBuilder, skipped};

#[test]
fn whatever_dies_is_restarted_and_mail_flows_on() {
    let system = SystemBuilder::new().start();
    let before = system.daemons();
    let mut names: Vec<_> = before.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["local", "policyd", "qmgr", "remote", "smtpd mx", "smtpd submission"]);
    for (count, (name, _)) in before.iter().enumerate() {
        system.kill_daemon(name);
        system.session().transaction("c@example.org", &["alice@local.test"], "Subject: x\n\nx\n");
        system.wait_mail("alice", count + 1);
    }
}

/// Every line that any process writes.
#[test]
fn the_log_is_for_programs_too() {
    let stated = "target = \"stderr\"";
    let format = |format: &str| {
        let more = format!("{stated}\nformat = \"{format}\"");
        let mut system = SystemBuilder::new().replace(stated, &more).start();
        let to = &["alice@local.test"];
        system.session().transaction("c@example.org", to, "Subject: x\n\nx\n");
        system.wait_mail("alice", 1);
        system.stop();
        system.log().into_iter().filter(|line| line != "ready" && line != "(end of log)").collect()
    };
    let lines: Vec<String> = format("json");
    let objects: Vec<serde_json::Value> =
        lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    let sent = |object: &serde_json::Value| {
        object["process"] == "local" && object["message"].as_str().unwrap().contains("stat=Sent")
    };
    assert!(objects.iter().any(sent), "{lines:#?}");
    assert!(objects.iter().all(|it| it["host"] == "mta.test" && it["pid"].as_u64() > Some(1)));
    let lines: Vec<String> = format("sendmail");
    assert!(lines.iter().all(|line| line.contains("Z mta.test sm-mta[")), "{lines:#?}");
    assert!(lines.iter().any(|line| line.contains(": from=<c@example.org>, size=")), "{lines:#?}");
}

#[test]
fn stopping_drains_and_leaves_nothing_behind() {
    let mut system = SystemBuilder::new().start();
    system.session().transaction("c@example.org", &["alice@local.test"], "Subject: x\n\nx\n");
    let output = system.command("pennypost").arg("status").output().unwrap();
    let status = String::from_utf8_lossy(&output.stdout).into_owned();
    for name in ["qmgr", "policyd", "smtpd", "remote", "local"] {
        assert!(status.contains(name), "{status}");
    }
    // As in sendmail's pid file.
    let lines = std::fs::read_to_string(system.path("run/pennypost/ready")).unwrap();
    let [pid, command] = lines.lines().collect::<Vec<_>>()[..] else { panic!("{lines}") };
    assert_eq!(pid, system.pid().to_string());
    assert!(command.contains("supervisor --root "), "{command}");
    system.stop();
    assert!(!system.path("run/pennypost/ready").exists());
    assert!(!system.path("run/pennypost/control").exists());
    assert_eq!(system.wait_mail("alice", 1).len(), 1);
    let output = system.command("pennypost").arg("status").output().unwrap();
    assert_eq!(output.status.code(), Some(69), "{output:?}");
}

/// As sendmail's daemon it tells its state, and goes on.
#[test]
fn sigusr1_tells_the_state() {
    let system = SystemBuilder::new().start();
    kill(Pid::from_raw(system.pid().cast_signed()), Signal::SIGUSR1).unwrap();
    let (_, qmgr) = system.daemons().into_iter().find(|(name, _)| name == "qmgr").unwrap();
    let told = format!("qmgr[{qmgr}]");
    let line = system.wait_log(|line| line.contains("; runs ") && line.contains(&told));
    assert!(line.contains("configuration 1, listens on 127.0.0.1:"), "{line}");
    system.session().transaction("c@example.org", &["alice@local.test"], "Subject: x\n\nx\n");
    system.wait_mail("alice", 1);
}

#[test]
fn a_bad_configuration_is_explained_and_nothing_starts() {
    let system = SystemBuilder::new().start();
    let file = system.path("etc/mail/pennypost.toml");
    std::fs::write(&file, "hostname = \"mta.test\"\nhostnam = 1\n[tls]\nkey = \"x\"\n").unwrap();
    let output = system.command("pennypost").arg("check").output().unwrap();
    let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert_eq!(output.status.code(), Some(78), "{text}");
    assert!(text.contains("pennypost.toml:2:1"), "{text}");
    assert!(text.contains("not yet supported"), "{text}");
}

#[test]
fn nobody_holds_what_the_caller_left_open() {
    let system = SystemBuilder::new().start();
    for (name, pid) in system.daemons() {
        // They are not dumpable: proc(5) shows them to root only.
        let held = match std::fs::read_dir(format!("/proc/{pid}/fd")) {
            Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                return skipped("only root may see what a confined process holds");
            }
            held => held.unwrap(),
        };
        let held: Vec<_> =
            held.filter_map(|entry| std::fs::read_link(entry.unwrap().path()).ok()).collect();
        assert!(!held.is_empty(), "{name}");
        assert!(!held.iter().any(|path| path.ends_with("full")), "{name}: {held:?}");
    }
}

#[test]
fn mail_flows_on_when_nobody_reads_the_log() {
    let mut system = SystemBuilder::new().start();
    system.close_log();
    let send = || {
        let mut client = system.session();
        client.transaction("c@example.org", &["alice@local.test"], "Subject: x\n\nx\n");
    };
    for count in 1..=3 {
        send();
        system.wait_mail("alice", count);
    }
    system.kill_daemon("qmgr");
    send();
    system.wait_mail("alice", 4);
    system.stop();
}
