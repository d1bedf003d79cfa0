//! Postfix as the next hop and as the sender.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use support::{Client, PATIENCE, Postfix, SystemBuilder};

/// One that takes all mail for `postfix.test` into one Maildir, and hands everything else to
/// `next_hop`.
fn start(next_hop: SocketAddr) -> Option<Postfix> {
    Postfix::start(&format!(
        "myhostname = postfix.example\nmynetworks = 127.0.0.0/8\nrelayhost = [127.0.0.1]:{}\n\
         virtual_mailbox_domains = postfix.test\nvirtual_mailbox_base = {{FOLDER}}/mail\n\
         virtual_mailbox_maps = static:inbox/\nvirtual_uid_maps = static:{{UID}}\n\
         virtual_gid_maps = static:{{GID}}\nvirtual_minimum_uid = 1\n",
        next_hop.port()
    ))
}

fn wait_mail(postfix: &Postfix, count: usize) -> Vec<String> {
    let inbox = postfix.path("mail/inbox/new");
    let end = Instant::now() + PATIENCE;
    loop {
        let entries: Vec<PathBuf> = std::fs::read_dir(&inbox)
            .map(|entries| entries.map(|entry| entry.unwrap().path()).collect())
            .unwrap_or_default();
        if entries.len() >= count {
            return entries.iter().map(|path| std::fs::read_to_string(path).unwrap()).collect();
        }
        assert!(Instant::now() < end, "Postfix has {} of {count}", entries.len());
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn postfix_is_the_next_hop() {
    let Some(postfix) = start("127.0.0.1:9".parse().unwrap()) else { return };
    let system = SystemBuilder::new().smarthost(postfix.address()).start();
    let mut client = system.session();
    let long = format!("Subject: long\n\n{}", ".dots and text\n".repeat(20_000));
    for text in ["Subject: one\n\n.\n..\nend\n", "Subject: two\n\nümlaut\n", &long] {
        client.transaction("alice@local.test", &["x@postfix.test", "y@postfix.test"], text);
    }
    let mail = wait_mail(&postfix, 6);
    assert!(mail.iter().any(|mail| mail.ends_with("\n\n.\n..\nend\n")), "{mail:#?}");
    assert!(mail.iter().any(|mail| mail.ends_with("ümlaut\n")));
    let (_, long) = long.split_once("\n\n").unwrap();
    assert!(mail.iter().any(|mail| mail.ends_with(long)));
    system.wait_log(|line| line.contains("stat=Sent") && line.contains("queued as"));
}

#[test]
fn postfix_is_the_sender() {
    let system = SystemBuilder::new().start();
    let Some(postfix) = start(system.smtp()) else { return };
    let mut client = Client::connect(postfix.address());
    client.command("EHLO client.test", "250");
    let text = format!("Subject: via Postfix\n\n.\n{}", "ü and dots\n..\n".repeat(10_000));
    client.transaction("carol@example.org", &["alice@local.test", "bob@local.test"], &text);
    client.transaction("carol@example.org", &["alice@local.test"], "Subject: second\n\nx\n");
    assert_eq!(system.wait_mail("alice", 2).len(), 2);
    let bob = system.wait_mail("bob", 1).remove(0);
    let (_, body) = text.split_once("\n\n").unwrap();
    // Postfix adds the header fields that are missing.
    assert!(bob.ends_with(body), "{}", &bob[..2000]);
}

/// Debian's Postfix refuses whom it does not know before it would take the message.
#[test]
fn postfix_says_to_its_backup_whom_it_knows() {
    let main = "myhostname = postfix.example\nmynetworks = 127.0.0.0/8\n\
        virtual_mailbox_domains = postfix.test\nvirtual_mailbox_base = {FOLDER}/mail\n\
        virtual_mailbox_maps = inline:{known@postfix.test=inbox/}\n\
        virtual_uid_maps = static:{UID}\nvirtual_gid_maps = static:{GID}\n\
        virtual_minimum_uid = 1\n";
    let Some(postfix) = Postfix::start(main) else { return };
    let hop = format!("postfix.test smtp:[127.0.0.1]:{}\n", postfix.address().port());
    let system = SystemBuilder::new()
        .config("[relay]\nnetworks = [\"192.0.2.0/24\"]\n[policy]\nrules = [\"access\"]\n")
        .table("access", "To:postfix.test RELAY\n")
        .table("mailertable", &hop)
        .start();
    let mut client = system.session();
    client.command("MAIL FROM:<stranger@example.org>", "250");
    let reply = client.command("RCPT TO:<unknown@postfix.test>", "550 5.1.1 <unknown@");
    assert!(reply.contains("User unknown in virtual mailbox table"), "{reply}");
    client.command("RSET", "250");
    client.transaction("stranger@example.org", &["known@postfix.test"], "Subject: known\n\nx\n");
    assert_eq!(wait_mail(&postfix, 1).len(), 1);
    // It is down, and its backup is there for that.
    drop(postfix);
    client.command("MAIL FROM:<stranger@example.org>", "250");
    client.command("RCPT TO:<somebody-else@postfix.test>", "250");
}
