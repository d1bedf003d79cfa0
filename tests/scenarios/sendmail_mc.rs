//! A site that comes from sendmail: its sendmail.mc, what that is in `pennypost.toml`, and its tables
//! (`sendmail-mc/`). docs/from-sendmail.md has a row for each of its lines.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use support::{Sink, System, SystemBuilder, binary, run};

const TABLES: [&str; 8] = [
    "access",
    "aliases",
    "local-host-names",
    "mailertable",
    "masquerade-domains",
    "trusted-users",
    "virtuser-domains",
    "virtusertable",
];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios/sendmail-mc")
}

fn read(path: &str) -> String {
    fs::read_to_string(folder().join(path)).unwrap()
}

/// The macro of each line, and what it defines or switches on: `FEATURE smrsh`.
fn lines_of_the_mc() -> BTreeSet<String> {
    let text = read("sendmail.mc");
    let (_, text) = text.split_once("divert(0)dnl\n").unwrap();
    let line = |line: &str| {
        let (name, arguments) = line.split_once('(').unwrap();
        let argument = arguments.split(['`', '\'']).nth(1).unwrap();
        match name {
            "define" => argument.to_owned(),
            "FEATURE" => format!("FEATURE({argument})"),
            name => name.to_owned(),
        }
    };
    text.lines().map(line).collect()
}

/// Each line has a row in the documentation, and each key and table that a row names is there.
#[test]
fn every_line_is_documented() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/from-sendmail.md");
    let text = fs::read_to_string(path).unwrap();
    let rows: Vec<Vec<&str>> = text
        .lines()
        .filter(|line| line.starts_with("| `"))
        .map(|line| line.split('|').map(str::trim).skip(1).take(3).collect())
        .collect();
    let names = rows.iter().flat_map(|row| quoted(row[0]));
    let documented: BTreeSet<_> = names.map(str::to_owned).collect();
    let missing: Vec<_> =
        lines_of_the_mc().into_iter().filter(|it| !documented.contains(it)).collect();
    assert_eq!(missing, [""; 0]);
    let toml = read("pennypost.toml");
    for row in &rows {
        assert!(!row[1].is_empty() || !row[2].is_empty(), "{row:?}");
        for name in quoted(row[1]) {
            let key = config::SUPPORTED.contains(&name);
            assert!(key || tables::SUPPORTED.contains(&name), "{name} is neither key nor table");
            // What this site says is said in its file.
            let last = name.rsplit('.').next().unwrap();
            let is_said = !lines_of_the_mc().contains(quoted(row[0]).next().unwrap())
                || toml.contains(&format!("{last} = "))
                || TABLES.contains(&name);
            assert!(is_said, "{name} is not said");
        }
    }
}

fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// The site as it is on disk, nothing running.
struct Site(tempfile::TempDir);

impl Site {
    fn new(change: impl Fn(String) -> String) -> Self {
        let root = tempfile::tempdir().unwrap();
        let etc = root.path().join("etc/mail");
        fs::create_dir_all(&etc).unwrap();
        fs::write(etc.join("pennypost.toml"), change(read("pennypost.toml"))).unwrap();
        fs::write(etc.join("users"), "alice:\nbob:\nroot:\n").unwrap();
        for name in TABLES {
            fs::write(etc.join(name), read(&format!("tables/{name}"))).unwrap();
        }
        let programs = root.path().join("usr/lib/sm.bin");
        fs::create_dir_all(&programs).unwrap();
        std::os::unix::fs::symlink("/bin/true", programs.join("pmx-auto-approve")).unwrap();
        Self(root)
    }

    fn pennypost(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(binary("pennypost"));
        command.arg("--root").arg(self.0.path()).args(arguments).output().unwrap()
    }

    /// What `sendmail -bt` returns last for `3,0 address`.
    fn triple(&self, address: &str) -> String {
        let mut command = Command::new(binary("sendmail"));
        command.env("PENNYPOST_ROOT", self.0.path()).arg("-bt");
        let output = run(&mut command, &format!("3,0 {address}\n"));
        let text = String::from_utf8(output.stdout).unwrap();
        let line = text.lines().rfind(|line| line.starts_with("parse") && line.contains("returns"));
        line.unwrap_or(&text).split_once("returns: ").unwrap().1.to_owned()
    }
}

#[test]
fn the_configuration_is_taken_and_nothing_of_it_is_wrong() {
    let site = Site::new(|text| text);
    let config = config::load(Some(site.0.path()), None).map_err(|report| report.to_string());
    let config = config.unwrap();
    assert_eq!(config.queue.delay_warning, None);
    assert_eq!((config.queue.queue_only_load, config.queue.refuse_load), (16.0, 48.0));
    assert_eq!(config::check_tables(&config), []);
    let check = String::from_utf8(site.pennypost(&["check", "--json"]).stdout).unwrap();
    let complaints = check.lines().filter(|line| {
        line.contains("pennypost.toml") || line.contains("etc/mail") && !line.contains("users")
    });
    assert_eq!(complaints.collect::<Vec<_>>(), [""; 0]);
}

