//! What this machine is called, and its addresses.

use std::net::IpAddr;

use crate::reader::{Reader, Value};

/// The host's name as stated.
pub(super) fn hostname(reader: &mut Reader, value: &Value<'_>) -> Option<Option<String>> {
    let remedy = "write the full name of this machine, such as mail.example.org";
    reader.parsed(value, |name| host_name(name).map(Some), "this is not a host name", remedy)
}

/// The machine's name, if it is or has a full one: that is the first name of its line in
/// `/etc/hosts`, as hosts(5) and `hostname -f` have it.
pub(super) fn machine_name() -> Option<String> {
    let name = nix::unistd::gethostname().ok()?.into_string().ok()?;
    if name.contains('.') {
        return full_name(&name);
    }
    full_name_in(&std::fs::read_to_string("/etc/hosts").ok()?, &name)
}

fn full_name_in(hosts: &str, name: &str) -> Option<String> {
    hosts.lines().find_map(|line| {
        let line = line.split('#').next().unwrap_or_default();
        let mut names = line.split_whitespace().skip(1);
        let first = names.next()?;
        names.any(|other| other.eq_ignore_ascii_case(name)).then(|| full_name(first))?
    })
}

fn full_name(name: &str) -> Option<String> {
    host_name(name).filter(|name| name.contains('.') && !name.starts_with("localhost."))
}

/// A name as it is kept: lower case, no trailing dot.
pub(super) fn host_name(name: &str) -> Option<String> {
    let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
    let fits = envelope::Address::new("x", &name).is_ok() && !name.starts_with('[');
    (fits && name.is_ascii()).then_some(name)
}

/// The addresses of this machine's interfaces.
pub(super) fn own_addresses() -> Vec<IpAddr> {
    let interfaces = nix::ifaddrs::getifaddrs().into_iter().flatten();
    let address = |interface: nix::ifaddrs::InterfaceAddress| {
        let address = interface.address?;
        let four = address.as_sockaddr_in().map(|four| IpAddr::V4(four.ip()));
        four.or_else(|| address.as_sockaddr_in6().map(|six| IpAddr::V6(six.ip())))
    };
    interfaces.filter_map(address).filter(|address| !address.is_loopback()).collect()
}

/// How many processors the machine has that work: those that the load average is of, whatever share
/// of them this process may have.
pub(super) fn processors() -> u32 {
    let online = std::fs::read_to_string("/sys/devices/system/cpu/online").ok();
    let own = || u32::try_from(std::thread::available_parallelism().ok()?.get()).ok();
    online.and_then(|list| counted(&list)).or_else(own).unwrap_or(1)
}

/// As many as a list of the kernel's names: `0-3,8`.
fn counted(list: &str) -> Option<u32> {
    let count = |range: &str| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let [first, last] = [first, last].map(|number| number.parse::<u32>().ok());
        last?.checked_sub(first?)?.checked_add(1)
    };
    list.trim().split(',').map(count).try_fold(0_u32, |sum, some| sum.checked_add(some?))
}

#[cfg(test)]
mod tests {
    use super::{counted, full_name_in, processors};

    #[test]
    fn processors_are_counted() {
        assert_eq!(["0\n", "0-1\n", "0-3,8,10-11\n"].map(counted), [Some(1), Some(2), Some(7)]);
        assert_eq!(["", "x", "3-0", "0-4294967295"].map(counted), [None; 4]);
        assert!(processors() > 0);
    }

    #[test]
    fn the_full_name_stands_first_in_the_line() {
        let hosts = "127.0.0.1 localhost\n::1 localhost.localdomain mx # mx.no\n\n\
                     127.0.1.1\tMX.Example.org mx\n192.0.2.1 other.test\n";
        assert_eq!(full_name_in(hosts, "mx").as_deref(), Some("mx.example.org"));
        assert_eq!(full_name_in(hosts, "other"), None);
        assert_eq!(full_name_in(hosts, "localhost"), None);
    }
}
