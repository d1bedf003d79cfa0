//! What tables of 100,000 lines cost: seconds to read, MiB to keep, nanoseconds to ask.
//!
//! `cargo bench -p tables`

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement, for a person")]

use std::fs;
use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Instant;

use envelope::Address;
use tables::{
    Access, Aliases, Genericstable, Kind, Mailertable, Names, RelayDomains, Tag, Virtusertable,
    add_source,
};

const LINES: usize = 100_000;

fn main() {
    local();
    away();
    clients();
}

fn local() {
    let text =
        lines(|n| format!("user{n}@virtual{}.example.org\tmailbox{n}@example.net\n", n % 500));
    let table = read("virtusertable", || Virtusertable::read("t", text.as_bytes()).unwrap().table);
    let address = |n: usize| -> Address {
        format!("user{n}+detail@virtual{}.example.org", n % 500).parse().unwrap()
    };
    ask("an address, the fourth of its look-ups", address, |it| table.find(it, "+").is_some());
    let address = |n: usize| -> Address { format!("no{n}@virtual1.example.org").parse().unwrap() };
    ask("nobody, two look-ups", address, |it| table.find(it, "+").is_none());

    let text = lines(|n| format!("alias{n}: user{n}, other{n}@example.net\n"));
    let table = read("aliases", || Aliases::read("t", text.as_bytes()).unwrap().table);
    ask("a list", |n| format!("alias{n}"), |it| table.get(it).is_some());
    ask("nobody", |n| format!("user{n}"), |it| table.get(it).is_none());

    let text = lines(|n| format!("domain{n}.example.org\n"));
    let table = read("local-host-names", || Names::read("t", text.as_bytes()).unwrap().table);
    ask("a domain", |n| format!("domain{n}.example.org"), |it| table.line(it).is_some());
}

fn away() {
    let text = lines(|n| format!("domain{n}.example.org\trelay:[mx{n}.example.net]\n"));
    let table = read("mailertable", || Mailertable::read("t", text.as_bytes()).unwrap().table);
    let domain = |n| format!("domain{n}.example.org");
    ask("a domain", domain, |it| table.find(it).is_some());
    let domain = |n| format!("a.b.c{n}.example.net");
    ask("nowhere, six look-ups", domain, |it| table.find(it).is_none());

    let text = lines(|n| format!("user{n}\tUser.{n}@example.org\n"));
    read("genericstable", || Genericstable::read("t", text.as_bytes()).unwrap().table);

    let text = lines(|n| format!("domain{n}.example.org\n"));
    let table = read("relay-domains", || RelayDomains::read("t", text.as_bytes()).unwrap().table);
    ask(
        "a host, two look-ups",
        |n| format!("mx.domain{n}.example.org"),
        |it| table.domain(it).is_some(),
    );
}

fn clients() {
    let address = |n: usize| ip(0x0a00_0000 + n * 256 + 1);
    let text = lines(|n| match n % 3 {
        0 => format!("From:user{n}@example.org\tREJECT\n"),
        1 => format!("From:domain{n}.example.org\tERROR:5.7.1:550 not from there\n"),
        _ => format!("Connect:10.{}.{}\tREJECT\n", n >> 8, n & 255),
    });
    let table = read("access", || Access::read("t", text.as_bytes()).unwrap().table);
    let from =
        |n: usize| format!("domain{}.example.org", n / 3 * 3 + 1 - usize::from(n > 99_997) * 3);
    ask("a domain", from, |it| table.domain(Tag::From, it).is_some());
    let domain = |n| format!("a.b.c{n}.example.net");
    ask("no domain, five times two look-ups", domain, |it| table.domain(Tag::From, it).is_none());
    let no = |n: usize| ip(0xc000_0000 + n);
    let connect = |it: &IpAddr| table.address(Tag::Connect, *it).is_none();
    ask("no client, four times two look-ups", no, connect);

    let networks = lines(|n| format!("{}/{}\tREJECT\n", address(n), 24 + n % 5));
    let mut content = Vec::new();
    add_source(&mut content, "access", Kind::Cidr, "access.cidr", networks.as_bytes()).unwrap();
    let table = read("access, cidr", || Access::read("t", content.as_slice()).unwrap().table);
    let connect = |it: &IpAddr| table.address(Tag::Connect, *it).is_some();
    ask("a client, five lengths", address, connect);
}

fn ip(number: usize) -> IpAddr {
    Ipv4Addr::from(u32::try_from(number).unwrap()).into()
}

fn lines(line: impl Fn(usize) -> String) -> String {
    (0..LINES).map(line).collect()
}

fn read<T>(name: &str, read: impl Fn() -> T) -> T {
    let (before, begin) = (resident(), Instant::now());
    let table = read();
    let (seconds, kept) = (begin.elapsed().as_secs_f64(), resident().saturating_sub(before));
    println!("{name}: read in {seconds:.3} s, {} MiB kept", kept >> 20);
    table
}

/// The fastest of some rounds: what else the machine does is no matter of the table.
fn ask<K>(name: &str, key: impl Fn(usize) -> K, found: impl Fn(&K) -> bool) {
    // Neighbours in the file are neighbours in memory: ask for others.
    let keys: Vec<_> = (0..LINES).map(|n| key(n * 7919 % LINES)).collect();
    let round = || {
        let begin = Instant::now();
        assert!(keys.iter().all(|key| black_box(found(key))), "{name}");
        begin.elapsed().as_nanos() / LINES as u128
    };
    let fastest = (0..9).map(|_| round()).min().unwrap();
    println!("  {name}: {fastest} ns");
}

/// Bytes of this process in memory.
fn resident() -> usize {
    let pages = fs::read_to_string("/proc/self/statm").unwrap();
    pages.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}
