//! A DNS server for tests, on loopback, in a thread of its own. One self-contained file: include
//! it with `#[path]`; it needs the crate `hickory-proto` only.
//!
//! A zone is text, one record a line, names without the last dot:
//!
//! ```text
//! example.test     MX   10 mx.example.test
//! example.test     MX   0 .
//! mx.example.test  A    127.0.0.1
//! mx.example.test  AAAA ::1
//! example.test     TXT  v=spf1 -all
//! www.example.test CNAME example.test
//! 7.2.0.192.in-addr.arpa PTR mx.example.test
//! broken.test      SERVFAIL
//! ```
//!
//! A name that is nowhere in the zone, and under which nothing is, does not exist (NXDOMAIN).
#![allow(dead_code, unreachable_pub, reason = "each test uses its part")]

use std::net::{SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use hickory_proto::op::{Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::{A, AAAA, CNAME, MX, PTR, SOA, TXT};
use hickory_proto::rr::{Name, RData, Record, RecordType};

/// Seconds that answers live.
const TTL: u32 = 60;

/// Answers until it is dropped.
#[derive(Debug)]
pub struct Dns {
    pub address: SocketAddr,
    shared: Arc<Mutex<Shared>>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    zone: Vec<Line>,
    asked: Vec<String>,
    over: bool,
}

#[derive(Debug, Clone)]
struct Line {
    name: Name,
    /// `None`: SERVFAIL.
    answer: Option<RData>,
}

impl Dns {
    pub fn start(zone: &str) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        let shared = Arc::new(Mutex::new(Shared { zone: read(zone), ..Shared::default() }));
        let of_thread = Arc::clone(&shared);
        let thread = std::thread::spawn(move || serve(&socket, &of_thread));
        Self { address, shared, thread: Some(thread) }
    }

    /// Puts another zone in place. Resolvers remember old answers for [`TTL`].
    pub fn set(&self, zone: &str) {
        self.shared.lock().unwrap().zone = read(zone);
    }

    /// The questions so far, as `example.test. MX`.
    pub fn asked(&self) -> Vec<String> {
        self.shared.lock().unwrap().asked.clone()
    }
}

impl Drop for Dns {
    fn drop(&mut self) {
        self.shared.lock().unwrap().over = true;
        // Anything wakes it.
        let _ = UdpSocket::bind("127.0.0.1:0").and_then(|s| s.send_to(b"", self.address));
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn serve(socket: &UdpSocket, shared: &Mutex<Shared>) {
    let mut buffer = [0; 4096];
    while let Ok((length, client)) = socket.recv_from(&mut buffer) {
        let mut shared = shared.lock().unwrap();
        if shared.over {
            return;
        }
        let Ok(request) = Message::from_vec(&buffer[..length]) else { continue };
        let Some(query) = request.queries.first() else { continue };
        shared.asked.push(format!("{} {}", query.name(), query.query_type()));
        let response = answer(&shared.zone, &request, query);
        let _ = socket.send_to(&response.to_vec().unwrap(), client);
    }
}

fn answer(zone: &[Line], request: &Message, query: &Query) -> Message {
    let mut response = Message::new(request.metadata.id, MessageType::Response, OpCode::Query);
    response.metadata.recursion_available = true;
    response.metadata.recursion_desired = request.metadata.recursion_desired;
    response.add_query(query.clone());
    let name = query.name();
    if zone.iter().any(|line| line.name == *name && line.answer.is_none()) {
        response.metadata.response_code = ResponseCode::ServFail;
        return response;
    }
    let mut wanted = name.clone();
    // An alias is followed within the zone, as a resolver would.
    for _ in 0..8 {
        let of_name = zone.iter().filter(|line| line.name == wanted);
        let records = of_name.filter_map(|line| line.answer.clone());
        let mut alias = None;
        for rdata in records {
            if let RData::CNAME(target) = &rdata {
                alias = Some(target.0.clone());
            } else if rdata.record_type() != query.query_type() {
                continue;
            }
            response.add_answer(Record::from_rdata(wanted.clone(), TTL, rdata));
        }
        match alias {
            Some(target) if query.query_type() != RecordType::CNAME => wanted = target,
            _ => break,
        }
    }
    if response.answers.is_empty() {
        if !zone.iter().any(|line| name.zone_of(&line.name)) {
            response.metadata.response_code = ResponseCode::NXDomain;
        }
        let soa = SOA::new(Name::root(), Name::root(), 1, 60, 60, 60, 60);
        response.add_authority(Record::from_rdata(Name::root(), TTL, RData::SOA(soa)));
    }
    response
}

fn read(zone: &str) -> Vec<Line> {
    let lines = zone.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#'));
    lines.map(|line| read_line(line).unwrap_or_else(|| panic!("zone: {line}"))).collect()
}

fn read_line(line: &str) -> Option<Line> {
    let (name, rest) = line.split_once(char::is_whitespace)?;
    let rest = rest.trim();
    let (kind, value) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    let value = value.trim();
    let answer = match kind {
        "A" => Some(RData::A(A(value.parse().ok()?))),
        "AAAA" => Some(RData::AAAA(AAAA(value.parse().ok()?))),
        "MX" => {
            let (preference, host) = value.split_once(char::is_whitespace)?;
            Some(RData::MX(MX::new(preference.parse().ok()?, full(host.trim())?)))
        }
        "TXT" => Some(RData::TXT(TXT::new(vec![value.to_owned()]))),
        "CNAME" => Some(RData::CNAME(CNAME(full(value)?))),
        "PTR" => Some(RData::PTR(PTR(full(value)?))),
        "SERVFAIL" => None,
        _ => return None,
    };
    Some(Line { name: full(name)?, answer })
}

fn full(name: &str) -> Option<Name> {
    let mut name = Name::from_ascii(name).ok()?;
    name.set_fqdn(true);
    Some(name)
}
