//! `pennypost status --sandbox` of a running system, and the processes that it does not show.

use std::time::Instant;

use serde_json::Value;
use support::{PATIENCE, System, SystemBuilder};

use crate::{DAEMONS, text};

/// One for each process.
pub(crate) fn objects(system: &System) -> Vec<Value> {
    let mut command = system.command("pennypost");
    let output = command.args(["status", "--sandbox", "--json"]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn the_kernel_agrees_with_every_daemon() {
    let system = SystemBuilder::new().start();
    let objects = objects(&system);
    let names: Vec<&str> = objects.iter().skip(1).map(|object| text(object, "name")).collect();
    assert_eq!(names, DAEMONS);
    for object in objects.iter().skip(1) {
        assert_eq!(object["differs"], serde_json::json!([]), "{object}");
        let found = &object["found"];
        assert_eq!(text(found, "no_new_privs"), "yes");
        assert_eq!(text(found, "capabilities"), "none");
        assert!(text(found, "seccomp").contains("filter"), "{object}");
        assert_eq!(text(found, "core"), "0");
    }
    let shown = system.command("pennypost").args(["status", "--sandbox"]).output().unwrap();
    let shown = String::from_utf8(shown.stdout).unwrap();
    assert!(shown.contains("\nqmgr, pid ") && !shown.contains('!'), "{shown}");
    assert!(shown.ends_with("Every process is confined as it declared.\n"), "{shown}");
}

/// Of a process that is there for its user only, and reports to nobody.
#[test]
fn a_deliver_process_for_a_mailbox_is_confined() {
    let system = SystemBuilder::new().start();
    let end = Instant::now() + PATIENCE;
    let mut count = 0;
    let status = loop {
        count += 1;
        let sent = system.sendmail(&["alice"], "Subject: x\n\nx\n");
        assert!(sent.status.success(), "{sent:?}");
        system.wait_mail("alice", count);
        // It stays for a few seconds, for the next message.
        let daemons = system.daemons();
        let deliver = daemons.iter().find(|(name, _)| name == "deliver");
        let status = deliver.map(|(_, pid)| std::fs::read_to_string(format!("/proc/{pid}/status")));
        if let Some(Ok(status)) = status {
            break status;
        }
        assert!(Instant::now() < end, "no deliver is seen: {daemons:?}");
    };
    for line in ["NoNewPrivs:\t1\n", "Seccomp:\t2\n", "CapEff:\t0000000000000000\n"] {
        assert!(status.contains(line), "{status}");
    }
}
