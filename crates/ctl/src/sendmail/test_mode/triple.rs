//! Addresses as sendmail writes them between its rulesets: cut into tokens, the host in brackets.

use envelope::{Enhanced, Host, NextHop, Server, Status};
use routing::{Route, Routed};

use crate::sendmail::verify::mailer;

/// What separates tokens (OperatorChars of proto.m4), and is one itself.
const OPERATORS: &str = ".:%@!^/[]+<>,;";

/// The tokens with a space between: `x @ example . net`. A quoted string is one token.
pub(super) fn tokens(text: &str) -> String {
    let mut tokens = String::with_capacity(2 * text.len());
    let (mut quoted, mut escaped) = (false, false);
    for c in text.chars() {
        quoted ^= c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
        if !quoted && OPERATORS.contains(c) {
            tokens.extend([' ', c, ' ']);
        } else {
            tokens.push(c);
        }
    }
    if text.contains('"') { collapsed(&tokens) } else { words(&tokens) }
}

fn words(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The same outside quotes.
fn collapsed(text: &str) -> String {
    let parts = text.split('"').enumerate();
    let part = |(number, part): (usize, &str)| match number % 2 {
        0 => words(part),
        _ => format!("\"{part}\""),
    };
    parts.map(part).filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
}

/// What ruleset 3 returns: `x < @ example . net . >`; a name without a host stays a name.
pub(super) fn canonical(text: &str) -> String {
    let bare = text.trim().strip_prefix('<').and_then(|text| text.strip_suffix('>'));
    let bare = bare.unwrap_or(text).trim();
    let Some((local, domain)) = bare.rsplit_once('@') else { return tokens(bare) };
    format!("{} < @ {} >", tokens(local), domain_tokens(domain))
}

/// A name ends with a dot when it is whole; a literal has none.
fn domain_tokens(domain: &str) -> String {
    let domain = domain.strip_suffix('.').unwrap_or(domain);
    let dot = if domain.ends_with(']') { "" } else { " ." };
    format!("{}{dot}", tokens(domain))
}

/// What ruleset 0 returns: mailer, host, and user.
pub(super) fn of(routed: &Routed, asked: &str) -> String {
    match &routed.route {
        Route::Local { user, detail } => {
            let detail = detail.as_ref().map(|detail| format!(" + {}", tokens(detail)));
            format!("$# local $: {}{}", tokens(user), detail.unwrap_or_default())
        }
        Route::Remote(hop) => {
            let hosts: Vec<_> = hop.servers().map(server).collect();
            let host = hosts.join(" : ");
            let user =
                if asked.contains('@') { routed.address.to_string() } else { asked.to_owned() };
            format!("$# {} $@ {host} $: {}", mailer(routed), canonical(&user))
        }
        Route::List { members, owner: _ } => {
            let members = members.iter().map(|member| tokens(&member.address.to_string()));
            format!("$# local $: {}", members.collect::<Vec<_>>().join(" , "))
        }
        Route::Refused(refusal) => error(&refusal.status()),
        Route::Over(Status::Delivered(_)) => "$# discard $: discarded".to_owned(),
        Route::Over(status) => error(status),
    }
}

fn server(server: &Server) -> String {
    let host = match &server.host {
        Host::Domain(domain) => domain_tokens(domain),
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
