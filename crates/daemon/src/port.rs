//! Who holds a TCP address of this machine.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

/// Who keeps `wanted` from being listened on, as far as /proc tells: `master (pid 812)`.
#[must_use]
pub fn holder(wanted: SocketAddr) -> Option<String> {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"].map(fs::read_to_string);
    let lines = tables.iter().flatten().flat_map(|table| table.lines());
    let mut held: Vec<_> =
        lines.filter_map(listening).filter(|(address, _)| hinders(*address, wanted)).collect();
    // The very address says more than one that contains it.
    held.sort_by_key(|(address, _)| *address != wanted);
    held.iter().find_map(|(_, inode)| process_with(&format!("socket:[{inode}]").into()))
}

/// A line of proc_net(5): local address in column 2, state (0A: LISTEN) in 4, inode in 10.
fn listening(line: &str) -> Option<(SocketAddr, &str)> {
    let columns: Vec<_> = line.split_whitespace().collect();
    let [_, local, _, "0A", _, _, _, _, _, inode, ..] = *columns else { return None };
    let (ip, port) = local.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    Some((SocketAddr::new(ip_from_hex(ip)?, port), inode))
}

/// The kernel prints an address as words of 32 bits, each as this machine reads it.
fn ip_from_hex(hex: &str) -> Option<IpAddr> {
    let words =
        (0..hex.len()).step_by(8).map(|at| u32::from_str_radix(hex.get(at..at + 8)?, 16).ok());
    let words: Vec<[u8; 4]> =
        words.map(|word| word.map(u32::to_ne_bytes)).collect::<Option<_>>()?;
    if let [word] = *words {
        return Some(Ipv4Addr::from(word).into());
    }
    let octets: [u8; 16] = words.concat().try_into().ok()?;
    Some(Ipv6Addr::from(octets).to_canonical())
}

/// Does who listens on `held` keep others from `wanted`? `[::]` may take IPv4 as well.
fn hinders(held: SocketAddr, wanted: SocketAddr) -> bool {
    let family = held.is_ipv4() == wanted.is_ipv4();
    let every = held.ip().is_unspecified() && (family || held.is_ipv6());
    held.port() == wanted.port()
        && (held.ip() == wanted.ip() || every || (family && wanted.ip().is_unspecified()))
}

fn process_with(socket: &PathBuf) -> Option<String> {
    for process in fs::read_dir("/proc").ok()?.flatten().map(|entry| entry.path()) {
        let pid = process.file_name().and_then(|name| name.to_str()?.parse::<u32>().ok());
        let descriptors = fs::read_dir(process.join("fd")).into_iter().flatten().flatten();
        let mut targets = descriptors.flat_map(|fd| fs::read_link(fd.path()));
        if let Some(pid) = pid
            && targets.any(|target| target == *socket)
        {
            let name = fs::read_to_string(process.join("comm")).ok()?;
            return Some(format!("{} (pid {pid})", envelope::printable(name.trim())));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn who_listens_is_named() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let listener = TcpListener::bind(address).unwrap();
            let wanted = listener.local_addr().unwrap();
            let shown = holder(wanted).unwrap();
            assert!(shown.ends_with(&format!(" (pid {})", std::process::id())), "{shown}");
            drop(listener);
            assert_eq!(holder(wanted), None);
        }
    }

    #[test]
    fn a_line_of_proc() {
        let line = "   2: 0100007F:0019 00000000:0000 0A 00000000:00000000 00:00000000 00000000 \
                    0        0 12345 1 0000000000000000 100 0 0 10 0";
        assert_eq!(listening(line), Some(("127.0.0.1:25".parse().unwrap(), "12345")));
        assert_eq!(listening(&line.replace(" 0A ", " 01 ")), None);
        let v6 = "00000000000000000000000001000000";
        assert_eq!(ip_from_hex(v6), Some(Ipv6Addr::LOCALHOST.into()));
        assert_eq!(
            ip_from_hex("0000000000000000FFFF00000100007F"),
            Some(Ipv4Addr::LOCALHOST.into())
        );
        assert_eq!(ip_from_hex("0"), None);
    }

    #[test]
    fn who_listens_everywhere_hinders() {
        let check =
            |held: &str, wanted: &str| hinders(held.parse().unwrap(), wanted.parse().unwrap());
        assert!(check("0.0.0.0:25", "127.0.0.1:25") && check("127.0.0.1:25", "0.0.0.0:25"));
        assert!(check("[::]:25", "0.0.0.0:25") && check("[::1]:25", "[::]:25"));
        assert!(!check("0.0.0.0:25", "[::]:25") && !check("127.0.0.2:25", "127.0.0.1:25"));
        assert!(!check("127.0.0.1:25", "127.0.0.1:26"));
    }
}
