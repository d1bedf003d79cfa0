//! A host that plays a script.
#![allow(dead_code, reason = "each test uses its part")]

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Barrier};
use std::thread::JoinHandle;

/// The beginning of a session.
pub(super) const HELLO: &str = "s: 220 there.test\nc: EHLO here.test\n\
    s: 250-there.test\ns: 250 PIPELINING";
/// A good transaction for one recipient.
pub(super) const GOOD: &str = "c: MAIL FROM:<>\nc: RCPT TO:<a@one.test>\nc: DATA\n\
    s: 250 ok\ns: 250 ok\ns: 354 go on\n.\ns: 250 2.0.0 ok";

pub(super) struct Host {
    port: u16,
    gate: Arc<Barrier>,
    thread: JoinHandle<Vec<u8>>,
}

impl Host {
    /// Plays one script for each connection, one connection after another. Lines: `s: reply`;
    /// `c: how the next command begins`; `.`: takes content; `half:` takes content that must not
    /// end; `gate:` stands still; `x:` and the end of the script close.
    pub(super) fn play(address: &str, scripts: &[&str]) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        let port = listener.local_addr().unwrap().port();
        let scripts: Vec<_> = scripts.iter().map(|script| (*script).to_owned()).collect();
        let gate = Arc::new(Barrier::new(2));
        let of_thread = Arc::clone(&gate);
        let thread = std::thread::spawn(move || {
            let play = |script: &String| play(listener.accept().unwrap().0, script, &of_thread);
            scripts.iter().flat_map(play).collect()
        });
        Self { port, gate, thread }
    }

    /// Where two meet: the script at each `gate:`, and whoever waits here.
    pub(super) fn gate(&self) -> Arc<Barrier> {
        Arc::clone(&self.gate)
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// Waits until all scripts are played: the content of all transactions.
    pub(super) fn content(self) -> Vec<u8> {
        self.thread.join().unwrap()
    }
}

fn play(stream: TcpStream, script: &str, gate: &Barrier) -> Vec<u8> {
    let mut content = Vec::new();
    let mut writer = stream.try_clone().unwrap();
    let mut reader = BufReader::new(stream);
    for line in script.lines() {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        match word {
            // A client that has heard enough may be gone.
            "s:" => drop(writer.write_all(format!("{rest}\r\n").as_bytes())),
            "c:" => {
                let command = read(&mut reader).unwrap();
                assert!(command.starts_with(rest.as_bytes()), "{rest}: {command:?}");
            }
            "." => content.extend(read_content(&mut reader).unwrap()),
            "half:" => assert_eq!(read_content(&mut reader), None),
            "gate:" => drop(gate.wait()),
            "x:" => return content,
            _ => panic!("{line}"),
        }
    }
    content
}

fn read(reader: &mut BufReader<TcpStream>) -> Option<Vec<u8>> {
    let mut line = Vec::new();
    let length = reader.read_until(b'\n', &mut line).unwrap_or(0);
    (length > 0).then_some(line)
}

fn read_content(reader: &mut BufReader<TcpStream>) -> Option<Vec<u8>> {
    let mut content = Vec::new();
    loop {
        let line = read(reader)?;
        if line == b".\r\n" {
            return Some(content);
        }
        content.extend_from_slice(line.strip_prefix(b".").unwrap_or(&line));
    }
}
