//! What each letter means: the union of the options of sendmail 8.18, Postfix, Exim and OpenSMTPD.

use envelope::{Body, Notify, Return};

use super::{HeaderCare, InputEnd, Mode, OnError, Options, usage};
use crate::Failure;

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

/// The mode of `-b`.
pub(super) fn mode(name: &str) -> Mode {
    let instead = match name {
        "m" => return Mode::Deliver,
        "s" => return Mode::Smtp,
        "i" => return Mode::Aliases,
        "v" => return Mode::Verify,
        "t" => return Mode::Test,
        "h" => return Mode::Hosts,
        "H" => return Mode::PurgeHosts,
        "V" => return Mode::Version,
        "pc" | "P" => return Mode::Count,
        _ if name.starts_with('p') => return Mode::List,
        "d" | "D" | "l" => "start the system with \"pennypost start\"",
        "C" => "use \"pennypost check\"",
        _ => return Mode::NotYet(format!("-b{name} is not supported yet")),
    };
    Mode::NotYet(format!("-b{name} is not supported yet: {instead}"))
}

impl Options {
    pub(super) fn flag(&mut self, letter: char) {
        match letter {
            'G' => self.header = HeaderCare::Leave,
            'I' => self.mode = mode("i"),
            'i' => self.input_end = InputEnd::File,
            'n' => self.warn("-n is not supported yet: aliases are followed"),
            't' => self.from_header = true,
            'v' => self.verbose = true,
            // -c -m -s -S -U -x: what they ask for is always so, or never was of use.
            _ => {}
        }
    }

    pub(super) fn with_argument(&mut self, letter: char, argument: &str) -> Result<(), Failure> {
        match letter {
            'B' => self.body = Some(body(argument)?),
            'b' => self.mode = mode(argument),
            'C' => self.warn("-C is not supported: PENNYPOST_ROOT says where everything is"),
            'D' | 'X' => self.warn(&format!("-{letter} is not supported yet: nothing is recorded")),
            'd' if argument == "0" || argument.starts_with("0.") => self.identity = true,
            'd' => self.warn("-d is not supported yet: nothing more is shown"),
            'e' => self.on_error = on_error(argument),
            'F' => self.full_name = Some(argument.to_owned()),
            'f' | 'r' => self.reverse_path = Some(argument.to_owned()),
            'h' => self.hops = hops(argument)?,
            'M' if EXIM_OPERATIONS.contains(&argument) => {
                let text = format!("-M{argument} is Exim's: see \"pennypost queue --help\"");
                self.mode = Mode::NotYet(text);
            }
            'N' => self.notify = notify(argument)?,
            'O' => self.long_setting(argument)?,
            'o' => self.setting(argument)?,
            'Q' => self.quarantine(argument)?,
            'q' => self.queue_run(argument)?,
            'R' => self.set_return(argument)?,
            'V' => self.set_envid(argument)?,
            // -A: there is one queue. -L -M -p: only for programs that are trusted, later.
            _ => {}
        }
        Ok(())
    }

    /// `-ox`: a setting by its old letter. Those unknown here would need privileges.
    fn setting(&mut self, text: &str) -> Result<(), Failure> {
        let mut rest = text.chars();
        match rest.next() {
            Some('e') => self.on_error = on_error(rest.as_str()),
            Some('i') => self.input_end = InputEnd::File,
            Some('Q') => return Err(usage("the queue directory cannot be changed".to_owned())),
            Some('v') => self.verbose = true,
            // -od: durable is all that is waited for, whatever follows.
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
            "requiretls" => self.warn("-O requiretls is not supported yet"),
            _ => {}
        }
        Ok(())
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
        if self.envid.is_some() {
            return Err(usage("duplicate -V flag".to_owned()));
        }
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
