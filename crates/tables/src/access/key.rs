//! The left-hand side of an access entry.

use std::net::IpAddr;

use envelope::{Address, domain_key};
use ipnet::IpNet;

use super::Tag;
use super::network::network;
use crate::lines::Wrong;

/// What is looked up, in lower case.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Key {
    /// `10.1`, `ipv6:2001:db8`
    Network(String),
    /// `example.org`, `[10.1]`
    Host(String),
    /// `user@example.org`, `user+*@example.org`
    Mailbox(String),
    /// `user@`
    User(String),
    /// `user@example.org<@>user@example.net`
    Pair(String),
    /// Everybody whom no other line names.
    All,
}

impl Key {
    pub(super) const fn is_address(&self) -> bool {
        match self {
            Self::Mailbox(_) | Self::User(_) | Self::Pair(_) => true,
            Self::Network(_) | Self::Host(_) | Self::All => false,
        }
    }
}

/// Tags without which mail would travel unprotected where the administrator forbids it.
const NOT_YET: [&str; 3] = ["tls_clt", "tls_rcpt", "tls_srv"];

/// Tags that do nothing yet, and can be left out until they do.
const WITHOUT: [(&str, &str); 8] = [
    ("authinfo", "no password is sent to any host yet"),
    ("certissuer", "no certificate is asked for yet"),
    ("certsubject", "no certificate is asked for yet"),
    ("clt_features", "there is nothing to turn off yet"),
    ("qgrp", "there is one queue, and no groups"),
    ("tls_clt_features", "there is no TLS yet"),
    ("tls_srv_features", "there is no TLS yet"),
    ("try_tls", "TLS is not tried with any host yet"),
];

pub(super) fn key(text: &str) -> Result<(Option<Tag>, Key), Wrong> {
    let (tag, rest) = tag(text)?;
    let key = match (tag, rest) {
        (Some(Tag::ClientRate | Tag::ClientConn | Tag::GreetPause | Tag::SrvFeatures), "") => {
            Key::All
        }
        (_, "") => {
            return Err(Wrong::line(format!("after {text} a host, network or address is missing")));
        }
        (Some(Tag::Compat), rest) => return Ok((tag, both(rest)?)),
        (_, rest) => bare(rest)?,
    };
    match remedy(tag, &key) {
        None => Ok((tag, key)),
        Some(remedy) => Err(Wrong::line(format!("{text}: {remedy}"))),
    }
}

/// What to write instead, if the tag does not take such a key.
const fn remedy(tag: Option<Tag>, key: &Key) -> Option<&'static str> {
    match (tag, key) {
        (None, _)
        | (_, Key::All | Key::Pair(_))
        | (
            Some(Tag::Connect | Tag::GreetPause | Tag::SrvFeatures),
            Key::Network(_) | Key::Host(_),
        )
        | (Some(Tag::ClientRate | Tag::ClientConn), Key::Network(_))
        | (Some(Tag::From | Tag::To | Tag::Spam), Key::Host(_) | Key::Mailbox(_) | Key::User(_))
        | (Some(Tag::Compat), _) => None,
        (Some(Tag::Connect), Key::Mailbox(_) | Key::User(_)) => {
            Some("Connect: takes hosts and networks; write From: or To:")
        }
        (Some(Tag::GreetPause), Key::Mailbox(_) | Key::User(_)) => {
            Some("GreetPause: takes hosts and networks")
        }
        (Some(Tag::SrvFeatures), Key::Mailbox(_) | Key::User(_)) => {
            Some("Srv_Features: takes hosts and networks")
        }
        (
            Some(Tag::ClientRate | Tag::ClientConn),
            Key::Host(_) | Key::Mailbox(_) | Key::User(_),
        ) => Some("ClientRate: and ClientConn: take networks, or nothing for all clients"),
        (Some(Tag::Spam), Key::Network(_)) => Some("Spam: takes domains and addresses"),
        (Some(Tag::From | Tag::To), Key::Network(_)) => Some(
            "From: and To: take domains and addresses; write Connect:, or [brackets] for a literal",
        ),
    }
}

