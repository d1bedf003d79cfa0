//! Clients that want more than their share: what each of them costs is bounded, and others are
//! served meanwhile.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{scope, spawn};
use std::time::{Duration, Instant};

use support::{Client, PATIENCE, System, SystemBuilder};

const TRANSACTION: &[&str] = &["MAIL FROM:<>", "RCPT TO:<alice@local.test>"];
/// What a flood sends in one write.
const PIECE: usize = 64 * 1024;
/// KiB by which one client may make `smtpd` grow: buffers of 64 KiB, and the allocator's slack.
const GROWTH: usize = 8 * 1024;

/// What is said first, what is said for ever, and how the last reply begins.
const FLOODS: [(&[&str], &str, &str); 10] = [
    (&[], "x", "421 4.5.2"),
    (&[], "NOOP\r\n", "421 4.7.0"),
    (&[], "RSET\r\n", "421 4.7.0"),
    (&[], "MAIL FROM:<>\r\nRSET\r\n", "421 4.7.0"),
    (&[], "nonsense\r\n", "421 4.7.0"),
    (TRANSACTION, "RCPT TO:<alice@local.test>\r\n", "421 4.7.0"),
    (TRANSACTION, "RCPT TO:<nobody@local.test>\r\n", "421 4.7.0"),
    (TRANSACTION, "BDAT 0\r\n", "421 4.7.0"),
    (TRANSACTION, "BDAT 1\r\nx", "421 4.7.0"),
    (TRANSACTION, "BDAT 99999999\r\n", "552 5.3.4"),
];

#[test]
fn every_flood_ends_and_costs_little() {
    let system = SystemBuilder::new().start();
    let before = system.peak_memory("smtpd mx");
    for (opening, piece, last) in FLOODS {
        let replies = flood(&system, opening, piece);
        let end = replies.lines().last().unwrap_or_default();
        assert!(end.starts_with(last), "{piece:?} ends with {end:?}");
        system.session().command("QUIT", "221");
    }
    let grown = system.peak_memory("smtpd mx") - before;
    assert!(grown < GROWTH, "{grown} KiB");
}

/// All replies to a flood, up to the last.
fn flood(system: &System, opening: &[&str], piece: &str) -> String {
    let mut stream = begin(system, opening);
    let mut reader = stream.try_clone().unwrap();
    let replies = spawn(move || {
        let mut replies = Vec::new();
        // A reset at the end is fine, too.
        let _ = reader.read_to_end(&mut replies);
        String::from_utf8(replies).unwrap()
    });
    let pieces = piece.repeat(PIECE / piece.len());
    let end = Instant::now() + PATIENCE;
    // The server says its last words, and for a moment still reads what nobody hears.
    while !replies.is_finished() && stream.write_all(pieces.as_bytes()).is_ok() {
        assert!(Instant::now() < end, "{piece:?} goes on and on");
    }
    replies.join().unwrap()
}

/// A session that has said these commands, each accepted.
fn begin(system: &System, commands: &[&str]) -> TcpStream {
    let mut client = system.session();
    for command in commands {
        client.command(command, "250");
    }
    client.into_stream()
}

#[test]
fn a_client_that_reads_no_replies_is_not_read_from() {
    let system = SystemBuilder::new().start();
    let before = system.peak_memory("smtpd mx");
    let mut deaf = begin(&system, TRANSACTION);
    deaf.set_write_timeout(Some(Duration::from_secs(1))).unwrap();
    let pieces = "RCPT TO:<alice@local.test>\r\n".repeat(1000);
    // Until nothing has moved for a second.
    let error = loop {
        if let Err(error) = deaf.write_all(pieces.as_bytes()) {
            break error;
        }
    };
    // Or it was so slow that it was sent away meanwhile.
    let kinds = [ErrorKind::WouldBlock, ErrorKind::ConnectionReset, ErrorKind::BrokenPipe];
    assert!(kinds.contains(&error.kind()), "{error}");
    system.session().transaction("c@example.org", &["alice@local.test"], "Subject: x\n\nx\n");
    let grown = system.peak_memory("smtpd mx") - before;
    assert!(grown < GROWTH, "{grown} KiB");
}

