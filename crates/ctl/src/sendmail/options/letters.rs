//! What each letter means: the union of the options of sendmail 8.18, Postfix, Exim and OpenSMTPD.

use std::net::IpAddr;

use envelope::{Aliasing, Body, HeaderCare, Label, Notify, Return};

use super::{InputEnd, Mode, NoRecipient, OnError, Options, Patience, usage};
use crate::Failure;
use crate::sendmail::start::Ground;

/// Whether a letter has an argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Takes {
    Nothing,
    /// The rest of the word, or else the next word.
    Word,
    /// The rest of the word only; it may be empty.
    Glued,
}

/// `None`: no sendmail knows the letter.
pub(super) const fn takes(letter: char) -> Option<Takes> {
    match letter {
        'c' | 'G' | 'I' | 'i' | 'm' | 'n' | 's' | 'S' | 't' | 'U' | 'v' | 'x' => {
            Some(Takes::Nothing)
        }
        'A' | 'B' | 'b' | 'D' | 'e' | 'F' | 'f' | 'h' | 'L' | 'M' | 'N' | 'O' | 'o' | 'p' | 'R'
        | 'r' | 'V' | 'X' => Some(Takes::Word),
        // -E, -J and -T come from systems of the past, with or without something glued to them.
        'C' | 'd' | 'E' | 'J' | 'Q' | 'q' | 'T' => Some(Takes::Glued),
        _ => None,
    }
}

/// Exim's operations on the queue, which would be mistaken for a macro and a recipient.
const EXIM_OPERATIONS: [&str; 15] =
    ["", "c", "f", "g", "ar", "es", "md", "mad", "eb", "rm", "t", "vb", "vc", "vh", "vl"];

/// What Exim is told of a message by `-oMx`, with the next word.
const EXIM_ORIGIN: [&str; 4] = ["Ma", "Mr", "Ms", "Mt"];
/// The same of what has no meaning here: who was authenticated, as whom, where, and by which message.
const EXIM_ALONE: [&str; 5] = ["Maa", "Mai", "Mas", "Mi", "Mm"];

/// Does the value of this option follow as the next word, although something is glued to the letter?
pub(super) fn is_exims(letter: char, glued: &str) -> bool {
    letter == 'o' && EXIM_ORIGIN.iter().chain(&EXIM_ALONE).any(|&it| it == glued)
}

/// Such an option with its value, as sendmail would have it.
pub(super) fn joined(glued: &str, value: &str) -> String {
    if EXIM_ALONE.contains(&glued) { glued.to_owned() } else { format!("{glued}{value}") }
}

/// The mode of `-b`.
///
/// # Errors
/// Exit code 64: there is none, like `-ba`, the mail of the ARPANET.
pub(super) fn mode(name: &str) -> Result<Mode, Failure> {
    Ok(match name {
        "m" => Mode::Deliver,
        "s" => Mode::Smtp,
        "i" => Mode::Aliases,
        "v" => Mode::Verify,
        "t" => Mode::Test,
        "h" => Mode::Hosts,
        "H" => Mode::PurgeHosts,
        "V" => Mode::Version,
        "pc" => Mode::Count,
        "P" => Mode::Entries,
        _ if name.starts_with('p') => Mode::List,
        "d" | "l" => Mode::Start(Ground::Back),
        "D" => Mode::Start(Ground::Fore),
        "C" => Mode::Check,
        _ => return Err(usage(format!("Invalid operation mode {name}"))),
    })
}

/// Does a `-d8.11` show what is asked of the DNS? `None`: it is about other things; level 0 ends it.
pub(in crate::sendmail) fn lookups_wanted(text: &str) -> Option<bool> {
    let is_it = |category: &&str| category.split(['.', '-']).next() == Some("8");
    let category = text.split(',').rfind(is_it)?;
    Some(category.rsplit_once('.').is_none_or(|(_, level)| level != "0"))
}

impl Options {
    pub(super) fn flag(&mut self, letter: char) {
        match letter {
            'G' => self.submission.header = HeaderCare::Leave,
            'I' => self.mode = Mode::Aliases,
            'i' => self.input_end = InputEnd::File,
            'n' => self.submission.aliasing = Aliasing::Skipped,
            't' => self.from_header = true,
            'v' => self.verbose = true,
            // -c -m -s -S -U -x: what they ask for is always so, or never was of use.
            _ => {}
        }
    }

