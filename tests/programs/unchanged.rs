//! Programs of a whole system, as Debian packages them, which call `/usr/sbin/sendmail` without
//! anybody telling them so: only their own configuration is written here.
//!
//! As root in a mount namespace, where that path is ours.

use std::fs;
use std::process::{Child, Command, Stdio};

use support::installed;
use support::machine::{ALICE, Machine, as_user, mount, set, until, write};

#[test]
fn callers_of_a_whole_system() {
    let callers = installed("cron", "cron")
        && installed("atd", "at")
        && installed("sudo", "sudo")
        && installed("logwatch", "logwatch")
        && installed("mdadm", "mdadm")
        && installed("smartd", "smartmontools")
        && installed("bsd-mailx", "bsd-mailx");
    // For there to be a /usr/sbin/sendmail.
    if !callers || !installed("postfix", "postfix") {
        return;
    }
    let Some(mut machine) = Machine::of("unchanged::callers_of_a_whole_system") else { return };
    furnish(&machine);
    machine.start();
    cron();
    at();
    sudo();
    logwatch();
    mdadm();
    smartd();
    machine.stop();
}

fn furnish(machine: &Machine) {
    machine.configure("maildir:{home}/Maildir");
    machine.keep(&["alternatives", "security", "login.defs", "smartmontools", "logwatch"]);
    machine.install_sendmail();
    write("/etc/mail/aliases", "root: alice\n");
    let name = nix::unistd::gethostname().unwrap();
    write("/etc/hosts", &format!("127.0.0.1 localhost {}\n", name.display()));
    fs::create_dir("/etc/pam.d").unwrap();
    let permit =
        ["auth", "account", "session"].map(|kind| format!("{kind} required pam_permit.so\n"));
    for service in ["cron", "atd", "sudo"] {
        write(&format!("/etc/pam.d/{service}"), &permit.concat());
    }
    let passwords =
        ["root", "daemon", "alice", "bob"].map(|user| format!("{user}:*:19000:0:99999:7:::\n"));
    write("/etc/shadow", &passwords.concat());
    for (file, line) in [("passwd", "daemon:x:1:1::/:/bin/sh\n"), ("group", "daemon:x:1:\n")] {
        let text = fs::read_to_string(format!("/etc/{file}")).unwrap();
        write(&format!("/etc/{file}"), &(text + line));
    }
}

/// Alice's message with this subject, once it is there.
fn arrives(subject: &str) -> String {
    until(&format!("mail for alice: {subject}"), || {
        let folder = fs::read_dir("/home/alice/Maildir/new").ok()?;
        let mut mails = folder.map(|entry| fs::read_to_string(entry.unwrap().path()).unwrap());
        mails.find(|mail| mail.contains(&format!("\nSubject: {subject}")))
    })
}

/// A daemon that stays in the foreground; ended when dropped.
struct Daemon(Child);

impl Daemon {
    fn start(command: &mut Command) -> Self {
        Self(command.stdin(Stdio::null()).spawn().unwrap())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// `sendmail -i -FCronDaemon -B8BITMIME -oem root`
fn cron() {
    fs::create_dir_all("/var/spool/cron/crontabs").unwrap();
    write("/etc/crontab", "@reboot root echo a line; echo .; echo the end\n");
    let _cron = Daemon::start(Command::new("cron").arg("-f"));
    let mail = arrives("Cron <root@");
    assert!(mail.contains("\nFrom: root@mta.test (Cron Daemon)\n"), "{mail}");
    assert!(mail.ends_with("\n\na line\n.\nthe end\n"), "{mail}");
}

/// `sendmail -i alice`
fn at() {
    for folder in ["/var/spool/cron/atjobs", "/var/spool/cron/atspool"] {
        fs::create_dir_all(folder).unwrap();
        set(folder, 1, 1, 0o1770);
    }
    write("/var/spool/cron/atjobs/.SEQ", "");
    set("/var/spool/cron/atjobs/.SEQ", 1, 1, 0o600);
    write("/etc/at.deny", "");
    let output =
        as_user(ALICE, Command::new("at").env("USER", "alice").arg("now"), "echo from the job\n");
    assert!(output.status.success(), "{output:?}");
    let _atd = Daemon::start(Command::new("atd").arg("-f"));
    let mail = arrives("Output from your job");
    assert!(mail.contains("from the job\n"), "{mail}");
}

/// `sendmail -t`, called by a program that is root, for a user who may not do what he wants.
fn sudo() {
    write("/etc/sudoers", "Defaults !authenticate\nroot ALL=(ALL) ALL\n");
    set("/etc/sudoers", 0, 0, 0o440);
    let output = as_user(ALICE, Command::new("sudo").args(["-n", "id"]), "");
    assert!(!output.status.success(), "{output:?}");
    let mail = arrives("*** SECURITY information for ");
    assert!(mail.contains("alice : user NOT in sudoers"), "{mail}");
}

/// `sendmail -t`
fn logwatch() {
    fs::create_dir_all("/var/cache/logwatch").unwrap();
    mount(&["-t", "tmpfs", "pennypost-test", "/var/log"]);
    write("/var/log/dpkg.log", "2026-11-20 10:00:00 install mutt:amd64 <none> 2.2.9-1\n");
    let mut logwatch = Command::new("logwatch");
    logwatch.args(["--output", "mail", "--mailto", "alice@local.test"]);
    logwatch.args(["--service", "dpkg", "--range", "all"]);
    let output = logwatch.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let mail = arrives("Logwatch for ");
    assert!(mail.contains("mutt:amd64"), "{mail}");
}

/// `sendmail -t`, for an array that is not there.
fn mdadm() {
    let mut mdadm = Command::new("mdadm");
    mdadm.args(["--monitor", "--test", "--oneshot", "--mail=alice@local.test", "/dev/md99"]);
    let output = mdadm.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let mail = arrives("TestMessage event on /dev/md99");
    assert!(mail.contains("automatically generated mail message from mdadm"), "{mail}");
}

/// `mail`, by Debian's smartd-runner, and that `sendmail -i alice@local.test`: a disk that says of
/// itself that it is ill is `disk.c`, as there is none to break.
fn smartd() {
    write("/run/disk.c", include_str!("disk.c"));
    let compiled =
        Command::new("cc").args(["-shared", "-fPIC", "-o", "/run/disk.so", "/run/disk.c"]).output();
    assert!(compiled.as_ref().unwrap().status.success(), "{compiled:?}");
    write("/run/nvme0", "");
    let runner = "/usr/share/smartmontools/smartd-runner";
    let line = format!("/run/nvme0 -d nvme,0xffffffff -H -m alice@local.test -M exec {runner}\n");
    write("/etc/smartd.conf", &line);
    let mut smartd = Command::new("smartd");
    smartd.env("LD_PRELOAD", "/run/disk.so");
    let output = smartd.args(["-q", "onecheck", "-s", "", "-A", ""]).output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{told}");
    let successful = format!("Warning via {runner} to alice@local.test: successful");
    assert!(told.contains(&successful), "{told}");
    let mail = arrives("SMART error (Health) detected");
    assert!(mail.contains("/run/nvme0, Critical Warning (0x01): LowSpare\n"), "{mail}");
}
