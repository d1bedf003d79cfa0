//! `[[listener]]`

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use envelope::NextHop;
use toml::de::DeTable;

use crate::reader::{Reader, Value};
use crate::{Listener, Role};

/// All listeners; without any, role mx on port 25 of every address.
pub(super) fn listeners<'a>(reader: &mut Reader, file: &'a DeTable<'a>) -> Vec<Listener> {
    let Some(value) = file.get("listener") else {
        let any = [IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V6(Ipv6Addr::UNSPECIFIED)];
        let addresses = any.map(|ip| SocketAddr::new(ip, NextHop::SMTP)).to_vec();
        return vec![Listener { role: Role::Mx, addresses }];
    };
    let items = value.get_ref().as_array();
    let mut seen = Vec::new();
    items.into_iter().flatten().filter_map(|item| listener(reader, item, &mut seen)).collect()
}

fn listener(reader: &mut Reader, item: &Value<'_>, seen: &mut Vec<SocketAddr>) -> Option<Listener> {
    let table = item.get_ref().as_table()?;
    for key in ["role", "address"] {
        if table.get(key).is_none() {
            let remedy = "role = \"mx\"  address = [\"0.0.0.0:25\", \"[::]:25\"]";
            reader.find(item.span(), format!("a listener needs `{key}`"), remedy);
        }
    }
    if let Some(tls) = table.get("tls").filter(|tls| tls.get_ref().as_str() != Some("none")) {
        reader.find(tls.span(), "TLS is not yet supported", "write \"none\" or remove the line");
    }
    let role = |text: &str| match text {
        "mx" => Some(Role::Mx),
        "submission" => Some(Role::Submission),
        _ => None,
    };
    let problem = "the role is \"mx\" or \"submission\"";
    let remedy = "mx: from other systems; submission: from our own users";
    let role = table.get("role").and_then(|value| reader.parsed(value, role, problem, remedy));
    let value = table.get("address")?;
    let remedy = "write \"0.0.0.0:25\" or \"[::]:25\"";
    let addresses =
        reader.list(value, |text| text.parse().ok(), "this is not an address", remedy)?;
    if repeats(&addresses, seen) {
        let remedy = "each address has one listener";
        reader.find(value.span(), "an address is used above already", remedy);
    }
    Some(Listener { role: role?, addresses })
}

/// Adds `addresses` to those `seen`: was one of them there? Port 0 is another each time.
fn repeats(addresses: &[SocketAddr], seen: &mut Vec<SocketAddr>) -> bool {
    let mut repeated = false;
    for address in addresses {
        repeated |= address.port() != 0 && seen.contains(address);
        seen.push(*address);
    }
    repeated
}
