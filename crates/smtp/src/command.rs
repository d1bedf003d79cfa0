//! Commands (RFC 5321 §4.1) and the parameters of the extensions we offer.

use std::fmt;

use envelope::{
    Address, AddressError, Body, Enhanced, Extensions, Notify, OriginalRecipient, Return,
    Submission,
};

use crate::Reply;

pub(crate) mod parameters;
mod path;

pub use path::Path;

/// One command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// The name that the client gives itself: at most 255 bytes, letters, digits and `-._:[]`.
    Helo(String),
    Ehlo(String),
    Mail(Mail),
    Rcpt(Rcpt),
    Data,
    /// RFC 3030 §2.
    Bdat {
        /// Bytes that follow the command.
        size: u64,
        last: bool,
    },
    Rset,
    Noop,
    Quit,
    Help,
    Vrfy,
}

/// MAIL (RFC 5321 §4.1.1.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mail {
    pub path: Path,
    /// SIZE: bytes of content as the client estimates (RFC 1870 §5).
    pub size: Option<u64>,
    pub body: Option<Body>,
    pub smtputf8: bool,
    pub ret: Option<Return>,
    /// Decoded.
    pub envid: Option<String>,
    /// Only users of this machine may say more than nothing.
    pub submission: Submission,
}

/// RCPT (RFC 5321 §4.1.1.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rcpt {
    pub path: Path,
    pub notify: Notify,
    pub orcpt: Option<OriginalRecipient>,
}

/// Why a line is not a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CommandError {
    Unknown,
    /// Known, and not offered here.
    NotOffered,
    /// The first line of an HTTP request or the like: someone else's words are being sent to us.
    ForeignProtocol,
    /// BDAT without a size that can be read: a chunk follows, and nobody knows where it ends.
    Chunk,
    /// Broken UTF-8 (RFC 6531 §3.3).
    NotUtf8,
    /// NUL or another control character.
    Control,
    /// How it should look.
    Syntax(&'static str),
    ReversePath(AddressError),
    ForwardPath(AddressError),
    UnknownParameter(String),
    /// A known parameter with a value that it cannot have, or given twice.
    BadParameter(&'static str),
}

impl CommandError {
    /// What to answer.
    #[must_use]
    pub fn reply(&self) -> Reply {
        let (code, enhanced) = match self {
            Self::Unknown => (500, Enhanced(5, 1)),
            Self::NotOffered => (502, Enhanced(5, 1)),
            Self::ForeignProtocol => (554, Enhanced(5, 1)),
            Self::NotUtf8 | Self::Control => (500, Enhanced(5, 2)),
            Self::Chunk | Self::Syntax(_) | Self::BadParameter(_) => (501, Enhanced(5, 4)),
            Self::ReversePath(_) => (553, Enhanced(1, 7)),
            Self::ForwardPath(_) => (553, Enhanced(1, 3)),
            Self::UnknownParameter(_) => (555, Enhanced(5, 4)),
        };
        Reply::new(code, enhanced, self.to_string())
    }
}

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown => f.write_str("Command not recognized"),
            Self::NotOffered => f.write_str("Command not implemented"),
            Self::ForeignProtocol => f.write_str("This is SMTP"),
            Self::Chunk => f.write_str("Syntax: BDAT size [LAST]"),
            Self::NotUtf8 => f.write_str("The command is not UTF-8"),
            Self::Control => f.write_str("The command holds a control character"),
            Self::Syntax(usage) => write!(f, "Syntax: {usage}"),
            Self::ReversePath(error) => write!(f, "Bad sender address: {error}"),
            Self::ForwardPath(error) => write!(f, "Bad recipient address: {error}"),
            Self::UnknownParameter(name) => write!(f, "Unknown parameter {name}"),
            Self::BadParameter(name) => write!(f, "Bad or repeated parameter {name}"),
        }
    }
}

impl std::error::Error for CommandError {}

impl Command {
    /// Reads one line without its CRLF.
    ///
    /// # Errors
    /// [`CommandError`], which knows its reply.
    pub fn parse(line: &[u8]) -> Result<Self, CommandError> {
        Self::parse_without(line, Extensions::NONE)
    }