#[test]
fn ten_thousand_refusals_are_not_ten_thousand_lines() {
    let system = SystemBuilder::new().start();
    flood(&system, TRANSACTION, "RCPT TO:<alice@local.test>\r\n");
    let more = |line: &String| {
        line.strip_suffix(" more refusals")?.rsplit(' ').next()?.parse::<usize>().ok()
    };
    let lines = system.wait_logs(|log| {
        let lines = log.iter().filter(|line| line.contains("reject=")).count();
        let more: usize = log.iter().filter_map(more).sum();
        (more + lines >= 9000).then_some(lines)
    });
    assert!(lines < 1000, "{lines} lines");
}

/// `PENNYPOST_CONNECTIONS` asks for more than CI has descriptors for.
#[test]
fn many_idle_connections_keep_nobody_from_sending() {
    let count = std::env::var("PENNYPOST_CONNECTIONS").ok().and_then(|n| n.parse().ok());
    let count: usize = count.unwrap_or(300);
    let limits = format!("[limits]\nsessions = {}\n", 2 * count);
    let system = SystemBuilder::new().config(&limits).start();
    let before = system.peak_memory("smtpd mx");
    let begun = std::time::Instant::now();
    let idle: Vec<_> = (0..count).map(|_| system.session()).collect();
    let all = begun.elapsed();
    let grown = system.peak_memory("smtpd mx").saturating_sub(before);
    let begun = std::time::Instant::now();
    system.session().transaction("c@example.org", &["alice@local.test"], "Subject: x\n\nx\n");
    println!(
        "{count} connections in {all:?}, {:.1} KiB each, a message beside them in {:?}",
        grown as f64 / count as f64,
        begun.elapsed()
    );
    assert!(grown < GROWTH + 20 * count, "{grown} KiB");
    drop(idle);
}

#[test]
fn who_finds_no_seat_hears_why_at_once() {
    let system = SystemBuilder::new().config("[limits]\nsessions = 5\n").start();
    let mut guests: Vec<_> = (0..5).map(|_| system.session()).collect();
    let served = AtomicBool::new(false);
    let come_again_and_again = || {
        for sent_away in 1.. {
            let mut client = Client::dial(system.smtp()).unwrap();
            client.expect("421 4.3.2");
            assert_eq!(client.reply().unwrap(), None);
            if served.load(Ordering::Relaxed) {
                return sent_away;
            }
        }
        0
    };
    let sent_away: usize = scope(|scope| {
        let crowd = [(); 8].map(|()| scope.spawn(come_again_and_again));
        for guest in &mut guests {
            let to = ["alice@local.test"];
            guest.transaction("c@example.org", &to, "Subject: x\n\nx\n");
        }
        served.store(true, Ordering::Relaxed);
        crowd.into_iter().map(|it| it.join().unwrap()).sum()
    });
    let told = system.log().iter().filter(|line| line.contains("Too many sessions")).count();
    assert!(told <= 5, "{told} lines for {sent_away} clients");
}

#[test]
fn who_waits_to_be_accepted_is_told_when_the_house_goes_down() {
    let mut system = SystemBuilder::new().start();
    let mut idle = system.session();
    let mut busy = system.session();
    busy.command("MAIL FROM:<c@example.org>", "250");
    busy.command("RCPT TO:<alice@local.test>", "250");
    busy.command("DATA", "354");
    let address = system.smtp();
    scope(|scope| {
        let stopping = scope.spawn(|| system.stop());
        idle.expect("421 4.3.2");
        let mut late = Client::dial(address).unwrap();
        late.expect("421 4.3.2");
        busy.send(b"Subject: x\r\n\r\nx\r\n").unwrap();
        busy.command(".", "250");
        busy.expect("421 4.3.2");
        stopping.join().unwrap();
    });
}
