//! Addresses and networks as sendmail writes them: numbers, of which the last ones may be missing.
//! `192.168.212`, `IPv6:2002:c0a8:2c7`.

use std::fmt::Write;
use std::net::{IpAddr, Ipv6Addr};

use crate::lines::Wrong;

/// How the numbers are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Group {
    /// Up to four octets.
    Four,
    /// Up to eight groups of 16 bits.
    Six,
}

/// An address or the beginning of one, as a key: `10.1`, `ipv6:2001:db8`. `None`: it is neither.
pub(crate) fn network(text: &str) -> Option<Result<String, Wrong>> {
    let (kind, numbers) = match groups(text)? {
        Ok(found) => found,
        Err(wrong) => return Some(Err(wrong)),
    };
    Some(Ok(match kind {
        Group::Four => numbers.iter().map(u16::to_string).collect::<Vec<_>>().join("."),
        Group::Six => six(&numbers),
    }))
}

/// The numbers of an address or of the beginning of one.
pub(crate) fn groups(text: &str) -> Option<Result<(Group, Vec<u16>), Wrong>> {
    let lower = text.to_ascii_lowercase();
    if let Some(inner) = lower.strip_prefix("ipv6:") {
        let numbers = match inner.parse::<Ipv6Addr>() {
            Ok(_) if inner.ends_with("::") => {
                let remedy = "for a network leave out the :: at its end";
                return Some(Err(Wrong::line(format!("{text}: {remedy}"))));
            }
            Ok(whole) => whole.segments().to_vec(),
            Err(_) => {
                let parts = inner.split(':');
                let parts = parts.map(hexadecimal).collect::<Option<Vec<_>>>();
                match parts.filter(|parts| parts.len() <= 8) {
                    Some(parts) => parts,
                    None => {
                        return Some(Err(Wrong::line(format!("{text} is not an IPv6 network"))));
                    }
                }
            }
        };
        return Some(Ok((Group::Six, numbers)));
    }
    if !lower.starts_with(|c: char| c.is_ascii_digit())
        || !lower.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
    {
        return None;
    }
    let parts = lower.split('.').map(|part| part.parse::<u8>().ok().map(u16::from));
    let parts = parts.collect::<Option<Vec<_>>>().filter(|parts| parts.len() <= 4);
    Some(parts.map(|parts| (Group::Four, parts)).ok_or_else(|| {
        Wrong::line(format!("{text} is not a network: write 192.0.2, without a dot at the end"))
    }))
}

fn hexadecimal(text: &str) -> Option<u16> {
    let plain = (1..=4).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_hexdigit());
    if plain { u16::from_str_radix(text, 16).ok() } else { None }
}

/// The key of a whole address.
pub(super) fn of_address(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(four) => four.to_string(),
        IpAddr::V6(address) => six(&address.segments()),
    }
}

/// All groups are written out, so that the beginning of an address is the beginning of its key.
fn six(numbers: &[u16]) -> String {
    numbers.iter().fold("ipv6".to_owned(), |mut key, number| {
        // Writing to a String does not fail.
        let _ = write!(key, ":{number:x}");
        key
    })
}

/// A key, then without its last number, and so on.
pub(super) fn shorter(key: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(key), |key| {
        let last = key.rfind(['.', ':'])?;
        key.get(..last).filter(|shorter| *shorter != "ipv6")
    })
}
