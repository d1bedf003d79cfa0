//! A command as aliases, `.forward` and smrsh(8) name it. No shell reads it.
//!
//! **Invariant:** what is run is a file of one directory: of the path that was written only the last
//! part counts.
//! **Invariant:** nothing expands: no variable, no pattern, no redirection.

use std::fmt;
use std::path::{Path, PathBuf};

/// Bytes of a command, as in smrsh.c.
pub const MAX: usize = 1000;

/// What a shell would take for more than a word, and is refused even in quotes (smrsh.c). `&&` and
/// `||` are known.
const SPECIALS: &str = "<|>^();&`$\r\n";

/// One command of several.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    pub when: When,
    pub what: What,
}

/// Whether a step is done, by the exit code of the one that was done last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    Always,
    /// `&&`
    Success,
    /// `||`
    Failure,
}

/// What is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    Program(Program),
    /// Says its arguments.
    Echo(Vec<String>),
    /// Ends with this code; `None`: with that of the step before.
    Exit(Option<u8>),
}

/// A program and what it is given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    name: String,
    pub arguments: Vec<String>,
}

/// Why a command is not run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    Empty,
    TooLong,
    /// It is in [`SPECIALS`], or a NUL.
    Character(char),
    Quote,
    /// After `exec`, `&&` or `||`.
    Missing(&'static str),
    /// No name of a file in a directory.
    Name(String),
    ExitCode(String),
    /// [`single`] takes nothing else.
    NotOne,
}

/// Reads a command line of smrsh: programs, `echo` and `exit`, joined by `&&` and `||`.
///
/// # Errors
/// [`Refusal`]
pub fn parse(text: &str) -> Result<Vec<Step>, Refusal> {
    if text.len() > MAX {
        return Err(Refusal::TooLong);
    }
    let mut steps = Vec::new();
    let (mut when, mut rest) = (When::Always, text);
    loop {
        let (simple, next) = first_command(rest)?;
        let what = What::of(words(simple)?).map_err(|refusal| match (refusal, when) {
            (Refusal::Empty, When::Success) => Refusal::Missing("&&"),
            (Refusal::Empty, When::Failure) => Refusal::Missing("||"),
            (refusal, _) => refusal,
        })?;
        steps.push(Step { when, what });
        let Some(next) = next else { return Ok(steps) };
        (when, rest) = next;
    }
}

/// What aliases and `.forward` name after `|`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Single {
    pub program: Program,
    /// `|| exit CODE`: this is the exit code of a program that fails.
    pub failure: Option<u8>,
}

/// Reads what aliases and `.forward` name after `|`: one program, and what its failure is to mean. After
/// `exec` a shell is there no more to do anything about that.
///
/// # Errors
/// [`Refusal`]
pub fn single(text: &str) -> Result<Single, Refusal> {
    let steps = parse(text)?;
    let (program, failure) = match steps.as_slice() {
        [Step { what: What::Program(program), .. }] => (program, None),
        [
            Step { what: What::Program(program), .. },
            Step { when: When::Failure, what: What::Exit(code) },
        ] => (program, *code),
        _ => return Err(Refusal::NotOne),
    };
    let is_replaced = text.split_whitespace().next() == Some("exec");
    Ok(Single { program: program.clone(), failure: failure.filter(|_| !is_replaced) })
}

impl Program {
    /// The last part of the path that was written.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The file that is run.
    #[must_use]
    pub fn path(&self, directory: &Path) -> PathBuf {
        directory.join(&self.name)
    }

    fn of(path: &str, arguments: Vec<String>) -> Result<Self, Refusal> {
        match path.rsplit('/').next() {
            None | Some("" | "." | "..") => Err(Refusal::Name(path.to_owned())),
            Some(name) => Ok(Self { name: name.to_owned(), arguments }),
        }
    }
}

impl What {
    fn of(words: Vec<String>) -> Result<Self, Refusal> {
        let mut words = words.into_iter();
        let first = words.next().ok_or(Refusal::Empty)?;
        match first.as_str() {
            "exec" => {
                let program = words.next().ok_or(Refusal::Missing("exec"))?;
                Program::of(&program, words.collect()).map(Self::Program)
            }
            "echo" => Ok(Self::Echo(words.collect())),
            "exit" => {
                let code =
                    words.next().map(|code| code.parse().map_err(|_| Refusal::ExitCode(code)));
                Ok(Self::Exit(code.transpose()?))
            }
            path => Program::of(path, words.collect()).map(Self::Program),
        }
    }
}

/// What follows an operator, and when it is done.
type Next<'a> = (When, &'a str);

/// The text up to `&&` or `||`, and what follows. Quotes hide neither from smrsh.
fn first_command(text: &str) -> Result<(&str, Option<Next<'_>>), Refusal> {
    let special = |c: char| SPECIALS.contains(c) || c == '\0';
    let Some((before, from)) = text.find(special).and_then(|at| text.split_at_checked(at)) else {
        return Ok((text, None));
    };
    if let Some(after) = from.strip_prefix("&&") {
        return Ok((before, Some((When::Success, after))));
    }
    if let Some(after) = from.strip_prefix("||") {
        return Ok((before, Some((When::Failure, after))));
    }
    Err(Refusal::Character(from.chars().next().unwrap_or_default()))
}

/// Words as a shell splits them: at blanks, with `'…'`, `"…"` and `\`.
fn words(text: &str) -> Result<Vec<String>, Refusal> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match (quote, letter) {
            (Some(open), letter) if letter == open => quote = None,
            (None, '\'' | '"') => {
                quote = Some(letter);
                word.get_or_insert_default();
            }
            (None, ' ' | '\t') => words.extend(word.take()),
            // sh(1): a comment. `.forward` files have one, so that no two of them are the same.
            (None, '#') if word.is_none() => break,
            (None | Some('"'), '\\') => {
                let escaped = letters.next().ok_or(Refusal::Quote)?;
                // sh(1): between double quotes a backslash stands for itself before most.
                let stays = quote.is_some() && !matches!(escaped, '"' | '\\');
                word.get_or_insert_default()
                    .extend(stays.then_some('\\').into_iter().chain([escaped]));
            }
            (_, letter) => word.get_or_insert_default().push(letter),
        }
    }
    if quote.is_some() {
        return Err(Refusal::Quote);
    }
    words.extend(word);
    Ok(words)
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("the command is empty"),
            Self::TooLong => write!(f, "command too long: {MAX} bytes are the most"),
            Self::Character(c) => write!(f, "cannot use {} in command", c.escape_default()),
            Self::Quote => f.write_str("a quote or backslash has no end in command"),
            Self::Missing(after) => write!(f, "missing command after {after}"),
            Self::Name(name) => write!(f, "\"{name}\" is no name of a program"),
            Self::ExitCode(code) => write!(f, "\"{code}\" is no exit code"),
            Self::NotOne => f.write_str("not a single program"),
        }
    }
}

impl std::error::Error for Refusal {}

#[cfg(test)]
mod tests;
