//! A plain SMTP client: one line, one reply.

use std::io::{BufRead, BufReader, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};

use rustix::net::{self, AddressFamily, SocketType};

use crate::PATIENCE;

/// One session. Panics where the server does not do as expected.
#[derive(Debug)]
pub struct Client(BufReader<TcpStream>);

impl Client {
    /// Connects and reads the greeting.
    #[must_use]
    pub fn connect(address: SocketAddr) -> Self {
        let mut client = Self::dial(address).unwrap();
        client.expect("220");
        client
    }

    /// Connects, and leaves the greeting unread.
    ///
    /// # Errors
    /// As the system call.
    pub fn dial(address: SocketAddr) -> std::io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Self(BufReader::new(stream)))
    }

    /// The same from an address of ours.
    #[must_use]
    pub fn connect_from(source: IpAddr, address: SocketAddr) -> Self {
        let socket = net::socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
        net::bind(&socket, &SocketAddr::new(source, 0)).unwrap();
        net::connect(&socket, &address).unwrap();
        let stream = TcpStream::from(socket);
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut client = Self(BufReader::new(stream));
        client.expect("220");
        client
    }

    /// How long a reply may take.
    pub fn set_patience(&mut self, time: std::time::Duration) {
        self.0.get_ref().set_read_timeout(Some(time)).unwrap();
    }

    /// Sends bytes as they are.
    ///
    /// # Errors
    /// As the system call.
    pub fn send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.0.get_ref().write_all(bytes)
    }

    /// The connection, for a caller that has read every reply.
    #[must_use]
    pub fn into_stream(self) -> TcpStream {
        self.0.into_inner()
    }

    /// Reads one reply, all its lines; `None` once the server has closed.
    ///
    /// # Errors
    /// As the system call.
    pub fn reply(&mut self) -> std::io::Result<Option<String>> {
        let mut reply = String::new();
        loop {
            let start = reply.len();
            if self.0.read_line(&mut reply)? == 0 {
                return Ok(None);
            }
            if reply.as_bytes().get(start + 3) != Some(&b'-') {
                return Ok(Some(reply));
            }
        }
    }

    /// Reads a reply that must begin with `start`.
    pub fn expect(&mut self, start: &str) -> String {
        let reply = self.reply().unwrap().unwrap_or_else(|| panic!("closed instead of {start}"));
        assert!(reply.starts_with(start), "expected {start}, got {reply}");
        reply
    }

    /// Sends a command; its reply must begin with `start`.
    pub fn command(&mut self, line: &str, start: &str) -> String {
        self.send(format!("{line}\r\n").as_bytes()).unwrap();
        self.expect(start)
    }

    /// A whole transaction after EHLO. `text` has LF line ends and is dot-stuffed here.
    pub fn transaction(&mut self, from: &str, to: &[&str], text: &str) -> String {
        self.command(&format!("MAIL FROM:<{from}>"), "250");
        for to in to {
            self.command(&format!("RCPT TO:<{to}>"), "250");
        }
        self.command("DATA", "354");
        let stuffed = text.replace("\n.", "\n..").replace('\n', "\r\n");
        self.send(stuffed.as_bytes()).unwrap();
        self.command(".", "250")
    }
}
