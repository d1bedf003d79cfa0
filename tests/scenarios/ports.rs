//! Addresses that somebody else has.

use std::net::{Ipv6Addr, SocketAddr, TcpListener};

use support::{Client, SystemBuilder, free_address, skipped};

#[test]
fn a_taken_port_is_blamed_on_its_holder_and_nothing_starts() {
    let builder = SystemBuilder::new();
    let address = builder.smtp();
    let _held = TcpListener::bind(address).unwrap();
    let said = refusal(address, builder);
    assert!(said.contains("Address already in use"), "{said}");
}

#[test]
fn who_has_every_address_has_those_of_ipv4_too() {
    let port = free_address().port();
    let Ok(_held) = TcpListener::bind((Ipv6Addr::UNSPECIFIED, port)) else {
        return skipped("no IPv6");
    };
    let builder = SystemBuilder::new();
    let own = builder.smtp().to_string();
    let builder = builder.replace(&own, &format!("0.0.0.0:{port}"));
    refusal(([0, 0, 0, 0], port).into(), builder);
}

/// What is said when `address` is taken by this very process.
fn refusal(address: SocketAddr, builder: SystemBuilder) -> String {
    let output = builder.refused();
    // sysexits(3) EX_UNAVAILABLE
    assert_eq!(output.status.code(), Some(69), "{output:?}");
    let said = String::from_utf8(output.stderr).unwrap();
    let name = std::fs::read_to_string("/proc/self/comm").unwrap();
    let by = format!("by {} (pid {})", name.trim(), std::process::id());
    assert!(
        said.contains(&format!("cannot listen on {address}: ")) && said.contains(&by),
        "{said}"
    );
    said
}

#[test]
fn every_address_of_both_families_is_no_contradiction() {
    if TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_err() {
        return skipped("no IPv6");
    }
    let port = free_address().port();
    let builder = SystemBuilder::new();
    let own = format!("\"{}\"", builder.smtp());
    let every = format!("\"0.0.0.0:{port}\", \"[::]:{port}\"");
    let _system = builder.replace(&own, &every).start();
    drop(Client::connect(([127, 0, 0, 1], port).into()));
    drop(Client::connect((Ipv6Addr::LOCALHOST, port).into()));
}
