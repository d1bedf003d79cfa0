//! Messages in, by SMTP and by `sendmail`, as fast as they go out.

use std::collections::HashSet;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{JoinHandle, sleep};
use std::time::Duration;

use support::{Client, System, binary, run};

/// Sessions at a time.
const SESSIONS: usize = 3;
const LINE: &str = "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx";
/// Lines of a message, most of the time and now and then: more than fits into the database.
const LINES: [usize; 2] = [1, 1000];

/// What the senders, the next hop and the hunter share.
#[derive(Default)]
pub struct Load {
    /// By name, which is the subject.
    acknowledged: Mutex<HashSet<String>>,
    /// At the next hop; local mail counts at once, because it does not pass the gate.
    arrived: AtomicUsize,
    sent: AtomicUsize,
    finishing: AtomicBool,
    /// There is no supervisor now.
    down: AtomicBool,
}

impl Load {
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// A next hop as slow as it takes to keep `queued` messages in the queue.
    pub fn gate(self: &Arc<Self>, queued: usize) -> impl Fn(&str) -> Option<String> + use<> {
        let load = self.clone();
        move |line| {
            while line.starts_with("MAIL") && load.queued() < queued && !load.is_finishing() {
                sleep(Duration::from_millis(2));
            }
            if line == "." {
                load.arrived.fetch_add(1, Ordering::Relaxed);
            }
            None
        }
    }

    /// Begins to send, and pauses whenever `most` are queued.
    pub fn begin(self: &Arc<Self>, system: &System, most: usize) -> Vec<JoinHandle<()>> {
        let address = system.smtp();
        let sessions = (0..SESSIONS).map(|_| {
            let load = self.clone();
            std::thread::spawn(move || load.sessions(address, most))
        });
        let (load, root) = (self.clone(), system.path(""));
        let sendmail = std::thread::spawn(move || load.sendmail(&root, most));
        sessions.chain([sendmail]).collect()
    }

    /// Acknowledged and not arrived; never more than there are.
    pub fn queued(&self) -> usize {
        self.acknowledged.lock().unwrap().len().saturating_sub(self.arrived())
    }

    /// Arrivals at the next hop, and acknowledged local mail.
    pub fn arrived(&self) -> usize {
        self.arrived.load(Ordering::Relaxed)
    }

    pub fn acknowledged(&self) -> HashSet<String> {
        self.acknowledged.lock().unwrap().clone()
    }

    pub fn set_down(&self, down: bool) {
        self.down.store(down, Ordering::Relaxed);
    }

    pub fn finish(&self) {
        self.finishing.store(true, Ordering::Relaxed);
    }

    fn is_finishing(&self) -> bool {
        self.finishing.load(Ordering::Relaxed)
    }

    fn sessions(&self, address: SocketAddr, most: usize) {
        while !self.is_finishing() {
            // A broken session is what this test is about: begin the next one.
            let _ = self.session(address, most);
            sleep(Duration::from_millis(10));
        }
    }

    fn session(&self, address: SocketAddr, most: usize) -> io::Result<()> {
        if self.down.load(Ordering::Relaxed) {
            return Ok(());
        }
        let mut client = Client::dial(address)?;
        expect(&mut client, "220")?;
        client.send(b"EHLO load.test\r\n")?;
        expect(&mut client, "250")?;
        while !self.is_finishing() {
            if self.queued() > most {
                sleep(Duration::from_millis(5));
                continue;
            }
            let (name, to) = self.next("smtp");
            client.send(format!("MAIL FROM:<>\r\nRCPT TO:<{to}>\r\nDATA\r\n").as_bytes())?;
            for code in ["250", "250", "354"] {
                expect(&mut client, code)?;
            }
            client.send(format!("{}.\r\n", text(&name).replace('\n', "\r\n")).as_bytes())?;
            expect(&mut client, "250")?;
            self.acknowledge(name, to);
        }
        Ok(())
    }

    /// Exit 0 acknowledges, too: the message is in the queue or in the drop directory.
    fn sendmail(&self, root: &PathBuf, most: usize) {
        while !self.is_finishing() {
            sleep(Duration::from_millis(50));
            if self.queued() > most {
                continue;
            }
            let (name, to) = self.next("sendmail");
            let mut command = Command::new(binary("sendmail"));
            command.env("PENNYPOST_ROOT", root).args(["-f", "bob@local.test", to]);
            if run(&mut command, &text(&name)).status.success() {
                self.acknowledge(name, to);
            }
        }
    }

    /// The name of the next message, which tells its length, and its recipient.
    fn next(&self, by: &str) -> (String, &'static str) {
        let lines = LINES[usize::from(fastrand::u8(..40) == 0)];
        let name = format!("{by}-{}-{lines}", self.sent.fetch_add(1, Ordering::Relaxed));
        let to = if fastrand::u8(..4) == 0 { "alice@local.test" } else { "dave@far.test" };
        (name, to)
    }

    fn acknowledge(&self, name: String, to: &str) {
        self.acknowledged.lock().unwrap().insert(name);
        if to.starts_with("alice") {
            self.arrived.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn expect(client: &mut Client, code: &str) -> io::Result<()> {
    match client.reply()? {
        Some(reply) if reply.starts_with(code) => Ok(()),
        other => Err(io::Error::other(format!("{other:?}"))),
    }
}

fn text(name: &str) -> String {
    format!("Subject: {name}\n\n{}", body(name))
}

/// The body of the message with this name, with LF line ends.
pub fn body(name: &str) -> String {
    let lines = name.rsplit('-').next().and_then(|lines| lines.parse().ok()).unwrap_or(0);
    format!("{LINE}\n").repeat(lines)
}
