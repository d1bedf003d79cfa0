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
}

impl Key {
    pub(super) const fn is_address(&self) -> bool {
        match self {
            Self::Mailbox(_) | Self::User(_) => true,
            Self::Network(_) | Self::Host(_) => false,
        }
    }
}

/// Tags of what this version cannot do.
const NOT_YET: [&str; 17] = [
    "authinfo",
    "certissuer",
    "certsubject",
    "clientconn",
    "clientrate",
    "clt_features",
    "compat",
    "greetpause",
    "qgrp",
    "spam",
    "srv_features",
    "tls_clt",
    "tls_clt_features",
    "tls_rcpt",
    "tls_srv",
    "tls_srv_features",
    "try_tls",
];

pub(super) fn key(text: &str) -> Result<(Option<Tag>, Key), Wrong> {
    let (tag, rest) = tag(text)?;
    if rest.is_empty() {
        return Err(Wrong::line(format!("after {text} a host, network or address is missing")));
    }
    let key = bare(rest)?;
    let fits = match (tag, &key) {
        (Some(Tag::Connect), Key::Mailbox(_) | Key::User(_)) => false,
        (Some(Tag::From | Tag::To), Key::Network(_)) => false,
        (None, _)
        | (Some(Tag::Connect), Key::Network(_) | Key::Host(_))
        | (Some(Tag::From | Tag::To), Key::Host(_) | Key::Mailbox(_) | Key::User(_)) => true,
    };
    if fits {
        return Ok((tag, key));
    }
    let remedy = if tag == Some(Tag::Connect) {
        "Connect: takes hosts and networks; write From: or To:"
    } else {
        "From: and To: take domains and addresses; write Connect:, or [brackets] for a literal"
    };
    Err(Wrong::line(format!("{text}: {remedy}")))
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
    match tag.to_ascii_lowercase().as_str() {
        "connect" => Ok((Some(Tag::Connect), rest)),
        "from" => Ok((Some(Tag::From), rest)),
        "to" => Ok((Some(Tag::To), rest)),
        // No tag: the address family.
        "ipv6" => Ok((None, text)),
        known if NOT_YET.contains(&known) => Err(Wrong::unsupported(format_args!("{tag}:"))),
        _ => Err(Wrong::line(format!("{tag}: is no tag; write Connect:, From: or To:"))),
    }
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
