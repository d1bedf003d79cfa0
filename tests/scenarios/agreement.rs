//! `pennypost explain` and the running system say and do the same: random tables, random sessions.
//!
//! Each round writes tables, has them in force, and holds sessions from several addresses of loopback.
//! Every reply to MAIL and RCPT, and what EHLO offers, must be what `explain` has, and every message must
//! end exactly where it says: in these mailboxes, at these next hops with these recipients, and nowhere
//! else.
//!
//! `PENNYPOST_SEED` repeats a run, `PENNYPOST_AGREE_SECONDS` makes it longer.

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, TcpListener};
use std::time::{Duration, Instant};

use fastrand::Rng;
use serde_json::Value;
use support::{Client, PATIENCE, Sink, System, SystemBuilder};

use crate::relay::dns::Dns;

/// How long rounds are begun.
const SECONDS: u64 = 20;
const SESSIONS: usize = 12;
const HOSTNAME: &str = "mta.test";
const USERS: [&str; 4] = ["alice", "bob", "root", "carol"];
const NAMES: [&str; 9] =
    ["alice", "bob", "root", "carol", "list", "info", "Alice", "postmaster", "sales"];
const DETAILS: [&str; 4] = ["", "", "+", "+x"];
const DOMAINS: [&str; 10] = [
    HOSTNAME,
    "local.test",
    "virt.test",
    "far.test",
    "a.far.test",
    "back.test",
    "x.back.test",
    "gone.test",
    "[127.0.0.1]",
    "old.test",
];
/// The second relays by its network. None has a name: resolvers know by themselves that loopback is
/// `localhost`, and that leads back to none but the first.
const CLIENTS: [[u8; 4]; 4] = [[127, 0, 0, 1], [127, 0, 1, 1], [127, 0, 2, 1], [127, 0, 3, 1]];
const ZONE: &str = "far.test A 127.0.0.1\na.far.test A 127.0.0.1\nback.test MX 10 x.back.test\n\
                    x.back.test A 127.0.0.1\nlocal.test A 127.0.0.1\nvirt.test A 127.0.0.1\n\
                    mta.test A 127.0.0.1\n";

#[test]
fn explain_says_what_the_system_does() {
    let seed = number("PENNYPOST_SEED").unwrap_or_else(|| fastrand::u64(..));
    let time = Duration::from_secs(number("PENNYPOST_AGREE_SECONDS").unwrap_or(SECONDS));
    println!("PENNYPOST_SEED={seed}");
    let mut world = World::new(seed);
    let begin = Instant::now();
    let mut sessions = 0;
    while sessions == 0 || begin.elapsed() < time {
        let tables = world.change();
        let held: Vec<_> = (0..SESSIONS).map(|_| world.session()).collect();
        sessions += held.len();
        let expected: Round = held.iter().flat_map(|it| it.ends.iter().cloned()).collect();
        let ended = world.settled(&expected);
        let only_told: Vec<_> = expected.difference(&ended).collect();
        let only_done: Vec<_> = ended.difference(&expected).collect();
        let agrees = only_told.is_empty() && only_done.is_empty();
        assert!(
            agrees,
            "{held:#?}\n{tables}told {only_told:?}\ndone {only_done:?}\nPENNYPOST_SEED={seed}"
        );
    }
    println!("{sessions} sessions agree");
}

fn number(variable: &str) -> Option<u64> {
    env::var(variable).ok()?.parse().ok()
}

/// The system, its next hops, and chance.
struct World {
    random: Rng,
    system: System,
    sinks: [Sink; 2],
    _dns: Dns,
    /// Of the message.
    token: usize,
}

/// One session as it was.
#[derive(Debug)]
#[expect(dead_code, reason = "shown when it goes wrong")]
struct Held {
    client: IpAddr,
    from: String,
    to: Vec<String>,
    token: String,
    /// Where the message goes, by `explain`; empty: it was not sent.
    ends: Vec<End>,
}

