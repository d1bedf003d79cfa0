//! What a process says that it will do. Everything else the kernel refuses it from then on.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// A declaration: one line in each daemon's `main.rs`, carried out by `daemon::sandbox::enter`,
/// shown by `pennypost status --sandbox`, and attacked by `tests/sandbox`.
///
/// Every process may compute, wait, read and write what it was given, and make socketpairs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sandbox {
    /// Below these it makes, reads, writes, renames and removes files.
    pub directories: Vec<PathBuf>,
    /// Below these it reads files.
    pub read_only: Vec<PathBuf>,
    /// Unix sockets that it calls, whether they are there or not.
    pub sockets: Vec<PathBuf>,
    pub permits: BTreeSet<Permit>,
    /// Descriptors at a time (RLIMIT_NOFILE).
    pub descriptors: u64,
    /// Bytes of memory (RLIMIT_DATA).
    pub memory: u64,
}

/// What some processes may do, and others may not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Permit {
    /// Accept clients on the listeners that it was given.
    Accept,
    /// Call out: TCP, and UDP for the DNS. Never listen.
    CallOut,
    /// Ask the name service for users: reads its files and modules, and asks its daemons.
    NameService,
    /// Start threads.
    Threads,
    /// Be told when a directory changes.
    Watch,
}

/// A declaration that is in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confinement {
    pub sandbox: Sandbox,
    /// The version of Landlock in force, which the kernel shows to nobody else; `None`: it has
    /// none, and files and TCP are kept away by the other rules only.
    pub landlock: Option<u32>,
}

impl Sandbox {
    /// As many as the supervisor allows its daemons: 1,000 sessions with their requests, eight times.
    pub const DESCRIPTORS: u64 = 16 * 1024;
    /// A process that wants more than this is broken, or taken over.
    pub const MEMORY: u64 = 1 << 30;

    #[must_use]
    pub fn new() -> Self {
        Self {
            directories: Vec::new(),
            read_only: Vec::new(),
            sockets: Vec::new(),
            permits: BTreeSet::new(),
            descriptors: Self::DESCRIPTORS,
            memory: Self::MEMORY,
        }
    }

    /// Files below `path`, which is there.
    #[must_use]
    pub fn directory(mut self, path: &Path) -> Self {
        self.directories.push(path.to_owned());
        self
    }

    /// Files below `path`, which is there, as they are.
    #[must_use]
    pub fn read_only(mut self, path: &Path) -> Self {
        self.read_only.push(path.to_owned());
        self
    }

    /// Unix sockets of others.
    #[must_use]
    pub fn sockets(mut self, paths: impl IntoIterator<Item = PathBuf>) -> Self {
        self.sockets.extend(paths);
        self
    }

    /// [`Permit`]
    #[must_use]
    pub fn permit(mut self, permit: Permit) -> Self {
        self.permits.insert(permit);
        self
    }

    /// Descriptors at a time.
    #[must_use]
    pub const fn descriptors(mut self, count: u64) -> Self {
        self.descriptors = count;
        self
    }

    /// Bytes of memory.
    #[must_use]
    pub const fn memory(mut self, bytes: u64) -> Self {
        self.memory = bytes;
        self
    }

    #[must_use]
    pub fn may(&self, permit: Permit) -> bool {
        self.permits.contains(&permit)
    }
}

impl Default for Sandbox {
    fn default() -> Self {
        Self::new()
    }
}
