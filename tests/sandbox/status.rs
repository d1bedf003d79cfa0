//! `pennypost status --sandbox` of a running system.

use serde_json::Value;
use support::{System, SystemBuilder};

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
