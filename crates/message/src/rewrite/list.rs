//! A list of addresses as RFC 5322 §3.4 writes it, and where each stands.
//!
//! Taken as well: UTF-8 (RFC 6532), empty elements, routes (§4.4) and names without a domain. Not
//! taken: white space or comments inside of a local part or a domain (§4.4).

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

/// A value that is no list of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unreadable;

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("this is no list of addresses")
    }
}

impl std::error::Error for Unreadable {}

/// What was read of a value.
#[derive(Debug)]
pub(super) struct List<'a> {
    pub(super) spots: Vec<Spot<'a>>,
    /// Where white space begins that something follows, and that has no line end.
    pub(super) spaces: Vec<usize>,
}

/// One address.
#[derive(Debug)]
pub(super) struct Spot<'a> {
    pub(super) local: Range<usize>,
    /// Without quotes.
    pub(super) local_text: Cow<'a, str>,
    pub(super) domain: Option<Range<usize>>,
    pub(super) domain_text: Option<&'a str>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Space,
    Comment,
    Quoted,
    Literal,
    Atom,
    /// One of `,;:<>@`.
    Special(u8),
}

#[derive(Debug, Clone)]
struct Token {
    kind: Kind,
    range: Range<usize>,
}

pub(super) fn read(value: &[u8]) -> Result<List<'_>, Unreadable> {
    let tokens = tokens(value)?;
    let spaces = tokens.iter().filter(|token| token.kind == Kind::Space);
    let may_fold = |space: &&Token| {
        let text = value.get(space.range.clone()).unwrap_or_default();
        !text.contains(&b'\n') && space.range.end < value.len()
    };
    let spaces = spaces.filter(may_fold).map(|space| space.range.start).collect();
    let is_said = |token: &&Token| !matches!(token.kind, Kind::Space | Kind::Comment);
    let said: Vec<_> = tokens.iter().filter(is_said).cloned().collect();
    let mut parser = Parser { value, rest: said.into_iter().peekable(), spots: Vec::new() };
    parser.list()?;
    Ok(List { spots: parser.spots, spaces })
}

fn tokens(value: &[u8]) -> Result<Vec<Token>, Unreadable> {
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(rest) = value.get(at..).filter(|rest| !rest.is_empty()) {
        let (kind, length) = token(rest).ok_or(Unreadable)?;
        tokens.push(Token { kind, range: at..at + length });
        at += length;
    }
    Ok(tokens)
}

/// The token at the start of `rest`, and its length.
fn token(rest: &[u8]) -> Option<(Kind, usize)> {
    let run = |belongs: fn(u8) -> bool| rest.iter().take_while(|byte| belongs(**byte)).count();
    Some(match *rest.first()? {
        byte if is_space(byte) => (Kind::Space, run(is_space)),
        b'(' => (Kind::Comment, comment(rest)?),
        b'"' => (Kind::Quoted, closed(rest, b'"')?),
        b'[' => (Kind::Literal, closed(rest, b']')?),
        byte if b",;:<>@".contains(&byte) => (Kind::Special(byte), 1),
        byte if is_atom(byte) => (Kind::Atom, run(is_atom)),
        _ => return None,
    })
}

const fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

/// Also the dot, and bytes of characters beyond ASCII.
fn is_atom(byte: u8) -> bool {
    (byte.is_ascii_graphic() && !b"()<>[]:;@\\,\"".contains(&byte)) || !byte.is_ascii()
}

/// The length of what begins here and ends with `end`.
fn closed(rest: &[u8], end: u8) -> Option<usize> {
    let mut bytes = rest.iter().enumerate().skip(1);
    while let Some((at, byte)) = bytes.next() {
        match *byte {
            b'\\' => drop(bytes.next()?),
            byte if byte == end => return Some(at + 1),
            _ => {}
        }
    }
    None
}

/// The same for a comment, in which there may be others.
fn comment(rest: &[u8]) -> Option<usize> {
    let mut open = 0_usize;
    let mut bytes = rest.iter().enumerate();
    while let Some((at, byte)) = bytes.next() {
        match byte {
            b'\\' => drop(bytes.next()?),
            b'(' => open += 1,
            b')' if open == 1 => return Some(at + 1),
            b')' => open -= 1,
            _ => {}
        }
    }
    None
}

struct Parser<'a> {
    value: &'a [u8],
    rest: std::iter::Peekable<std::vec::IntoIter<Token>>,
    spots: Vec<Spot<'a>>,
}

