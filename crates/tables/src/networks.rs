//! Networks with their length, and what their lines say (Postfix's cidr_table(5)): of all that have an
//! address the first line counts.

use std::hash::Hash;
use std::net::IpAddr;
use std::sync::Arc;

use hashbrown::HashMap;
use ipnet::IpNet;

use crate::index::Found;
use crate::lines::Line;

/// Each network is of some kind `T`, and is looked up with it.
///
/// **Invariant:** a look-up takes a step for each length of a prefix that is in the table, at most 129.
#[derive(Debug, Clone)]
pub(crate) struct Networks<T> {
    entries: HashMap<(T, IpNet), Entry>,
    /// The sources, in their order.
    files: Vec<(usize, Arc<str>)>,
    /// Those that there are, each of IPv4 (`true`) or IPv6.
    lengths: Vec<(T, bool, u8)>,
}

#[derive(Debug, Clone)]
struct Entry {
    value: Box<str>,
    /// Of `files`.
    file: u32,
    line: u32,
}

impl<T> Default for Networks<T> {
    fn default() -> Self {
        Self { entries: HashMap::new(), files: Vec::new(), lengths: Vec::new() }
    }
}

impl<T: Copy + Eq + Hash> Networks<T> {
    /// Adds a line; the network is without host bits.
    pub(crate) fn insert(&mut self, kind: T, network: IpNet, value: &str, line: &Line) {
        if self.files.last().is_none_or(|(source, _)| *source != line.source) {
            self.files.push((line.source, Arc::clone(&line.file)));
        }
        let (file, line) = (number(self.files.len() - 1), number(line.number));
        let entry = Entry { value: value.into(), file, line };
        self.entries.entry((kind, network)).or_insert(entry);
        let length = (kind, network.addr().is_ipv4(), network.prefix_len());
        if !self.lengths.contains(&length) {
            self.lengths.push(length);
        }
    }

    /// The first line that has `address`.
    pub(crate) fn find(&self, kind: T, address: IpAddr) -> Option<(IpNet, Found<'_>)> {
        let address = address.to_canonical();
        let is_it = |(of, four, _): &&(T, bool, u8)| *of == kind && *four == address.is_ipv4();
        let entries = self.lengths.iter().filter(is_it).filter_map(|(_, _, length)| {
            let network = IpNet::new(address, *length).ok()?.trunc();
            Some((network, self.entries.get(&(kind, network))?))
        });
        let (network, entry) = entries.min_by_key(|(_, entry)| (entry.file, entry.line))?;
        let (source, file) = self.files.get(entry.file as usize)?;
        let line = entry.line as usize;
        Some((network, Found { value: &entry.value, source: *source, file, line }))
    }
}

fn number(size: usize) -> u32 {
    u32::try_from(size).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Kind;

    fn network() -> impl Strategy<Value = IpNet> {
        let four = (any::<u32>(), 0..=32_u8).prop_map(|(bits, length)| {
            // Few bits, so that networks meet.
            IpNet::new(IpAddr::from((bits & 0xc000_0003).to_be_bytes()), length).unwrap().trunc()
        });
        let six = (any::<bool>(), 0..=128_u8).prop_map(|(high, length)| {
            let bits = if high { u128::MAX } else { 1 };
            IpNet::new(IpAddr::from(bits.to_be_bytes()), length).unwrap().trunc()
        });
        prop_oneof![four, six]
    }

    proptest! {
        #[test]
        fn the_first_line_counts(
            networks in prop::collection::vec((0..2_u8, network()), 0..60),
            asked in network(),
        ) {
            let mut table = Networks::default();
            for (number, (kind, network)) in networks.iter().enumerate() {
                let file = "t".into();
                let line = Line { number, text: String::new(), kind: Kind::Cidr, file, source: 0 };
                table.insert(*kind, *network, "", &line);
            }
            let address = asked.addr();
            for kind in 0..2 {
                let is_it = |(of, net): &(u8, IpNet)| *of == kind && net.contains(&address);
                let first = networks.iter().position(is_it);
                prop_assert_eq!(table.find(kind, address).map(|(_, found)| found.line), first);
            }
        }
    }
}
