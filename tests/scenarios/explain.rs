//! `pennypost explain`: replies with their lines, the route, content, and which files are in force.

use std::fs;

use support::{System, SystemBuilder};

fn explain(system: &System, arguments: &[&str]) -> (String, Option<i32>) {
    let output = system.command("pennypost").arg("explain").args(arguments).output().unwrap();
    let wrong = String::from_utf8_lossy(&output.stderr).into_owned();
    (String::from_utf8_lossy(&output.stdout).into_owned() + &wrong, output.status.code())
}

#[test]
fn replies_have_their_lines_and_mail_its_route() {
    let system = SystemBuilder::new()
        .table("spam.re", "# ours\nFrom:/^promo-[0-9]+@/ ERROR:5.7.1:\"550 no promotion\"\n")
        .table("access", "From:far.test OK\n")
        .table("aliases", "team: alice, x@far.test\n")
        .config("[relay]\nsmarthost = \"[192.0.2.25]\"\n")
        .config("[tables]\naccess = [\"regex:spam.re\", \"text:access\"]\n")
        .start();
    let stranger = ["--client", "198.51.100.7", "--helo", "mx.far.test"];
    let with = |more: &[&'static str]| explain(&system, &[&stranger, more].concat());
    let (text, code) = with(&["--from=promo-7@far.test", "--to=alice@local.test"]);
    assert!(
        text.contains("  spam.re:2: from:/^promo-[0-9]+@/ ERROR:5.7.1:550 no promotion\n"),
        "{text}"
    );
    assert!(text.contains("  = 550 5.7.1 <alice@local.test>... no promotion\n"), "{text}");
    assert_eq!(code, Some(77));
    let (text, code) = with(&["--from=<a@far.test>", "--to=team@local.test", "--to=team"]);
    for line in [
        "client 198.51.100.7\n",
        "  = 250 2.1.0 Sender ok\n",
        "  local-host-names:1: the domain is local\n",
        "  access:1: from:far.test OK\n",
        "  = 250 2.1.5 Recipient ok\n",
        "    goes to local alice\n",
        "    goes to host [192.0.2.25]\n",
        "to <team>\n  = 553 5.1.3 Bad recipient address",
    ] {
        assert!(text.contains(line), "{line:?} is not in {text}");
    }
    assert_eq!(code, Some(77));
    let (text, code) = explain(&system, &["--auth", "bob", "--from", "alice", "--to", "bob"]);
    assert!(text.contains("there are no passwords yet") && text.contains("local bob"), "{text}");
    assert_eq!(code, Some(0));
}

#[test]
fn content_is_answered_and_other_files_are_told() {
    let mut system = SystemBuilder::new().start();
    let message = system.path("message");
    let with_message = |system: &System| {
        explain(system, &["--to", "bob@local.test", "--message", message.to_str().unwrap()])
    };
    fs::write(&message, "Subject: x\n\n.\nlast").unwrap();
    let (text, code) = with_message(&system);
    assert!(text.contains("content\n  = 250 2.0.0 it would be queued\n"), "{text}");
    assert_eq!(code, Some(0), "{text}");
    fs::write(&message, "Received: x\n".repeat(101) + "\nx\n").unwrap();
    let (text, code) = with_message(&system);
    assert!(text.contains("content\n  = 554 5.4.6"), "{text}");
    assert_eq!((code, system.mail("bob").len()), (Some(77), 0));

    fs::write(system.path("etc/mail/mailertable"), "far.test uucp-new:x\n").unwrap();
    system.wait_log(|line| line.contains("nothing changes"));
    let (text, _) = explain(&system, &["--to", "bob@local.test"]);
    assert!(text.starts_with("configuration 1 is in force, and not these files: "), "{text}");
    system.stop();
    let (text, code) = explain(&system, &["--to", "bob@local.test"]);
    assert!(text.starts_with("the mail system does not run; by the files:\n"), "{text}");
    assert_eq!(code, Some(0), "{text}");
}