/// Where a copy ends, with the token of its message.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum End {
    Mailbox(String, String),
    /// The next hop's port and the recipient there.
    Hop(u16, String, String),
    /// It stays in the queue, for this recipient at least.
    Queue(String),
}

/// Makes a line of a table.
type Writer = fn(&mut World) -> String;

/// All of a round.
type Round = BTreeSet<End>;

impl World {
    fn new(seed: u64) -> Self {
        let sink = || Sink::on(TcpListener::bind("127.0.0.1:0").unwrap(), |_| None);
        let (sinks, dns) = ([sink(), sink()], Dns::start(ZONE));
        let mut random = Rng::with_seed(seed);
        // All the time the same: who delivers to a user is not asked again for a while.
        let users: String =
            USERS.iter().filter(|_| random.u8(..4) > 0).map(|it| format!("{it}:\n")).collect();
        let system = SystemBuilder::new()
            .table("users", &users)
            .config(&format!(
                "[relay]\nnetworks = [\"127.0.1.0/24\"]\nsmarthost = \"[127.0.0.1]:{}\"\n\
                 [remote]\nresolver = [\"{}\"]\nfamilies = \"ipv4\"\n\
                 [limits]\nsessions_per_client = 500\nconnections_per_minute = 100000\n\
                 [tables]\naccess = [\"text:access\", \"cidr:access.cidr\", \"regex:access.re\"]\n",
                sinks[0].address().port(),
                dns.address,
            ))
            .table("access", "")
            .table("access.cidr", "")
            .table("access.re", "")
            .start();
        Self { random, system, sinks, _dns: dns, token: 0 }
    }

    /// Puts other tables in force, and returns them.
    fn change(&mut self) -> String {
        let mut all = String::new();
        let tables: [(&str, Writer, usize); 10] = [
            ("access", Self::access, 8),
            ("access.cidr", Self::network, 2),
            ("access.re", Self::expression, 2),
            ("aliases", Self::alias, 6),
            ("virtusertable", Self::virtual_user, 6),
            ("mailertable", Self::mailer, 4),
            ("relay-domains", Self::relayed, 2),
            ("local-host-names", |_| "local.test\n".to_owned(), 1),
            ("virtuser-domains", |_| "virt.test\n".to_owned(), 1),
            ("domaintable", Self::renamed, 1),
        ];
        for (name, line, most) in tables {
            let lines = self.random.usize(..=most);
            let text: String = (0..lines).map(|_| line(self)).collect();
            all += &format!("== {name}\n{text}");
            let new = self.system.path("etc/mail/new~");
            fs::write(&new, text).unwrap();
            fs::rename(new, self.system.path("etc/mail").join(name)).unwrap();
        }
        let reload = self.system.command("pennypost").arg("reload").output().unwrap();
        let said = String::from_utf8_lossy(&reload.stderr).into_owned();
        assert!(reload.status.success(), "{said}\n{all}");
        all
    }

