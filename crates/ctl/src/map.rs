//! `makemap` and `editmap`: the tables of sendmail that have a key and a value on each line.
//!
//! Pennypost reads the text, so the text is the truth, and `editmap` changes it. The database that
//! `makemap` writes is there for Makefiles and scripts that look for it, for `makemap -u`, and for
//! tables that have a `cdb:` source.

mod edit;
mod line;
mod make;
mod write;

use std::process::ExitCode;

pub use edit::main as editmap;
pub use make::main as makemap;

use crate::{Exit, Failure};

/// Kinds of databases that sendmail knows; all of them are the same here.
const TYPES: [&str; 5] = ["hash", "btree", "cdb", "dbm", "implicit"];

/// The arguments of this process, without its name.
fn words() -> impl Iterator<Item = String> {
    std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned())
}

fn finish(command: &str, ended: Result<Exit, Failure>) -> ExitCode {
    crate::finish(command, ended)
}

/// `kind` is one that sendmail has.
fn check_type(kind: &str, map: &str) -> Result<(), Failure> {
    if TYPES.contains(&kind) {
        return Ok(());
    }
    let text = format!("error opening type {kind} map {map}: Unknown database type");
    Err(Failure::new(Exit::CantCreat, text))
}