/// What the notes of that site say of `3,0 llanders@example.com`, without and with the smarthost.
#[test]
fn addresses_end_in_the_same_triple() {
    let own = Site::new(|text| text.replace("smarthost =", "#"));
    let llanders = "$# esmtp $@ example . net . $: llanders < @ example . net . >";
    assert_eq!(own.triple("llanders@example.com"), llanders);
    let site = Site::new(|text| text);
    for (address, expected) in [
        (
            "llanders@example.com",
            "$# relay $@ [ 192 . 0 . 2 . 25 ] $: llanders < @ example . net . >",
        ),
        ("sales@example.com", "$# local $: alice"),
        ("x@partner.example", "$# esmtp $@ [ 192 . 0 . 2 . 50 ] $: x < @ partner . example . >"),
        ("old@example.com", "$# error $@ 5 . 1 . 1 $: User unknown"),
    ] {
        assert_eq!(site.triple(address), expected, "{address}");
    }
    let route =
        String::from_utf8(site.pennypost(&["route", "llanders@example.com"]).stdout).unwrap();
    for part in ["virtuser-domains:2: ", "virtusertable:1: ", "relay.smarthost: "] {
        assert!(route.contains(part), "{route}");
    }
}

/// The site with a Maildir in place of procmail, and sinks in place of its neighbours.
fn start(smart: &Sink, partner: &Sink) -> System {
    let host = |sink: &Sink| format!("[{}]:{}", sink.address().ip(), sink.address().port());
    let text = read("pennypost.toml");
    let (_, relay) = text.split_once("[relay]\n").unwrap();
    let (relay, local) = relay.split_once("[local]\n").unwrap();
    let (local, rest) = local.split_once("[limits]\n").unwrap();
    let local: String =
        local.lines().filter(|line| !line.starts_with("mailbox")).collect::<Vec<_>>().join("\n");
    let mut builder = SystemBuilder::new()
        .replace("mta.test", "mail.corp.example")
        .replace("[local]\n", &format!("[local]\n{local}\n"))
        .config(&format!("[relay]\n{relay}").replace("[192.0.2.25]", &host(smart)))
        .config(&format!("[limits]\n{rest}"))
        // Whatever else runs on this machine.
        .replace("queue_only_load = 16.0 ", "queue_only_load = 100000.0 ")
        .replace("refuse_load = 48.0 ", "refuse_load = 100000.0 ");
    for name in TABLES {
        let table = read(&format!("tables/{name}")).replace("[192.0.2.50]", &host(partner));
        builder = builder.table(name, &table);
    }
    builder.start()
}

#[test]
fn it_behaves_as_its_notes_say() {
    let (smart, partner) = (Sink::start(), Sink::start());
    let system = start(&smart, &partner);
    let mut client = system.session();
    client.command("MAIL FROM:<carol@far.example>", "250");
    for (to, reply) in [
        ("llanders@example.com", "250"),
        ("old@example.com", "550 5.1.1"),
        ("gone@example.com", "550 5.7.0"),
        ("shop@lisa.example.com", "550 5.1.1"),
        ("anything@lisa.example.com", "250"),
        ("anybody@example.com", "250"),
        ("x@closed.example", "550 5.3.0"),
        ("sales@example.com", "250"),
    ] {
        client.command(&format!("RCPT TO:<{to}>"), reply);
    }
    client.command("RSET", "250");
    for from in ["spammer@bulk.example", "other@bulk.example"] {
        client.command(&format!("MAIL FROM:<{from}>"), "250");
        client.command("RCPT TO:<sales@example.com>", "550 5.7.1");
        client.command("RSET", "250");
    }
    client.command("VRFY alice", "252");
    client.command("EXPN root", "50");

    let text = "From: root@mail.corp.example\nTo: bob@acquired.example\nSubject: x\n\nx\n";
    let to = ["llanders@example.com", "x@partner.example", "anything@lisa.example.com"];
    client.transaction("alice@mail.corp.example", &to, text);
    system.wait_mail("bob", 1);
    // The mailertable wins over the smarthost; the reverse-path is masqueraded, root is exposed.
    let sent = smart.wait(|received| received.len() == 1).remove(0);
    assert_eq!(sent.rcpt, ["RCPT TO:<llanders@example.net>"]);
    assert!(sent.mail.starts_with("MAIL FROM:<alice@corp.example>"), "{}", sent.mail);
    assert!(sent.content.contains("From: root@mail.corp.example\r\n"), "{}", sent.content);
    assert!(sent.content.contains("To: bob@corp.example\r\n"), "{}", sent.content);
    let sent = partner.wait(|received| received.len() == 1).remove(0);
    assert_eq!(sent.rcpt, ["RCPT TO:<x@partner.example>"]);
}
