//! Exit codes (sysexits(3)) and the error that ends a command.

use std::fmt;
use std::io::{self, Write as _};
use std::path::Path;
use std::process::ExitCode;

use envelope::{Enhanced, Status};

/// How a command ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    Ok = 0,
    Usage = 64,
    DataErr = 65,
    NoInput = 66,
    NoUser = 67,
    NoHost = 68,
    Unavailable = 69,
    Software = 70,
    CantCreat = 73,
    IoErr = 74,
    TempFail = 75,
    Protocol = 76,
    NoPerm = 77,
    Config = 78,
}

impl Exit {
    /// What a refused or deferred recipient means to the caller, as sendmail maps enhanced codes.
    #[must_use]
    pub fn of(status: &Status) -> Self {
        match (status, status.detail().enhanced) {
            (Status::Delivered(_), _) => Self::Ok,
            (Status::Deferred(_), _) => Self::TempFail,
            (Status::Failed(_), Enhanced(1, 1 | 6)) => Self::NoUser,
            (Status::Failed(_), Enhanced(1, 2 | 8 | 10)) => Self::NoHost,
            (Status::Failed(_), Enhanced(1 | 6 | 7, _) | Enhanced(3, 4)) => Self::DataErr,
            (Status::Failed(_), Enhanced(5, _)) => Self::Protocol,
            (Status::Failed(_), Enhanced(_, _)) => Self::Unavailable,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a command does not do what it was asked: one or more lines for a person, and the code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    pub exit: Exit,
    /// Empty: everything has been said, or nobody listens any more.
    pub text: String,
}

impl Failure {
    #[must_use]
    pub fn new(exit: Exit, text: impl Into<String>) -> Self {
        Self { exit, text: text.into() }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Failure {}

impl From<io::Error> for Failure {
    /// Of writing to stdout: `mailq | head` ends quietly.
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self::new(Exit::Ok, "");
        }
        Self::new(Exit::IoErr, format!("cannot write the output: {error}"))
    }
}

/// The end of `main`: says what is to be said on stderr, after the name of the command.
#[must_use]
pub fn finish(command: &str, ended: Result<Exit, Failure>) -> ExitCode {
    match ended {
        Ok(exit) => exit.into(),
        Err(Failure { exit, text }) => {
            for line in text.lines() {
                complain(command, line);
            }
            exit.into()
        }
    }
}

/// What this command was called as.
#[must_use]
pub fn called() -> String {
    let path = std::env::args_os().next().unwrap_or_default();
    let name = Path::new(&path).file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

/// Says something on stderr. Where nobody listens the command goes on and ends as it would have.
pub fn complain(command: &str, line: impl fmt::Display) {
    let _ = writeln!(io::stderr(), "{command}: {line}");
}