    /// The same where these extensions are not offered, and their parameters unknown.
    ///
    /// # Errors
    /// [`CommandError`], which knows its reply.
    pub fn parse_without(line: &[u8], withheld: Extensions) -> Result<Self, CommandError> {
        let line = str::from_utf8(line).map_err(|_| CommandError::NotUtf8)?;
        if line.chars().any(|c| c.is_control() && c != '\t') {
            return Err(CommandError::Control);
        }
        let line = line.trim_end_matches([' ', '\t']);
        let (verb, argument) = line.split_once([' ', '\t']).unwrap_or((line, ""));
        let argument = argument.trim_start_matches([' ', '\t']);
        let command = match verb.to_ascii_uppercase().as_str() {
            "EHLO" => Self::Ehlo(hello(argument, "EHLO name")?),
            "HELO" => Self::Helo(hello(argument, "HELO name")?),
            "MAIL" => Self::Mail(mail(argument, withheld)?),
            "RCPT" => Self::Rcpt(rcpt(argument, withheld)?),
            "DATA" => alone(Self::Data, argument, "DATA")?,
            "BDAT" => bdat(argument).ok_or(CommandError::Chunk)?,
            "RSET" => alone(Self::Rset, argument, "RSET")?,
            "QUIT" => alone(Self::Quit, argument, "QUIT")?,
            "NOOP" => Self::Noop,
            "HELP" => Self::Help,
            "VRFY" if argument.is_empty() => return Err(CommandError::Syntax("VRFY address")),
            "VRFY" => Self::Vrfy,
            verb => return Err(unoffered(verb)),
        };
        Ok(command)
    }
}

fn unoffered(verb: &str) -> CommandError {
    match verb {
        "EXPN" | "ETRN" | "TURN" | "ATRN" | "AUTH" | "STARTTLS" | "SEND" | "SOML" | "SAML"
        | "BURL" | "XCLIENT" | "XFORWARD" | "LHLO" => CommandError::NotOffered,
        "GET" | "POST" | "PUT" | "HEAD" | "OPTIONS" | "CONNECT" | "HOST:" | "USER-AGENT:" => {
            CommandError::ForeignProtocol
        }
        _ => CommandError::Unknown,
    }
}

/// A name of any form, because RFC 5321 §4.1.4 forbids to refuse mail for it, as long as it cannot
/// disturb the `Received` field that will show it.
fn hello(name: &str, usage: &'static str) -> Result<String, CommandError> {
    let shown = |c: char| c.is_alphanumeric() || "-._:[]".contains(c);
    let fits = (1..=Address::MAX_DOMAIN).contains(&name.len()) && name.chars().all(shown);
    if fits { Ok(name.to_owned()) } else { Err(CommandError::Syntax(usage)) }
}

fn alone(command: Command, argument: &str, usage: &'static str) -> Result<Command, CommandError> {
    if argument.is_empty() { Ok(command) } else { Err(CommandError::Syntax(usage)) }
}

fn mail(argument: &str, withheld: Extensions) -> Result<Mail, CommandError> {
    let usage = CommandError::Syntax("MAIL FROM:<address>");
    let text = strip_keyword(argument, "FROM:").ok_or(usage)?;
    let (path, parameters) = Path::read(text).map_err(CommandError::ReversePath)?;
    parameters::mail(path, parameters, withheld)
}

fn rcpt(argument: &str, withheld: Extensions) -> Result<Rcpt, CommandError> {
    let usage = CommandError::Syntax("RCPT TO:<address>");
    let text = strip_keyword(argument, "TO:").ok_or(usage)?;
    let (path, parameters) = Path::read(text).map_err(CommandError::ForwardPath)?;
    if path == Path::Null {
        return Err(CommandError::ForwardPath(AddressError::Incomplete));
    }
    parameters::rcpt(path, parameters, withheld)
}

/// What follows the keyword; spaces after the colon are no part of the grammar, but are met.
fn strip_keyword<'a>(argument: &'a str, keyword: &str) -> Option<&'a str> {
    let (start, rest) = argument.split_at_checked(keyword.len())?;
    start.eq_ignore_ascii_case(keyword).then(|| rest.trim_start_matches(' '))
}

/// RFC 3030 §2: a size, and perhaps LAST.
fn bdat(argument: &str) -> Option<Command> {
    let mut words = argument.split_ascii_whitespace();
    let size = words.next().and_then(parameters::digits)?;
    let last = match words.next() {
        Some(word) if word.eq_ignore_ascii_case("LAST") => true,
        Some(_) => return None,
        None => false,
    };
    words.next().is_none().then_some(Command::Bdat { size, last })
}

#[cfg(test)]
mod tests;
