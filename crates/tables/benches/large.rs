//! What tables of 100,000 lines cost: seconds to read, MiB to keep, nanoseconds to ask.
//!
//! `cargo bench -p tables`

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement, for a person")]

use std::fs;
use std::hint::black_box;
use std::time::Instant;

use envelope::Address;
use tables::{Aliases, Mailertable, Names, Virtusertable};

const LINES: usize = 100_000;

fn main() {
    let text =
        lines(|n| format!("user{n}@virtual{}.example.org\tmailbox{n}@example.net\n", n % 500));
    let table = read("virtusertable", || Virtusertable::read("t", text.as_bytes()).unwrap().table);
    let address = |n: usize| -> Address {
        format!("user{n}+detail@virtual{}.example.org", n % 500).parse().unwrap()
    };
    ask("virtusertable, the fourth of its look-ups", address, |it| table.find(it, "+").is_some());
    let address = |n: usize| -> Address { format!("no{n}@virtual1.example.org").parse().unwrap() };
    ask("virtusertable, nobody, two look-ups", address, |it| table.find(it, "+").is_none());

    let text = lines(|n| format!("alias{n}: user{n}, other{n}@example.net\n"));
    let table = read("aliases", || Aliases::read("t", text.as_bytes()).unwrap().table);
    ask("aliases, a list", |n| format!("alias{n}"), |it| table.get(it).is_some());
    ask("aliases, nobody", |n| format!("user{n}"), |it| table.get(it).is_none());

    let text = lines(|n| format!("domain{n}.example.org\trelay:[mx{n}.example.net]\n"));
    let table = read("mailertable", || Mailertable::read("t", text.as_bytes()).unwrap().table);
    let domain = |n| format!("domain{n}.example.org");
    ask("mailertable", domain, |it| table.find(it).is_some());
    let domain = |n| format!("a.b.c{n}.example.net");
    ask("mailertable, nowhere, six look-ups", domain, |it| table.find(it).is_none());

    let text = lines(|n| format!("domain{n}.example.org\n"));
    let table = read("local-host-names", || Names::read("t", text.as_bytes()).unwrap().table);
    ask("local-host-names", |n| format!("domain{n}.example.org"), |it| table.line(it).is_some());
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

fn ask<K>(name: &str, key: impl Fn(usize) -> K, found: impl Fn(&K) -> bool) {
    // Neighbours in the file are neighbours in memory: ask for others.
    let keys: Vec<_> = (0..LINES).map(|n| key(n * 7919 % LINES)).collect();
    let begin = Instant::now();
    assert!(keys.iter().all(|key| black_box(found(key))), "{name}");
    let each = begin.elapsed().as_nanos() / LINES as u128;
    println!("  {name}: {each} ns");
}

/// Bytes of this process in memory.
fn resident() -> usize {
    let pages = fs::read_to_string("/proc/self/statm").unwrap();
    pages.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}