/// A network with its length, or one address; maybe with a tag.
pub(super) fn with_length(text: &str) -> Result<(Option<Tag>, IpNet), Wrong> {
    let network = |text: &str| {
        let one = || text.parse::<IpAddr>().ok().map(IpNet::from);
        text.parse::<IpNet>().ok().map(|network| network.trunc()).or_else(one)
    };
    if let Some(network) = network(text) {
        return Ok((None, network));
    }
    let (tag, rest) = tag(text)?;
    let found = network(rest).filter(|_| matches!(tag, None | Some(Tag::Connect)));
    let remedy = "write 192.0.2.0/24, or Connect:192.0.2.0/24";
    found
        .map(|network| (tag, network))
        .ok_or_else(|| Wrong::line(format!("{text} is no network: {remedy}")))
}

/// `From:`, or nothing.
pub(super) fn tag_alone(text: &str) -> Result<Option<Tag>, Wrong> {
    match tag(text)? {
        (tag, "") => Ok(tag),
        _ => Err(Wrong::line(format!("{text} before an expression is no tag"))),
    }
}

fn tag(text: &str) -> Result<(Option<Tag>, &str), Wrong> {
    let Some((tag, rest)) = text.split_once(':').filter(|(tag, _)| !tag.contains(['[', '@']))
    else {
        return Ok((None, text));
    };
    let lower = tag.to_ascii_lowercase();
    let known = match lower.as_str() {
        "connect" => Tag::Connect,
        "from" => Tag::From,
        "to" => Tag::To,
        "spam" => Tag::Spam,
        "compat" => Tag::Compat,
        "clientrate" => Tag::ClientRate,
        "clientconn" => Tag::ClientConn,
        "greetpause" => Tag::GreetPause,
        "srv_features" => Tag::SrvFeatures,
        // No tag: the address family.
        "ipv6" => return Ok((None, text)),
        other => return Err(unknown(tag, other)),
    };
    Ok((Some(known), rest))
}

fn unknown(tag: &str, lower: &str) -> Wrong {
    if NOT_YET.contains(&lower) {
        return Wrong::unsupported(format_args!("{tag}:"));
    }
    match WITHOUT.iter().find(|(known, _)| *known == lower) {
        Some((_, why)) => {
            Wrong::line(format!("{tag}: is not yet supported, the line is skipped: {why}"))
        }
        None => Wrong::line(format!("{tag}: is no tag; write Connect:, From: or To:")),
    }
}

/// `sender<@>recipient`
fn both(text: &str) -> Result<Key, Wrong> {
    let wrong = || Wrong::line(format!("Compat:{text}: write Compat:sender<@>recipient"));
    let (from, to) = text.split_once("<@>").ok_or_else(wrong)?;
    let whole = |text: &str| text.parse::<Address>().map_err(|_| wrong());
    let (from, to) = (whole(from)?, whole(to)?);
    let (sender, recipient) = (from.domain_key(), to.domain_key());
    Ok(Key::Pair(pair((from.local(), &sender), (to.local(), &recipient))))
}

/// A reverse-path and a recipient as a key.
pub(super) fn pair(from: (&str, &str), to: (&str, &str)) -> String {
    let ((sender, domain), (recipient, to)) = (from, to);
    format!("{}@{domain}<@>{}@{to}", sender.to_lowercase(), recipient.to_lowercase())
}

fn bare(text: &str) -> Result<Key, Wrong> {
    if let Some((local, domain)) = text.rsplit_once('@') {
        return address(local, domain).ok_or_else(|| Wrong::line(format!("{text} is no address")));
    }
    if let Some(inner) = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')) {
        let inner = network(inner).transpose()?;
        let inner = inner.ok_or_else(|| Wrong::line(format!("{text}: an address is missing")))?;
        return Ok(Key::Host(format!("[{inner}]")));
    }
    if let Some(network) = network(text) {
        return network.map(Key::Network);
    }
    if let Some(name) = text.strip_prefix('.') {
        let remedy = format!("write {name}, which includes what is below it");
        return Err(Wrong::line(format!("{text} is not looked up: {remedy}")));
    }
    if text.contains('/') {
        let remedy = "write a network by its first numbers, such as 192.0.2";
        return Err(Wrong::line(format!("{text}: {remedy}")));
    }
    host(text).map(Key::Host).ok_or_else(|| Wrong::line(format!("{text} is not a host")))
}

/// The rules for a domain are those of an address.
fn host(text: &str) -> Option<String> {
    Address::new("x", text).is_ok().then(|| domain_key(text))
}

fn address(local: &str, domain: &str) -> Option<Key> {
    let local = Address::new(local, "localhost").is_ok().then(|| local.to_lowercase())?;
    if domain.is_empty() {
        return Some(Key::User(format!("{local}@")));
    }
    Some(Key::Mailbox(format!("{local}@{}", host(domain)?)))
}
