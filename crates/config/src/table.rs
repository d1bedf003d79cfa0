//! A table file as it was when it was read.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;

use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};

/// The content of a table, in memory that nobody can change any more: whoever holds the descriptor
/// reads what was checked, whatever becomes of the file.
#[derive(Debug)]
pub struct Table(File);

/// Reads a table from its beginning: other processes have the same open file, and its offset.
#[derive(Debug)]
pub struct Reader<'a> {
    file: &'a File,
    offset: u64,
}

impl Table {
    /// Keeps `content`.
    ///
    /// # Errors
    /// There is no memory or no descriptor left.
    pub fn keep(content: &[u8]) -> io::Result<Self> {
        let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
        let mut file = File::from(memfd_create("table", flags)?);
        file.write_all(content)?;
        fcntl(&file, FcntlArg::F_ADD_SEALS(SealFlag::all()))?;
        Ok(Self(file))
    }

    #[must_use]
    pub const fn reader(&self) -> Reader<'_> {
        Reader { file: &self.0, offset: 0 }
    }

    /// Is this the content?
    #[must_use]
    pub fn holds(&self, content: &[u8]) -> bool {
        let mut own = Vec::with_capacity(content.len());
        self.reader().read_to_end(&mut own).is_ok_and(|_| own == content)
    }
}

impl From<OwnedFd> for Table {
    /// One that was received.
    fn from(fd: OwnedFd) -> Self {
        Self(fd.into())
    }
}

impl AsFd for Table {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl PartialEq for Table {
    fn eq(&self, other: &Self) -> bool {
        let mut content = Vec::new();
        other.reader().read_to_end(&mut content).is_ok() && self.holds(&content)
    }
}

impl Read for Reader<'_> {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        let length = self.file.read_at(room, self.offset)?;
        self.offset += length as u64;
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_kept_stays() {
        let table = Table::keep(b"alice: bob\n").unwrap();
        let copy = Table::from(table.as_fd().try_clone_to_owned().unwrap());
        for file in [&table.0, &copy.0] {
            assert!(file.write_at(b"x", 0).is_err() && file.set_len(0).is_err());
        }
        // Who reads one does not move the other.
        for table in [&table, &copy] {
            assert_eq!(io::read_to_string(table.reader()).unwrap(), "alice: bob\n");
        }
        assert_eq!(table, copy);
        assert_ne!(table, Table::keep(b"alice: bo\n").unwrap());
        assert_ne!(table, Table::keep(b"").unwrap());
    }
}