    fn pick<'a>(&mut self, list: &[&'a str]) -> &'a str {
        list[self.random.usize(..list.len())]
    }

    fn domain(&mut self) -> &'static str {
        self.pick(&DOMAINS)
    }

    fn address(&mut self) -> String {
        let (name, detail) = (self.pick(&NAMES), self.pick(&DETAILS));
        format!("{name}{detail}@{}", self.domain())
    }

    fn access(&mut self) -> String {
        let value = self.pick(&[
            "OK",
            "RELAY",
            "REJECT",
            "SKIP",
            "ERROR:5.7.1:550 not so",
            "ERROR:450 later",
            "DISCARD",
        ]);
        if self.random.u8(..8) == 0 {
            return self.offered_less();
        }
        let (tag, key) = match self.random.u8(..8) {
            0 => (
                "Connect:",
                self.pick(&["127.0.3", "127.0", "[127.0.2]", "[127.0.3.1]", "localhost"]),
            ),
            1 => ("", self.pick(&["127.0.1.1", "far.test", "[127.0]", "back.test"])),
            2 | 3 => (self.pick(&["From:", "To:"]), self.pick(&["far.test", "test", "virt.test"])),
            4 => (self.pick(&["From:", "To:"]), self.pick(&["info@", "carol@", "alice@"])),
            _ => {
                let (tag, address) = (self.pick(&["From:", "To:"]), self.address());
                return format!("{tag}{address}\t{}\n", if value == "SKIP" { "OK" } else { value });
            }
        };
        let value = if value == "SKIP" && key.ends_with('@') { "OK" } else { value };
        format!("{tag}{key}\t{value}\n")
    }

    fn offered_less(&mut self) -> String {
        let key = self.pick(&["", "127.0.3", "127.0", "[127.0.2]", "127.0.1.1", "localhost"]);
        format!("Srv_Features:{key}\t{}\n", self.pick(&["P", "I P", "P p", "I", "V"]))
    }

    fn network(&mut self) -> String {
        let length = self.pick(&["8", "16", "23", "24", "32"]);
        let value = self.pick(&["OK", "RELAY", "REJECT", "SKIP"]);
        format!(
            "{}127.0.{}.1/{length} {value}\n",
            self.pick(&["Connect:", ""]),
            self.random.u8(..4)
        )
    }

    fn expression(&mut self) -> String {
        let expression =
            self.pick(&["^info@", "far\\\\.test$", "\\\\+x@", "^127\\\\.0\\\\.3", "^localhost$"]);
        let expression = expression.replace("\\\\", "\\");
        let tag = self.pick(&["From:", "To:", "Connect:", ""]);
        format!("{tag}/{expression}/ {}\n", self.pick(&["OK", "REJECT", "RELAY"]))
    }

    fn alias(&mut self) -> String {
        let targets = self.random.usize(1..4);
        let targets: Vec<_> = (0..targets).map(|_| self.target()).collect();
        let name =
            self.pick(&["list", "info", "carol", "sales", "postmaster", "owner-list", "bob"]);
        format!("{name}: {}\n", targets.join(", "))
    }

    fn target(&mut self) -> String {
        match self.random.u8(..6) {
            0 => format!("\\{}", self.pick(&["alice", "bob"])),
            1 => self.address(),
            2 => format!("{}@far.test", self.pick(&NAMES)),
            _ => self.pick(&NAMES).to_owned(),
        }
    }

    fn virtual_user(&mut self) -> String {
        let domain = self.pick(&["virt.test", "local.test", HOSTNAME]);
        let key = match self.random.u8(..5) {
            0 => String::new(),
            1 => format!("{}+*", self.pick(&NAMES)),
            2 => format!("{}++", self.pick(&NAMES)),
            3 => self.pick(&["++", "+*"]).to_owned(),
            _ => format!("{}{}", self.pick(&NAMES), self.pick(&DETAILS)),
        };
        let value = match self.random.u8(..8) {
            0 => "error:nouser 550 nobody".to_owned(),
            1 => "error:tempfail:later".to_owned(),
            2 => "!".to_owned(),
            3 => "%1@far.test".to_owned(),
            4 => "bob%3".to_owned(),
            5 => self.address(),
            _ => self.pick(&NAMES).to_owned(),
        };
        format!("{key}@{domain}\t{value}\n")
    }

    fn mailer(&mut self) -> String {
        let key = self.pick(&["far.test", ".far.test", "back.test", ".", ".test", "gone.test"]);
        let port = self.sinks[1].address().port();
        let value = match self.random.u8(..6) {
            0 => "error:5.1.6:550 moved".to_owned(),
            1 => format!("local:{}", self.pick(&["alice", "carol"])),
            2 => "discard:".to_owned(),
            3 => format!("esmtp:bob@[127.0.0.1]:{port}"),
            _ => format!("relay:[127.0.0.1]:{port}"),
        };
        format!("{key}\t{value}\n")
    }

    fn renamed(&mut self) -> String {
        format!("old.test\t{}\n", self.pick(&["local.test", "far.test", "virt.test"]))
    }

    fn relayed(&mut self) -> String {
        let line = self.pick(&["back.test", "far.test", "127.0.3", "127.0.3.0/24", "localhost"]);
        format!("{line}\n")
    }
}

