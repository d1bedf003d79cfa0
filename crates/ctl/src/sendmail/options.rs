//! The command line of `sendmail`: getopt with letters glued together, arguments glued or not, and
//! options after addresses, as scripts of four decades write it.
//!
//! Every letter of any sendmail is known, so that no real script meets "unknown option".
//! **Invariant:** what is not done is said: a mode ends the command, an option gives a warning.

mod letters;
mod queue;

use std::net::IpAddr;
use std::path::PathBuf;

use envelope::{Body, Notify, Return, Submission, printable};

use super::start::Ground;
use crate::{Exit, Failure};

pub(super) use letters::lookups_wanted;
pub(super) use queue::Selection;

/// What one command line asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Options {
    pub(super) mode: Mode,
    /// The words that are no options: recipients.
    pub(super) words: Vec<String>,
    /// `-t`: recipients from the header, too.
    pub(super) from_header: bool,
    pub(super) input_end: InputEnd,
    /// `-f`, as given; empty or `<>` is the null reverse-path.
    pub(super) reverse_path: Option<String>,
    /// `-F`
    pub(super) full_name: Option<String>,
    pub(super) on_error: OnError,
    pub(super) verbose: bool,
    /// `-B`
    pub(super) body: Option<Body>,
    /// `-N`
    pub(super) notify: Notify,
    /// `-R`
    pub(super) ret: Option<Return>,
    /// `-V`, decoded from xtext.
    pub(super) envid: Option<String>,
    /// `-G -L -n -oM -p`
    pub(super) submission: Submission,
    /// `-O NoRecipientAction`
    pub(super) no_recipient: NoRecipient,
    /// `-h`: hops so far.
    pub(super) hops: usize,
    /// Of a listing or a queue run.
    pub(super) selection: Selection,
    /// `None`: as the configuration says.
    pub(super) layout: Option<Layout>,
    /// `-d0`: says first who we are.
    pub(super) identity: bool,
    /// `-d21`, `-d27`, `-d60`: the lines of the tables that apply.
    pub(super) rules_shown: bool,
    /// `-d8`: what is asked of the DNS.
    pub(super) lookups: bool,
    /// `-D`: where `-d` writes.
    pub(super) debug_file: Option<PathBuf>,
    /// `-C`: another configuration.
    pub(super) config: Option<PathBuf>,
    /// `-X`: SMTP is recorded there.
    pub(super) traffic: Option<PathBuf>,
    /// `-odi`, `-qf`: first attempts are waited for.
    pub(super) patience: Patience,
    /// `-Ac`: the queue of what was submitted while the mail system did not run.
    pub(super) submission_queue: bool,
    /// What was asked and is not done.
    pub(super) warnings: Vec<String>,
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Mode {
    /// `-bm`
    Deliver,
    /// `-bs`
    Smtp,
    /// `-bp`
    List,
    /// `-bpc`: only how many.
    Count,
    /// `-bP`: the same in words; with a name what the configuration says of it.
    Entries,
    /// `-q`
    Retry,
    /// `-Qreason`
    Hold(String),
    /// `-Q`
    Release,
    Help,
    /// `-bV`
    Version,
    /// `-bi`, `-I`
    Aliases,
    /// `-bv`
    Verify,
    /// `-bt`
    Test,
    /// `-bh`
    Hosts,
    /// `-bH`
    PurgeHosts,
    /// `-bh ADDRESS`: a session as if from there, of which nothing comes.
    Session(IpAddr),
    /// `-bd`, `-bD`
    Start(Ground),
    /// `-bC`
    Check,
    /// Nothing, and why: a daemon that retries by itself needs no queue runner.
    Nothing(&'static str),
    /// Part of sendmail, and not of this release: what, and what to use.
    NotYet(String),
}

/// Where the message on stdin ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum InputEnd {
    /// At a line that is a single dot, or at the end of the file.
    Dot,
    /// `-i`: at the end of the file.
    File,
}

/// What becomes of an error (`-oe`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OnError {
    /// `p`: said on stderr, and the exit code.
    Print,
    /// `m`, `w`, `e`: mailed back, exit code 0.
    Mail,
    /// `q`: only the exit code.
    Quiet,
}

/// What a header gets that names no recipient.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoRecipient {
    /// Nothing (RFC 5322 §3.6.3 wants none).
    Leave,
    /// `To: undisclosed-recipients:;`
    Undisclosed,
}

/// Whether attempts are waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Patience {
    None,
    /// Until the first one at each message is over, or for a while.
    FirstAttempt,
}

/// How a listing looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layout {
    Sendmail,
    Postfix,
    Json,
}

