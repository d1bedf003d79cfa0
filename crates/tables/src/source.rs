//! Where tables come from: the disk, or what the supervisor gave.

use std::io;

use crate::Read;

/// A directory of tables.
pub trait Source {
    type Error;

    /// Reads the table `name` with `read`. One that is not there is empty; bad lines are skipped.
    ///
    /// # Errors
    /// It cannot be read.
    fn table<T: Default>(&self, name: &str, read: Reader<T>) -> Result<T, Self::Error>;
}

/// What understands a table; its first argument names the file in findings.
pub type Reader<T> = fn(&str, &mut dyn io::Read) -> io::Result<Read<T>>;