impl<'a> Parser<'a> {
    fn list(&mut self) -> Result<(), Unreadable> {
        let mut in_group = false;
        while self.rest.peek().is_some() {
            let ended = self.element(in_group)?;
            in_group = match (ended, in_group) {
                (Some(b':'), false) => true,
                (Some(b';'), true) => self.after_group()?,
                (Some(b','), in_group) => in_group,
                (None, in_group) if self.rest.peek().is_none() => in_group,
                _ => return Err(Unreadable),
            };
        }
        if in_group { Err(Unreadable) } else { Ok(()) }
    }

    fn after_group(&mut self) -> Result<bool, Unreadable> {
        match self.special() {
            None | Some(b',') => Ok(false),
            Some(_) => Err(Unreadable),
        }
    }

    /// One address or the name of a group, and the special character that ends it.
    fn element(&mut self, in_group: bool) -> Result<Option<u8>, Unreadable> {
        let mut words = Vec::new();
        while let Some(word) = self.word() {
            words.push(word);
        }
        let ended = self.special();
        match (ended, words.as_slice()) {
            (Some(b'<'), _) => {
                self.angle()?;
                return Ok(self.special());
            }
            (Some(b'@'), [local]) => {
                let domain = self.domain()?;
                self.found(local, Some(domain))?;
                return Ok(self.special());
            }
            (Some(b':'), [_, ..]) if !in_group => {}
            (Some(b',' | b';') | None, []) => {}
            (Some(b',' | b';') | None, [local]) => self.found(local, None)?,
            _ => return Err(Unreadable),
        }
        Ok(ended)
    }

    /// What follows `<`, with its `>`.
    fn angle(&mut self) -> Result<(), Unreadable> {
        if self.is_next(b'@') {
            // A route: it ends with a colon.
            while self.rest.next().ok_or(Unreadable)?.kind != Kind::Special(b':') {}
        }
        let Some(local) = self.word() else {
            return if self.special() == Some(b'>') { Ok(()) } else { Err(Unreadable) };
        };
        match self.special() {
            Some(b'>') => self.found(&local, None),
            Some(b'@') => {
                let domain = self.domain()?;
                if self.special() != Some(b'>') {
                    return Err(Unreadable);
                }
                self.found(&local, Some(domain))
            }
            _ => Err(Unreadable),
        }
    }

    fn word(&mut self) -> Option<Token> {
        self.rest.next_if(|token| matches!(token.kind, Kind::Atom | Kind::Quoted))
    }

    fn domain(&mut self) -> Result<Token, Unreadable> {
        let is_domain = |token: &Token| matches!(token.kind, Kind::Atom | Kind::Literal);
        self.rest.next_if(is_domain).ok_or(Unreadable)
    }

    /// `None`: the end, or something else.
    fn special(&mut self) -> Option<u8> {
        let is_special = |token: &Token| matches!(token.kind, Kind::Special(_));
        match self.rest.next_if(is_special)?.kind {
            Kind::Special(byte) => Some(byte),
            Kind::Space | Kind::Comment | Kind::Quoted | Kind::Literal | Kind::Atom => None,
        }
    }

    fn is_next(&mut self, special: u8) -> bool {
        self.rest.peek().is_some_and(|token| token.kind == Kind::Special(special))
    }

    fn found(&mut self, local: &Token, domain: Option<Token>) -> Result<(), Unreadable> {
        let text = self.text(&local.range)?;
        let is_quoted = local.kind == Kind::Quoted;
        if !is_quoted && domain.is_none() && text.starts_with("=?") {
            // A display name whose address is missing.
            return Err(Unreadable);
        }
        let local_text = if is_quoted { Cow::Owned(unquoted(text)) } else { Cow::Borrowed(text) };
        let domain = domain.map(|domain| domain.range);
        let domain_text = domain.as_ref().map(|range| self.text(range)).transpose()?;
        self.spots.push(Spot { local: local.range.clone(), local_text, domain, domain_text });
        Ok(())
    }

    fn text(&self, range: &Range<usize>) -> Result<&'a str, Unreadable> {
        let bytes = self.value.get(range.clone()).ok_or(Unreadable)?;
        std::str::from_utf8(bytes).map_err(|_| Unreadable)
    }
}

/// A quoted string (RFC 5322 §3.2.4) without its quotes, backslashes and folds.
fn unquoted(text: &str) -> String {
    let inner = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
    let mut chars = inner.unwrap_or_default().chars();
    let mut unquoted = String::new();
    while let Some(c) = chars.next() {
        match c {
            '\\' => unquoted.extend(chars.next()),
            '\r' | '\n' => {}
            c => unquoted.push(c),
        }
    }
    unquoted
}
