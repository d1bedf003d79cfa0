//! Networks with their length, and what their lines say (Postfix's cidr_table(5)): of all that have an
//! address the first line counts.

use std::net::IpAddr;

use hashbrown::HashMap;
use ipnet::IpNet;

use crate::Place;
use crate::index::Found;
use crate::lines::Line;

/// Each network is of some kind `T`, and is looked up with it.
///
/// **Invariant:** a look-up takes a step for each length of a prefix that is in the table, at most 129.
#[derive(Debug, Clone)]
pub(crate) struct Networks<T> {
    lines: Vec<Entry>,
    /// Numbers of lines.
    by_network: HashMap<(T, IpNet), usize>,
    /// Of IPv4 and of IPv6.
    lengths: [Vec<u8>; 2],
}

#[derive(Debug, Clone)]
struct Entry {
    network: IpNet,
    value: String,
    place: Place,
    source: usize,
}

impl<T> Default for Networks<T> {
    fn default() -> Self {
        Self { lines: Vec::new(), by_network: HashMap::new(), lengths: [Vec::new(), Vec::new()] }
    }
}

impl<T: Copy + Eq + std::hash::Hash> Networks<T> {
    /// Adds a line; the network is without host bits.
    pub(crate) fn insert(&mut self, kind: T, network: IpNet, value: &str, line: &Line) {
        let number = self.lines.len();
        let (value, place, source) = (value.to_owned(), line.place(), line.source);
        self.lines.push(Entry { network, value, place, source });
        self.by_network.entry((kind, network)).or_insert(number);
        let [four, six] = &mut self.lengths;
        let lengths = if network.addr().is_ipv4() { four } else { six };
        if !lengths.contains(&network.prefix_len()) {
            lengths.push(network.prefix_len());
        }
    }

    /// The first line that has `address`.
    pub(crate) fn find(&self, kind: T, address: IpAddr) -> Option<(IpNet, Found<'_>)> {
        let address = address.to_canonical();
        let [four, six] = &self.lengths;
        let lengths = if address.is_ipv4() { four } else { six };
        let network = |length: &u8| IpNet::new(address, *length).ok().map(|net| net.trunc());
        let numbers = lengths
            .iter()
            .filter_map(|length| self.by_network.get(&(kind, network(length)?)).copied());
        let Entry { network, value, place, source } = self.lines.get(numbers.min()?)?;
        Some((*network, Found::new(value, *source, place)))
    }
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
