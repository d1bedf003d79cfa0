//! `sendmail -bh`: the replies of a session that is only played are those of a real one.

use support::{Client, System, SystemBuilder, run};

use crate::relay::dns::Dns;

/// What is sent at a time, each with one reply.
const TURNS: [&str; 41] = [
    "RCPT TO:<alice@local.test>\n",
    "HELO mx.far.test\n",
    "EHLO mta.test\n",
    "MAIL FROM:<a@nowhere.test>\n",
    "RCPT TO:<alice@local.test>\n",
    "EHLO mx.far.test\n",
    "MAIL FROM:<a@nowhere.test>\n",
    "RCPT TO:<alice@local.test>\n",
    "RSET\n",
    "MAIL FROM:<a b>\n",
    "MAIL FROM:<x@far.test> SIZE=99999999999\n",
    "MAIL FROM:<x@far.test> NOISE=1\n",
    "MAIL FROM:<x@far.test> BODY=8BITMIME RET=HDRS\n",
    "MAIL FROM:<again@far.test>\n",
    "RCPT TO:<nobody-here@local.test>\n",
    "DATA\n",
    "RCPT TO:<x@other.test>\n",
    "RCPT TO:<moved@virt.test>\n",
    "RCPT TO:<spam@local.test>\n",
    "RCPT TO:<team@local.test> NOTIFY=NEVER\n",
    "DATA\n",
    "Subject: x\n\nQUIT\n..\n.\n",
    "MAIL FROM:<spammer@far.test>\n",
    "RCPT TO:<alice@local.test>\n",
    "RSET\n",
    "MAIL FROM:<>\n",
    "RCPT TO:<postmaster>\n",
    "BDAT 11\r\nSubject: \r\n",
    "BDAT 5 LAST\r\nx\r\n\r\n",
    "BDAT 3\r\nx\r\n",
    "NOOP\n",
    "VRFY alice\n",
    "EXPN team\n",
    "HELP\n",
    "ETRN x\n",
    "STARTTLS\n",
    "AUTH PLAIN\n",
    "UNKNOWN\n",
    "\n",
    "DATA\n",
    "QUIT\n",
];

/// Replies, and what is said beside them.
fn played(system: &System, client: &str, turns: &[&str]) -> (Vec<String>, String) {
    let mut command = system.command("sendmail");
    let output = run(command.args(["-bh", client]), &turns.concat());
    assert!(output.status.success(), "{output:?}");
    let replies = String::from_utf8(output.stdout).unwrap();
    let replies = replies.strip_suffix("\r\n").expect("lines of SMTP").split("\r\n");
    (replies.map(anonymous).collect(), String::from_utf8(output.stderr).unwrap())
}

/// The same from the system itself, up to where it ends.
fn real(system: &System, client: &str, turns: &[&str]) -> Vec<String> {
    let mut smtp = Client::connect_from(client.parse().unwrap(), system.smtp());
    let mut replies = vec!["220 mta.test ESMTP Pennypost".to_owned()];
    for turn in turns {
        let lines = turn.replace("\r\n", "\n").replace('\n', "\r\n");
        if smtp.send(lines.as_bytes()).is_err() {
            break;
        }
        let Ok(Some(reply)) = smtp.reply() else { break };
        replies.extend(reply.trim_end().split("\r\n").map(anonymous));
    }
    replies
}

/// Without the id of a message.
fn anonymous(reply: &str) -> String {
    reply.split_inclusive("Queued as ").next().unwrap_or_default().to_owned()
}

#[test]
fn what_is_played_is_what_would_be() {
    let dns = Dns::start("far.test MX 10 mx.far.test\nmx.far.test A 127.0.0.1\n");
    let system = SystemBuilder::new()
        .config(&format!("[remote]\nresolver = [\"{}\"]\nfamilies = \"ipv4\"\n", dns.address))
        .config("[relay]\nnetworks = [\"127.0.1.0/24\", \"2001:db8::/32\"]\n")
        .config(
            "[policy]\nrules = [\"access\", \"reject bad_helo\", \"reject unresolvable_sender\"]\n",
        )
        .table(
            "access",
            "From:spammer@far.test\tREJECT\nTo:spam@local.test\tERROR:\"450 later\"\n\
                          Srv_Features:127.0.1\tP\n",
        )
        .table("virtusertable", "moved@virt.test\terror:5.1.6:550 moved\n")
        .table("virtuser-domains", "virt.test\n")
        .table("aliases", "team: alice, x@far.test\n")
        .start();
    // A stranger, one of ours, and the machine itself.
    for client in ["127.0.2.1", "127.0.1.1", "127.0.0.1"] {
        let (replies, notes) = played(&system, client, &TURNS);
        assert_eq!(replies, real(&system, client, &TURNS), "{client}: {notes}");
        let place = ">>>   access:1: from:spammer@far.test REJECT\n";
        assert!(notes.contains(place) && notes.contains("nothing was delivered"), "{notes}");
    }
    let errors = ["NOISE\n"; 100];
    let (replies, _) = played(&system, "127.0.2.1", &errors);
    assert_eq!(replies, real(&system, "127.0.2.1", &errors));
    assert!(replies.len() < errors.len(), "it has an end");
    // By IPv6, and to where there is no way from others.
    let relayed = ["EHLO x.test\n", "MAIL FROM:<x@far.test>\n", "RCPT TO:<y@other.test>\n"];
    let last = |client| played(&system, client, &relayed).0.pop().unwrap();
    assert_eq!(last("2001:db8::7"), "250 2.1.5 Recipient ok");
    assert_eq!(last("[IPv6:2001:db9::7]"), "550 5.7.1 <y@other.test>... Relaying denied");

    // Of all this only the real sessions brought anything.
    assert_eq!(system.wait_mail("alice", 3).len(), 3);
    let accepted = |line: &&String| line.contains("smtpd(mx)") && line.contains(": from=<");
    assert_eq!(system.log().iter().filter(accepted).count(), 6);
    let bad = run(system.command("sendmail").args(["-bh", "local.test"]), "");
    assert_eq!(bad.status.code(), Some(64), "{bad:?}");
    assert!(String::from_utf8_lossy(&bad.stderr).contains("give one, 192.0.2.7 or "), "{bad:?}");
}
