//! A next hop: an SMTP server that keeps what it is sent.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Instant, SystemTime};

use crate::PATIENCE;

/// What one transaction brought.
#[derive(Debug, Clone)]
pub struct Received {
    /// The MAIL line.
    pub mail: String,
    /// The RCPT lines.
    pub rcpt: Vec<String>,
    /// The content, un-dot-stuffed, with CRLF line ends.
    pub content: String,
    /// When MAIL came.
    pub begun: SystemTime,
    /// When all of it was there.
    pub ended: SystemTime,
}

impl Received {
    fn begin(mail: String) -> Self {
        let now = SystemTime::now();
        Self { mail, rcpt: Vec::new(), content: String::new(), begun: now, ended: now }
    }
}

/// Decides the reply to a line (`MAIL …`, `RCPT …`, `DATA`, or `.` for the content): `None` accepts.
type Script = dyn Fn(&str) -> Option<String> + Send + Sync;

/// Runs until the test ends; each connection has a thread.
#[derive(Clone)]
pub struct Sink {
    address: SocketAddr,
    seen: Arc<(Mutex<Vec<Received>>, Condvar)>,
}

impl std::fmt::Debug for Sink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Sink({})", self.address)
    }
}

impl Sink {
    /// Accepts everything.
    #[must_use]
    pub fn start() -> Self {
        Self::scripted(|_| None)
    }

    /// Answers as `script` says.
    #[must_use]
    pub fn scripted(script: impl Fn(&str) -> Option<String> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        Self::on(listener, script)
    }

    /// The same on a listener of the caller's.
    #[must_use]
    pub fn on(
        listener: TcpListener,
        script: impl Fn(&str) -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        let sink = Self { address: listener.local_addr().unwrap(), seen: Arc::default() };
        let (seen, script): (_, Arc<Script>) = (sink.seen.clone(), Arc::new(script));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (seen, script) = (seen.clone(), script.clone());
                std::thread::spawn(move || serve(stream, &seen, &script));
            }
        });
        sink
    }

    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Everything so far.
    #[must_use]
    pub fn received(&self) -> Vec<Received> {
        self.seen.0.lock().unwrap().clone()
    }

    /// Everything so far, which is forgotten.
    #[must_use]
    pub fn take(&self) -> Vec<Received> {
        std::mem::take(&mut self.seen.0.lock().unwrap())
    }

    /// Waits until `enough` says so of everything received.
    pub fn wait(&self, enough: impl Fn(&[Received]) -> bool) -> Vec<Received> {
        let end = Instant::now() + PATIENCE;
        let mut seen = self.seen.0.lock().unwrap();
        while !enough(&seen) {
            let left = end.checked_duration_since(Instant::now());
            let left = left.unwrap_or_else(|| panic!("only {} messages came", seen.len()));
            seen = self.seen.1.wait_timeout(seen, left).unwrap().0;
        }
        seen.clone()
    }
}

fn serve(
    stream: TcpStream,
    seen: &(Mutex<Vec<Received>>, Condvar),
    script: &Arc<Script>,
) -> Option<()> {
    stream.set_nodelay(true).ok()?;
    let mut writer = stream.try_clone().ok()?;
    let mut reader = BufReader::new(stream);
    writer.write_all(b"220 sink.test\r\n").ok()?;
    let mut now = Received::begin(String::new());
    let mut begun = false;
    loop {
        let line = read_line(&mut reader)?;
        let verb = line.split(' ').next().unwrap_or("").to_ascii_uppercase();
        if verb == "MAIL" {
            now = Received::begin(line.clone());
            begun = true;
        }
        let refusal = script(&line);
        let reply = match (verb.as_str(), refusal) {
            (_, Some(refusal)) => {
                begun &= verb != "MAIL";
                refusal
            }
            ("RCPT" | "DATA", None) if !begun => "503 5.5.1 MAIL first".to_owned(),
            ("EHLO", None) => "250-sink.test\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-SIZE\r\n250-SMTPUTF8\r\n250 ENHANCEDSTATUSCODES".to_owned(),
            ("MAIL", None) => "250 2.1.0 ok".to_owned(),
            ("RCPT", None) => {
                now.rcpt.push(line);
                "250 2.1.5 ok".to_owned()
            }
            ("DATA", None) => {
                writer.write_all(b"354 go on\r\n").ok()?;
                now.content = read_content(&mut reader)?;
                now.ended = SystemTime::now();
                script(".").unwrap_or_else(|| {
                    seen.0.lock().unwrap().push(now.clone());
                    seen.1.notify_all();
                    "250 2.0.0 kept".to_owned()
                })
            }
            ("QUIT", None) => {
                writer.write_all(b"221 2.0.0 bye\r\n").ok()?;
                return Some(());
            }
            (_, None) => "250 2.0.0 ok".to_owned(),
        };
        writer.write_all(format!("{reply}\r\n").as_bytes()).ok()?;
    }
}

fn read_line(reader: &mut BufReader<TcpStream>) -> Option<String> {
    let mut line = Vec::new();
    let length = reader.read_until(b'\n', &mut line).ok()?;
    (length > 0).then(|| String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']).to_owned())
}

fn read_content(reader: &mut BufReader<TcpStream>) -> Option<String> {
    let mut content = String::new();
    loop {
        let mut line = Vec::new();
        if reader.read_until(b'\n', &mut line).ok()? == 0 {
            return None;
        }
        let line = String::from_utf8_lossy(&line);
        match line.strip_prefix('.') {
            Some("\r\n") => return Some(content),
            Some(rest) => content.push_str(rest),
            None => content.push_str(&line),
        }
    }
}