impl Options {
    /// Reads argv; the name of the program decides the mode that `-b` may change.
    ///
    /// # Errors
    /// Exit code 64.
    pub(super) fn parse(
        program: &str,
        words: impl IntoIterator<Item = String>,
    ) -> Result<Self, Failure> {
        let mut options = Self::of_program(program);
        let mut words = words.into_iter();
        while let Some(word) = words.next() {
            if word == "--" {
                options.words.extend(words);
                break;
            }
            if let Some(name) = word.strip_prefix("--") {
                options.long(name)?;
            } else if let Some(cluster) = word.strip_prefix('-').filter(|rest| !rest.is_empty()) {
                options.cluster(cluster, &mut words)?;
            } else {
                options.words.push(word);
            }
        }
        if let (Mode::Hold(_) | Mode::Release, Some(word)) = (&options.mode, options.words.first())
        {
            let text = format!("Can not use -Q with \"{word}\": a reason stands right behind it");
            return Err(usage(text));
        }
        if options.mode == Mode::Smtp && options.submission != Submission::default() {
            options.warn("-G, -L, -n, -oM and -p go with a message on stdin, not with -bs");
        }
        if options.mode == Mode::Hosts && program != "hoststat" && !options.words.is_empty() {
            options.mode = Mode::Session(client(&options.words)?);
        }
        let waits = options.mode == Mode::Deliver && options.patience == Patience::FirstAttempt;
        let looks = matches!(options.mode, Mode::Verify | Mode::Test | Mode::Retry) || waits;
        if options.lookups && !looks {
            options.warn("-d8 goes with -bv, -bt, -q and -odi: nothing more is shown");
        }
        Ok(options)
    }

    fn of_program(program: &str) -> Self {
        let mode = match program {
            "mailq" => Mode::List,
            "newaliases" => Mode::Aliases,
            "hoststat" => Mode::Hosts,
            "purgestat" => Mode::PurgeHosts,
            "smtpd" => Mode::Start(Ground::Back),
            _ => Mode::Deliver,
        };
        Self {
            mode,
            words: Vec::new(),
            from_header: false,
            input_end: InputEnd::Dot,
            reverse_path: None,
            full_name: None,
            on_error: OnError::Print,
            verbose: false,
            body: None,
            notify: Notify::DEFAULT,
            ret: None,
            envid: None,
            submission: Submission::default(),
            no_recipient: NoRecipient::Leave,
            hops: 0,
            selection: Selection::default(),
            layout: None,
            identity: false,
            rules_shown: false,
            lookups: false,
            debug_file: None,
            config: None,
            traffic: None,
            patience: Patience::None,
            submission_queue: false,
            warnings: Vec::new(),
        }
    }

    fn long(&mut self, name: &str) -> Result<(), Failure> {
        match name {
            "help" => self.mode = Mode::Help,
            "version" => self.mode = Mode::Version,
            "json" => self.layout = Some(Layout::Json),
            "postfix" => self.layout = Some(Layout::Postfix),
            _ => return Err(usage(format!("unrecognized option '--{name}'"))),
        }
        Ok(())
    }

    /// `tifroot`: flags, and at last perhaps one that takes an argument.
    fn cluster(
        &mut self,
        cluster: &str,
        words: &mut impl Iterator<Item = String>,
    ) -> Result<(), Failure> {
        let mut rest = cluster.chars();
        while let Some(letter) = rest.next() {
            let glued = rest.as_str();
            let argument = match letters::takes(letter) {
                None => return Err(usage(format!("invalid option -- '{letter}'"))),
                Some(letters::Takes::Nothing) => {
                    self.flag(letter);
                    continue;
                }
                Some(letters::Takes::Glued) => glued.to_owned(),
                Some(letters::Takes::Word) if letters::is_exims(letter, glued) => {
                    letters::joined(glued, &words.next().unwrap_or_default())
                }
                Some(letters::Takes::Word) if !glued.is_empty() => glued.to_owned(),
                Some(letters::Takes::Word) => words
                    .next()
                    .ok_or_else(|| usage(format!("option requires an argument -- '{letter}'")))?,
            };
            return self.with_argument(letter, &argument);
        }
        Ok(())
    }
}

/// `-bh ADDRESS`, perhaps as SMTP writes it: `[IPv6:2001:db8::7]`.
fn client(words: &[String]) -> Result<IpAddr, Failure> {
    let bare = |word: &str| {
        let inner = word.strip_prefix('[').and_then(|it| it.strip_suffix(']')).unwrap_or(word);
        inner.strip_prefix("IPv6:").unwrap_or(inner).parse::<IpAddr>().ok()
    };
    let address = match words {
        [word] => bare(word),
        _ => None,
    };
    address.map(|address| address.to_canonical()).ok_or_else(|| {
        usage(format!(
            "-bh: {} is no IP address: give one, 192.0.2.7 or 2001:db8::7, for a session as if from \
             there, or none for the list of hosts",
            printable(&words.join(" "))
        ))
    })
}

/// Wrong use of the command: exit code 64.
pub(crate) fn usage(text: String) -> Failure {
    Failure::new(Exit::Usage, format!("{text}\nuse --help to see how it is called"))
}

#[cfg(test)]
mod tests;