impl World {
    /// Holds a session as `explain` says it would be.
    fn session(&mut self) -> Held {
        let client = IpAddr::from(Ipv4Addr::from(CLIENTS[self.random.usize(..CLIENTS.len())]));
        let helo =
            self.pick(&["client.test", "mx.friend.test", HOSTNAME, "[127.0.3.1]"]).to_owned();
        let from = match self.random.u8(..6) {
            0 => String::new(),
            1 => self.pick(&NAMES).to_owned(),
            2 => format!("x@{}", self.pick(&["localhost", "nowhere.invalid"])),
            _ => self.address(),
        };
        let many = self.random.usize(1..4);
        let to: Vec<_> = (0..many).map(|_| self.recipient()).collect();
        let told = self.explain(client, &helo, &from, &to);
        self.token += 1;
        let token = format!("token{}x", self.token);
        let context = format!("{client} {helo} <{from}> {to:?}\n{told:#?}");
        let mut smtp = self.greeted(client, &helo, told[0]["terms"].as_str(), &context);
        let say = |smtp: &mut Client, line: &str, told: &Value| {
            let reply = smtp.command(line, "");
            let code = told["code"].as_u64().unwrap();
            let expected = format!("{code} {}", told["reply"].as_str().unwrap());
            assert_eq!(reply.trim_end(), expected, "{line}\n{context}");
            code
        };
        say(&mut smtp, &format!("MAIL FROM:<{from}>"), &told[0]);
        let mut accepted = Vec::new();
        // What is refused later is not told of: a bounce would have ends of its own.
        for (to, told) in to.iter().zip(&told[1..]) {
            if say(&mut smtp, &format!("RCPT TO:<{to}> NOTIFY=NEVER"), told) == 250 {
                accepted.push(told);
            }
        }
        let mut ends = Vec::new();
        if !accepted.is_empty() {
            smtp.command("DATA", "354");
            smtp.send(format!("Subject: {token}\r\n\r\nx\r\n.\r\n").as_bytes()).unwrap();
            smtp.expect("250");
            ends = ends_of(&accepted, &token);
        }
        smtp.command("QUIT", "221");
        Held { client, from, to, token, ends }
    }

