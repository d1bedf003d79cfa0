//! The installation as the README has it.

use std::fs;
use std::path::Path;
use std::process::Command;

use support::{binary, installed};

const PROGRAMS: [&str; 10] = [
    "sendmail",
    "mailq",
    "newaliases",
    "hoststat",
    "purgestat",
    "editmap",
    "mailstats",
    "makemap",
    "praliases",
    "smrsh",
];

#[test]
fn alternatives_come_and_go() {
    if !installed("update-alternatives", "dpkg") {
        return;
    }
    let root = tempfile::tempdir().unwrap();
    let below = |path: &str| root.path().join(path);
    let home = "usr/libexec/pennypost";
    for folder in
        ["etc/alternatives", "var/lib/dpkg/alternatives", "usr/bin", "usr/sbin", "usr/lib", home]
    {
        fs::create_dir_all(below(folder)).unwrap();
    }
    for name in PROGRAMS {
        // Whoever is installed was built.
        std::os::unix::fs::symlink(binary(name), below(home).join(name)).unwrap();
        assert!(below(home).join(name).exists(), "{name}");
    }
    alternatives(root.path(), "install");
    let leads_to = |link: &str, name: &str| {
        let first = fs::read_link(below(link)).unwrap();
        let second = fs::read_link(below(first.strip_prefix("/").unwrap().to_str().unwrap()));
        assert_eq!(second.unwrap(), Path::new("/").join(home).join(name), "{link}");
    };
    leads_to("usr/sbin/sendmail", "sendmail");
    leads_to("usr/lib/sendmail", "sendmail");
    for name in &PROGRAMS[1..5] {
        leads_to(&format!("usr/bin/{name}"), name);
    }
    for name in &PROGRAMS[5..] {
        leads_to(&format!("usr/sbin/{name}"), name);
    }
    alternatives(root.path(), "remove");
    for link in ["usr/sbin/sendmail", "usr/lib/sendmail", "usr/bin/mailq", "usr/sbin/smrsh"] {
        assert!(fs::symlink_metadata(below(link)).is_err(), "{link}");
    }
}

fn alternatives(root: &Path, action: &str) {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../etc/alternatives/mta");
    let mut command = Command::new(script);
    let output = command.arg(action).arg("--root").arg(root).output().unwrap();
    assert!(output.status.success(), "{output:?}");
}