    pub(super) fn with_argument(&mut self, letter: char, argument: &str) -> Result<(), Failure> {
        match letter {
            'B' => self.body = Some(body(argument)?),
            'A' => self.submission_queue = argument == "c",
            'b' => self.operate(mode(argument)?)?,
            'C' => self.configuration(argument),
            'D' => self.debug_file = Some(argument.into()),
            'd' => self.debug(argument),
            'e' => self.on_error = on_error(argument),
            'F' => self.full_name = Some(argument.to_owned()),
            'f' | 'r' => self.reverse_path = Some(argument.to_owned()),
            'h' => self.hops = hops(argument)?,
            'M' if EXIM_OPERATIONS.contains(&argument) => {
                let text = format!("-M{argument} is Exim's: see \"pennypost queue --help\"");
                self.mode = Mode::NotYet(text);
            }
            'L' => self.submission.tag = Label::made_of(argument, Label::WORD),
            'M' => self.original_client(argument),
            'N' => self.notify = notify(argument)?,
            'O' => self.long_setting(argument)?,
            'o' => self.setting(argument)?,
            'Q' => self.quarantine(argument)?,
            'q' => self.queue_run(argument)?,
            'R' => self.set_return(argument)?,
            'V' => self.set_envid(argument)?,
            'p' if matches!(argument, "d" | "s" | "d0" | "s0") => {
                return Err(usage(format!("-p{argument} is Exim's")));
            }
            'p' => self.protocol(argument),
            'X' if argument.starts_with('V') => self.warn("-XV (VERP) is not supported"),
            'X' => self.traffic = Some(argument.into()),
            _ => {}
        }
        Ok(())
    }

    /// `-b`
    fn operate(&mut self, mode: Mode) -> Result<(), Failure> {
        if matches!(self.mode, Mode::Hold(_) | Mode::Release) {
            return Err(usage("-Q goes with -q alone".to_owned()));
        }
        self.mode = mode;
        Ok(())
    }

    /// `-ox`: a setting by its old letter. Those unknown here would need privileges.
    fn setting(&mut self, text: &str) -> Result<(), Failure> {
        let mut rest = text.chars();
        match rest.next() {
            Some('e') => self.on_error = on_error(rest.as_str()),
            Some('i') => self.input_end = InputEnd::File,
            Some('M') => self.original_client(rest.as_str()),
            Some('Q') => return Err(usage("the queue directory cannot be changed".to_owned())),
            Some('v') => self.verbose = true,
            Some('d') => self.delivery_mode(rest.as_str()),
            _ => {}
        }
        Ok(())
    }

    /// `-O Name=value`
    fn long_setting(&mut self, text: &str) -> Result<(), Failure> {
        let (name, value) = text.split_once('=').unwrap_or((text, ""));
        let (name, value) = (name.trim(), value.trim());
        let on = !matches!(value.get(..1), Some("f" | "F" | "n" | "N"));
        match name.to_ascii_lowercase().as_str() {
            "errormode" => self.on_error = on_error(value),
            "ignoredots" if on => self.input_end = InputEnd::File,
            "ignoredots" => self.input_end = InputEnd::Dot,
            "queuedirectory" => {
                return Err(usage("the queue directory cannot be changed".to_owned()));
            }
            "verbose" => self.verbose = on,
            "norecipientaction" if value.eq_ignore_ascii_case("add-to-undisclosed") => {
                self.no_recipient = NoRecipient::Undisclosed;
            }
            "deliverymode" => self.delivery_mode(value),
            "requiretls" => self.warn("-O requiretls is not supported yet"),
            _ => {}
        }
        Ok(())
    }

    /// `-p PROTOCOL:HOST`; a part that is empty says nothing.
    fn protocol(&mut self, text: &str) {
        let (protocol, host) = text.split_once(':').unwrap_or((text, ""));
        let client = &mut self.submission.client;
        client.protocol = Label::made_of(protocol, Label::WORD).or(client.protocol.take());
        client.name = Label::made_of(host, Label::NAME).or(client.name.take());
    }

    /// `-oMaADDRESS -oMrPROTOCOL -oMsHOST -oMtUSER`, as Exim has them; in sendmail, where a letter names a
    /// macro, the middle two mean the same.
    fn original_client(&mut self, text: &str) {
        let client = &mut self.submission.client;
        if let Some(value) = text.strip_prefix('r') {
            client.protocol = Label::made_of(value, Label::WORD);
        } else if let Some(value) = text.strip_prefix('s') {
            client.name = Label::made_of(value, Label::NAME);
        } else if let Some(value) = text.strip_prefix('t') {
            client.user = Label::made_of(value, Label::WORD);
        } else if let Some(value) =
            text.strip_prefix('a').filter(|value| !matches!(*value, "a" | "i" | "s"))
        {
            client.address = address(value);
            if client.address.is_none() {
                self.warn(&format!("-oMa{value}: not an IP address"));
            }
        }
    }

