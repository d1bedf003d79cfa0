//! What reads sendmail's log reads ours: logwatch's script for sendmail, and the lines for which
//! fail2ban's filter of that name looks.

use std::process::Command;

use support::{Client, Sink, System, SystemBuilder, installed, run};

const LIBRARY: &str = "-I/usr/share/logwatch/lib";
const SCRIPT: &str = "/usr/share/logwatch/scripts/services/sendmail";

/// The log of a system that took a message for three, one of them on a list, kept one of them waiting,
/// and refused two recipients.
fn system(sink: &Sink) -> System {
    let builder = SystemBuilder::new().replace("[log]\n", "[log]\nformat = \"sendmail\"\n");
    let system = builder.table("aliases", "list: bob@far.test, busy@far.test\n");
    let system = system.smarthost(sink.address()).start();
    let mut client = Client::connect(system.smtp());
    client.command("EHLO client.test", "250");
    let to = ["alice@local.test", "list@local.test"];
    let text = "Message-ID: <1@far.test> , relay=x\nSubject: x\n\nx\n";
    client.transaction("carol@far.test", &to, text);
    client.command("MAIL FROM:<carol@far.test>", "250");
    client.command("RCPT TO:<nobody@local.test>", "550");
    let sent = system.sendmail(&["bob@far.test"], "Subject: y\n\ny\n");
    assert!(sent.status.success(), "{sent:?}");
    for last in ["ctladdr=<list@local.test>", "stat=Deferred", "mailer=local", "reject="] {
        system.wait_log(|line| line.contains(last));
    }
    system.wait_logs(|log| {
        (log.iter().filter(|it| it.contains("to=<bob@far.test>")).count() == 2).then_some(())
    });
    system
}

fn sink() -> Sink {
    let busy = |line: &str| line.contains("busy@").then(|| "451 4.3.2 later".to_owned());
    Sink::scripted(move |line| line.starts_with("RCPT").then(|| busy(line)).flatten())
}

/// The lines without time, host and process.
fn lines(system: &System) -> Vec<String> {
    let told = |line: &String| line.split_once("]: ").map(|(_, told)| told.to_owned());
    system.log().iter().filter(|line| line.contains(" mta.test sm-mta[")).filter_map(told).collect()
}

/// The line that has this in it, with what differs from run to run put as `N`.
fn line(lines: &[String], part: &str) -> String {
    let line = lines.iter().find(|line| line.contains(part));
    let line = line.unwrap_or_else(|| panic!("no {part} in {lines:#?}"));
    let is_id = |id: &str| id.len() == 13 && !id.contains(' ');
    let rest = line.split_once(": ").filter(|(id, _)| is_id(id)).map_or(&**line, |(_, rest)| rest);
    let fields = rest.split(", ").map(|field| match field.split_once('=') {
        Some((name @ ("delay" | "xdelay" | "pri" | "size"), _)) => format!("{name}=N"),
        Some(("relay", value)) if value.starts_with("[127.0.0.1]:") => "relay=N".to_owned(),
        _ => field.to_owned(),
    });
    fields.collect::<Vec<_>>().join(", ")
}

#[test]
fn the_lines_are_those_of_sendmail() {
    let sink = sink();
    let system = system(&sink);
    let lines = lines(&system);
    for (part, expected) in [
        (
            "from=<carol@far.test>, size",
            "from=<carol@far.test>, size=N, class=0, nrcpts=2, msgid=<1@far.test>, proto=ESMTP, \
             daemon=mx, relay=client.test [127.0.0.1]",
        ),
        (
            "to=<bob@far.test>, ctladdr=<list@local.test>",
            "to=<bob@far.test>, ctladdr=<list@local.test>, delay=N, xdelay=N, mailer=esmtp, pri=N, \
             relay=N, dsn=2.0.0, ntries=1, stat=Sent (250 2.0.0 kept)",
        ),
        (
            "to=<busy@far.test>",
            "to=<busy@far.test>, ctladdr=<list@local.test>, delay=N, xdelay=N, mailer=esmtp, pri=N, \
             relay=N, dsn=4.3.2, ntries=1, stat=Deferred: 451 4.3.2 later",
        ),
        (
            "reject=",
            "ruleset=check_rcpt, arg1=<nobody@local.test>, relay=client.test [127.0.0.1], \
             reject=550 5.1.1 <nobody@local.test>... User unknown",
        ),
    ] {
        assert_eq!(line(&lines, part), expected);
    }
    let own = line(&lines, "daemon=submission, ");
    assert!(own.ends_with("@localhost"), "{own}");
}

#[test]
fn logwatch_understands_them() {
    if !installed("logwatch", "logwatch") {
        return;
    }
    let sink = sink();
    let log = lines(&system(&sink));
    let mut script = Command::new("perl");
    script.args([LIBRARY, SCRIPT]).env("LOGWATCH_DETAIL_LEVEL", "10");
    let output = run(&mut script, &format!("{}\n", log.join("\n")));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let words: Vec<_> = text.lines().map(|it| it.split_whitespace().collect::<Vec<_>>()).collect();
    for row in [
        "Messages To Recipients: 2",
        "Addressed Recipients: 3",
        "esmtp 2",
        "local 1",
        "To: <busy@far.test> 1 Time",
        "<nobody@local.test> 1 Time",
    ] {
        assert!(words.iter().any(|words| words.join(" ") == row), "{row}: {text}");
    }
    let (_, unmatched) = text.split_once("**Unmatched Entries**").unwrap_or((&text, ""));
    assert!(!["from=<", "to=<", "ruleset="].iter().any(|it| unmatched.contains(it)), "{text}");
}
