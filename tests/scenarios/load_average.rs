//! A machine whose load average is above the limits of the configuration.

use std::fs;
use std::hint::spin_loop;
use std::time::Instant;

use support::{PATIENCE, SystemBuilder};

const LIMITS: &str = "[queue]\nqueue_only_load = 0.01\nrefuse_load = 0.01\n";

/// Makes some, if there is none.
fn make_load() {
    let load = || fs::read_to_string("/proc/loadavg").unwrap();
    let first = |text: String| text.split(' ').next().unwrap().parse::<f64>().unwrap();
    let end = Instant::now() + PATIENCE;
    while first(load()) < 0.05 {
        assert!(Instant::now() < end, "this kernel counts no load: {}", load());
        (0..1_000_000).for_each(|_| spin_loop());
    }
}

#[test]
fn large_mail_waits_and_this_machine_is_served() {
    make_load();
    let system = SystemBuilder::new().config(LIMITS).start();
    let large = format!("Subject: large\n\n{}", "0123456789\n".repeat(60_000));
    let sent = system.sendmail(&["-odi", "alice@local.test"], &large);
    assert!(sent.status.success(), "{sent:?}");
    system.wait_log(|line| line.contains("load average too high"));
    let mailq = |arguments: &[&str]| {
        let listing = system.command("mailq").args(arguments).output().unwrap();
        String::from_utf8(listing.stdout).unwrap()
    };
    let listing = mailq(&[]);
    let mark = |line: &str| line.get(13..14).map(str::to_owned);
    assert_eq!(listing.lines().nth(2).and_then(mark).as_deref(), Some("X"), "{listing}");
    let tried = system.command("sendmail").args(["-q", "-v"]).output().unwrap();
    let said = String::from_utf8(tried.stdout).unwrap();
    assert!(said.contains("queued: load average too high"), "{said}");
    // Loopback is trusted.
    drop(system.session());
    assert!(system.mail("alice").is_empty());

    let file = system.path("etc/mail/pennypost.toml");
    let text = fs::read_to_string(&file).unwrap().replace("_load = 0.01", "_load = 100000.0");
    fs::write(&file, text).unwrap();
    let reloaded = system.command("pennypost").arg("reload").output().unwrap();
    assert!(reloaded.status.success(), "{reloaded:?}");
    system.wait_mail("alice", 1);
    system.wait_log(|line| line.contains("no mail waits for it any more"));
}