    /// `i` waits; all others end when the message is durable.
    fn delivery_mode(&mut self, text: &str) {
        self.patience = if text.starts_with('i') { Patience::FirstAttempt } else { Patience::None };
    }

    /// `-C FILE`; there is no `sendmail.cf`.
    fn configuration(&mut self, path: &str) {
        if path.is_empty() || path.ends_with(".cf") {
            self.warn("-C: there is no sendmail.cf; another pennypost.toml may be named");
        } else {
            self.config = Some(path.into());
        }
    }

    /// `-d`, `-d0.1`, `-d21.12`, `-d0-99.1,8.8`
    fn debug(&mut self, text: &str) {
        for category in text.split(',') {
            let number = category.split(['.', '-']).next().unwrap_or_default();
            match number {
                "" | "0" => {
                    // `-d` alone is `-d0-99.1`.
                    self.identity = true;
                    self.rules_shown |= category.is_empty() || category.contains('-');
                }
                "8" => self.lookups = lookups_wanted(category).unwrap_or(self.lookups),
                "21" | "27" | "60" => self.rules_shown = true,
                _ => self.warn(&format!("-d{category}: nothing more is shown")),
            }
        }
    }

    fn set_return(&mut self, text: &str) -> Result<(), Failure> {
        if self.ret.is_some() {
            return Err(usage("duplicate -R flag".to_owned()));
        }
        self.ret = Some(match text.to_ascii_lowercase().as_str() {
            "full" => Return::Full,
            "hdrs" => Return::Headers,
            _ => return Err(usage(format!("invalid -R value '{text}' (full or hdrs)"))),
        });
        Ok(())
    }

    /// RFC 3461 §4.4: xtext, at most 100 characters.
    fn set_envid(&mut self, text: &str) -> Result<(), Failure> {
        const MAX: usize = 100;
        let decoded = smtp::xtext::decode(text).filter(|_| (1..=MAX).contains(&text.len()));
        self.envid = Some(decoded.ok_or_else(|| {
            usage(format!("invalid -V value '{text}' (1 to {MAX} characters of xtext)"))
        })?);
        Ok(())
    }

    pub(super) fn warn(&mut self, text: &str) {
        self.warnings.push(text.to_owned());
    }
}

/// `192.0.2.1`, `[192.0.2.1]`, `[IPv6:2001:db8::1]`, and `[192.0.2.1]:25`, of which the port does not count.
fn address(text: &str) -> Option<IpAddr> {
    let inner = text.strip_prefix('[').and_then(|rest| rest.split_once(']'));
    let inner = inner.map_or(text, |(inner, _)| inner);
    inner.strip_prefix("IPv6:").unwrap_or(inner).parse().ok()
}

fn body(text: &str) -> Result<Body, Failure> {
    match text.to_ascii_uppercase().as_str() {
        "7BIT" => Ok(Body::SevenBit),
        "8BITMIME" => Ok(Body::EightBitMime),
        _ => Err(usage(format!("illegal body type '{text}' (7BIT or 8BITMIME)"))),
    }
}

fn hops(text: &str) -> Result<usize, Failure> {
    text.parse().map_err(|_| usage(format!("bad hop count '{text}'")))
}

fn on_error(text: &str) -> OnError {
    match text.chars().next() {
        Some('m' | 'w' | 'e') => OnError::Mail,
        Some('q') => OnError::Quiet,
        _ => OnError::Print,
    }
}

/// `never`, or some of `success,failure,delay`.
fn notify(text: &str) -> Result<Notify, Failure> {
    if text.eq_ignore_ascii_case("never") {
        return Ok(Notify::NEVER);
    }
    let mut notify = Notify { success: false, failure: false, delay: false, stated: true };
    for word in text.split(',') {
        match word.trim().to_ascii_lowercase().as_str() {
            "success" => notify.success = true,
            "failure" => notify.failure = true,
            "delay" => notify.delay = true,
            _ => {
                let what = "never, or success, failure, delay";
                return Err(usage(format!("invalid -N value '{text}' ({what})")));
            }
        }
    }
    Ok(notify)
}