    /// A session after EHLO, in which is offered what `explain` said. What a client is offered holds for
    /// a second, so that one that has been here just before may have to come again.
    fn greeted(&self, client: IpAddr, helo: &str, terms: Option<&str>, context: &str) -> Client {
        let without = terms.and_then(|terms| terms.split_once("; without "));
        let without = without.map_or("", |(_, keywords)| keywords);
        let deadline = Instant::now() + PATIENCE;
        loop {
            let mut smtp = Client::connect_from(client, self.system.smtp());
            let offers = smtp.command(&format!("EHLO {helo}"), "250");
            let agrees = |it: &&str| offers.contains(*it) != without.contains(*it);
            if ["PIPELINING", "SMTPUTF8"].iter().all(agrees) {
                return smtp;
            }
            assert!(Instant::now() < deadline, "{offers}{context}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    fn recipient(&mut self) -> String {
        if self.random.u8(..12) == 0 { "postmaster".to_owned() } else { self.address() }
    }

    /// What `explain` says of the session, and of each recipient.
    fn explain(&self, client: IpAddr, helo: &str, from: &str, to: &[String]) -> Vec<Value> {
        let mut command = self.system.command("pennypost");
        command.args(["explain", "--json", "--helo", helo, "--client"]).arg(client.to_string());
        command.arg(format!("--from={from}"));
        command.args(to.iter().map(|to| format!("--to={to}")));
        let output = command.output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let told: Vec<Value> =
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let wrong = String::from_utf8_lossy(&output.stderr);
        assert_eq!(told.len(), 1 + to.len(), "{command:?}\n{text}{wrong}");
        assert_eq!(told[0]["in_force"], true, "{text}");
        told
    }

    /// Where everything has ended once nothing moves any more; then it is all cleared away. Of the
    /// queue only the number of messages is known.
    fn settled(&self, expected: &Round) -> Round {
        let deadline = Instant::now() + PATIENCE;
        let waiting: Round = expected.iter().filter(|end| end.waits()).cloned().collect();
        let ended = loop {
            let (ended, queued) = (self.ended(), self.queued());
            let mut all = expected.iter().filter(|end| !end.waits());
            if queued == waiting.len() && all.all(|end| ended.contains(end)) {
                break ended.into_iter().chain(waiting).collect();
            }
            if Instant::now() > deadline {
                println!("{queued} messages are queued, {} should be", waiting.len());
                break ended;
            }
            std::thread::sleep(Duration::from_millis(20));
        };
        let clear = ["queue", "delete", "--all"];
        assert!(self.system.command("pennypost").args(clear).output().unwrap().status.success());
        for user in USERS {
            let folder = self.system.path(&format!("home/{user}/Maildir/new"));
            for mail in fs::read_dir(folder).into_iter().flatten() {
                fs::remove_file(mail.unwrap().path()).unwrap();
            }
        }
        self.sinks.iter().for_each(|sink| drop(sink.take()));
        ended
    }

    /// In mailboxes and at next hops.
    fn ended(&self) -> Round {
        let mut ended = Round::new();
        for user in USERS {
            let mails = self.system.mail(user);
            let tokens = mails.iter().filter_map(|mail| token_of(mail));
            ended.extend(tokens.map(|token| End::Mailbox(user.to_owned(), token)));
        }
        for sink in &self.sinks {
            let port = sink.address().port();
            for mail in sink.received() {
                let token = token_of(&mail.content).expect("nothing else is sent");
                ended.extend(mail.rcpt.iter().map(|rcpt| End::at_hop(port, rcpt, &token)));
            }
        }
        ended
    }

    fn queued(&self) -> usize {
        let output = self.system.command("pennypost").args(["queue", "--json"]).output().unwrap();
        assert!(output.status.success());
        String::from_utf8_lossy(&output.stdout).lines().count()
    }
}

impl End {
    /// By the RCPT line there.
    fn at_hop(port: u16, rcpt: &str, token: &str) -> Self {
        let (_, rest) = rcpt.split_once('<').unwrap();
        let (address, _) = rest.rsplit_once('>').unwrap();
        Self::Hop(port, address.to_owned(), token.to_owned())
    }

    const fn waits(&self) -> bool {
        matches!(self, Self::Queue(_))
    }
}

/// The ends of a message with these recipients.
fn ends_of(accepted: &[&Value], token: &str) -> Vec<End> {
    let fates: Vec<_> = accepted.iter().filter_map(|told| told["fate"].as_str()).collect();
    if fates.iter().any(|fate| fate.starts_with("the message is discarded")) {
        return Vec::new();
    }
    let stays = accepted.iter().filter(|told| told["fate"].is_null());
    let ways = stays.flat_map(|told| told["ways"].as_array().unwrap());
    ways.filter_map(|way| end(way, token)).collect()
}

fn end(way: &Value, token: &str) -> Option<End> {
    let (route, address) = (way["route"].as_str().unwrap(), way["address"].as_str().unwrap());
    let (kind, place) = route.split_once(' ').unwrap_or((route, ""));
    match kind {
        "local" => Some(End::Mailbox(place.to_owned(), token.to_owned())),
        "host" => {
            let (_, port) = place.rsplit_once(':').unwrap();
            Some(End::Hop(port.parse().unwrap(), address.to_owned(), token.to_owned()))
        }
        _ if kind.starts_with("4.") => Some(End::Queue(token.to_owned())),
        // A list, what is discarded, and what comes back.
        _ => None,
    }
}

/// The token in the subject of a message; a bounce has none there.
fn token_of(mail: &str) -> Option<String> {
    let subject = mail.lines().take_while(|line| !line.is_empty());
    let subject = subject.filter_map(|line| line.strip_prefix("Subject: "));
    subject.filter(|text| text.starts_with("token")).map(|text| text.trim().to_owned()).next()
}
