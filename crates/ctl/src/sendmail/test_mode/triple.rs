//! Addresses as sendmail writes them between its rulesets: cut into tokens, the host in brackets.

use envelope::{Enhanced, Host, NextHop, Server, Status};
use routing::{Route, Routed};
use tables::LocalDomains;

use crate::sendmail::verify::{is_named, mailer, servers};

/// What separates tokens (OperatorChars of proto.m4), and is one itself.
const OPERATORS: &str = ".:%@!^/[]+<>,;";

/// The tokens with a space between: `x @ example . net`. A quoted string is one token.
pub(super) fn tokens(text: &str) -> String {
    let mut tokens = String::with_capacity(2 * text.len());
    let mut space = true;
    for (c, quoted) in quoting(text) {
        let operator = !quoted && OPERATORS.contains(c);
        let blank = !quoted && c.is_whitespace();
        if (operator || blank) && !space {
            tokens.push(' ');
            space = true;
        }
        if !blank {
            tokens.push(c);
            space = false;
        }
        if operator {
            tokens.push(' ');
            space = true;
        }
    }
    tokens.trim_end().to_owned()
}

/// Each character, and whether it is in quotes; these are, too.
fn quoting(text: &str) -> impl Iterator<Item = (char, bool)> {
    let (mut inside, mut escaped) = (false, false);
    text.chars().map(move |c| {
        let quote = c == '"' && !escaped;
        let quoted = inside || quote || escaped;
        inside ^= quote;
        escaped = c == '\\' && !escaped;
        (c, quoted)
    })
}

/// The tokens put together again.
pub(super) fn plain(tokens: &str) -> String {
    quoting(tokens).filter(|(c, quoted)| *quoted || *c != ' ').map(|(c, _)| c).collect()
}

/// What a comma separates, outside of quotes and brackets.
pub(super) fn parts(text: &str) -> Vec<&str> {
    let (mut quoted, mut brackets) = (quoting(text), 0);
    let parts = text.split(move |c| {
        let quoted = quoted.next().is_some_and(|(_, quoted)| quoted);
        brackets += i32::from(c == '<' && !quoted) - i32::from(c == '>' && !quoted);
        c == ',' && !quoted && brackets == 0
    });
    parts.map(str::trim).filter(|part| !part.is_empty()).collect()
}

/// The host in brackets, `example.net.` of `x < @ example . net . >`.
pub(super) fn focus(tokens: &str) -> Option<String> {
    let (_, rest) = tokens.rsplit_once("< @ ")?;
    rest.split_once('>').map(|(host, _)| plain(host))
}

/// `x@example.net` of `x < @ example . net . >`
pub(super) fn unfocused(tokens: &str) -> String {
    let Some((local, rest)) = tokens.rsplit_once("< @ ") else { return plain(tokens) };
    let (host, after) = rest.split_once('>').unwrap_or((rest, ""));
    let host = plain(host);
    let host = host.strip_suffix('.').unwrap_or(&host);
    format!("{}@{host}{}", plain(local), plain(after))
}

/// `< a . test > rest`: what is in the first brackets, and the rest.
pub(super) fn argument(tokens: &str) -> (&str, &str) {
    let inner = tokens.strip_prefix("< ").filter(|rest| !rest.starts_with('@'));
    match inner.and_then(|rest| rest.split_once('>')) {
        Some((argument, rest)) => (argument.trim(), rest.trim()),
        None => ("", tokens),
    }
}

/// What ruleset 3 returns: `x < @ example . net . >`; a name without a host stays a name.
pub(super) fn canonical(text: &str, local: &LocalDomains) -> String {
    let inner = text.split_once('<').and_then(|(_, rest)| rest.rsplit_once('>'));
    let bare = inner.map_or(text, |(inner, _)| inner).trim();
    // A source route says nothing (RFC 5321 appendix C).
    let bare = match bare.split_once(':') {
        Some((route, rest)) if route.starts_with('@') => rest,
        Some(_) | None => bare,
    };
    let whole =
        bare.rsplit_once('@').filter(|(name, domain)| !name.is_empty() && !domain.is_empty());
    let Some((name, domain)) = whole else { return tokens(bare) };
    format!("{} < @ {} >", tokens(name), domain_tokens(name, domain, local))
}

/// A name ends with a dot when it is whole; a literal has none, nor has a single word that is no name
/// of ours.
fn domain_tokens(name: &str, domain: &str, local: &LocalDomains) -> String {
    let domain = domain.strip_suffix('.').unwrap_or(domain);
    let is_ours = || {
        let address = envelope::Address::new(name, domain);
        address.is_ok_and(|address| local.find(&address).is_some())
    };
    let literal = domain.ends_with(']');
    let whole = !literal && (domain.contains('.') || is_ours());
    let dot = if whole { " ." } else { "" };
    format!("{}{dot}", tokens(domain))
}

/// What ruleset 0 returns: mailer, host, and user. `asked` is the address before.
pub(super) fn of(routed: &Routed, asked: &str, local: &LocalDomains) -> String {
    let last = routed.trace.last().map_or("", |step| &*step.file);
    let by_mailertable = last.starts_with("mailertable");
    match &routed.route {
        // The case of names is kept, as it was written or as the line has it.
        Route::Local { user, .. } => {
            let written = routed.address.to_string();
            let written = written.rsplit_once('@').map_or("", |(local, _)| local);
            let as_written = written.trim_matches('"').to_lowercase().starts_with(user);
            let user = tokens(if as_written { written } else { user });
            let host =
                if by_mailertable { format!("$@ {} ", tokens(asked)) } else { String::new() };
            format!("$# local {host}$: {user}")
        }
        Route::Remote(hop) => {
            let hosts: Vec<_> =
                servers(routed, hop).map(|it| server(it, !is_named(routed))).collect();
            let host = hosts.join(" : ");
            let user = canonical(&routed.address.to_string(), local);
            format!("$# {} $@ {host} $: {user}", mailer(routed))
        }
        Route::List { members, owner: _ } => {
            let members = members.iter().map(|member| tokens(&member.to_string()));
            format!("$# local $: {}", members.collect::<Vec<_>>().join(" , "))
        }
        Route::Special(special) => format!("$# local $: {}", tokens(&special.to_string())),
        Route::Refused(refusal) => error(&refusal.status()),
        Route::Over(Status::Delivered(_)) => "$# discard $: discard".to_owned(),
        Route::Over(status) => error(status),
    }
}

/// `dot`: the name is that of the address itself, which was seen to be whole.
fn server(server: &Server, dot: bool) -> String {
    let host = match &server.host {
        Host::Domain(domain) if dot && domain.contains('.') => format!("{} .", tokens(domain)),
        Host::Domain(domain) => tokens(domain),
        Host::Exact(host) if host.contains(':') => tokens(&format!("[IPv6:{host}]")),
        Host::Exact(host) => tokens(&format!("[{host}]")),
        Host::Socket(path) => return path.clone(),
    };
    if server.port == NextHop::SMTP { host } else { format!("{host} : {}", server.port) }
}

fn error(status: &Status) -> String {
    let Enhanced(subject, detail) = status.detail().enhanced;
    let text = &status.detail().text;
    format!("$# error $@ {} . {subject} . {detail} $: {text}", status.class())
}
