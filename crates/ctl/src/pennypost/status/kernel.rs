//! What the kernel says of a process: `/proc/PID/status`, `limits` and `fd` (proc(5)).

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

/// What is shown of a process.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Kernel {
    pub(super) parent: Option<u32>,
    /// Effective.
    pub(super) uid: Option<u32>,
    pub(super) gid: Option<u32>,
    /// Supplementary.
    pub(super) groups: String,
    /// Effective, permitted, inheritable and ambient ones together.
    pub(super) capabilities: u64,
    pub(super) no_new_privs: bool,
    /// 0 none, 1 strict, 2 filter.
    pub(super) seccomp: u32,
    /// `None`: a kernel before 5.9 does not say.
    pub(super) filters: Option<u32>,
    pub(super) limits: Limits,
    /// How many of each kind; `None`: only root may look.
    pub(super) open: Option<BTreeMap<String, usize>>,
}

/// Hard limits; `None`: unlimited.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Limits {
    pub(super) core: Option<u64>,
    pub(super) descriptors: Option<u64>,
    pub(super) memory: Option<u64>,
    pub(super) locked: Option<u64>,
}

impl Kernel {
    /// # Errors
    /// There is no such process, or none of its files can be read.
    pub(super) fn look(pid: u32) -> io::Result<Self> {
        let process = PathBuf::from(format!("/proc/{pid}"));
        let status = std::fs::read_to_string(process.join("status"))?;
        let limits = std::fs::read_to_string(process.join("limits"))?;
        let open = std::fs::read_dir(process.join("fd")).ok();
        let targets = open.map(|entries| {
            entries.filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok()).collect()
        });
        Ok(Self::read(&status, &limits, targets))
    }

    /// From the text of the files and the targets of the links.
    pub(super) fn read(status: &str, limits: &str, open: Option<Vec<PathBuf>>) -> Self {
        let value = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            line.unwrap_or_default().trim()
        };
        // Real, effective, saved, of the file system.
        let effective = |name| value(name).split_whitespace().nth(1)?.parse().ok();
        let capabilities = |name| u64::from_str_radix(value(name), 16).unwrap_or_default();
        let sets = ["CapEff", "CapPrm", "CapInh", "CapAmb"];
        Self {
            parent: value("PPid").parse().ok(),
            uid: effective("Uid"),
            gid: effective("Gid"),
            groups: value("Groups").to_owned(),
            capabilities: sets.into_iter().fold(0, |all, set| all | capabilities(set)),
            no_new_privs: value("NoNewPrivs") == "1",
            seccomp: value("Seccomp").parse().unwrap_or_default(),
            filters: value("Seccomp_filters").parse().ok(),
            limits: Limits {
                core: hard(limits, "Max core file size"),
                descriptors: hard(limits, "Max open files"),
                memory: hard(limits, "Max data size"),
                locked: hard(limits, "Max locked memory"),
            },
            open: open.map(|targets| count(&targets)),
        }
    }
}

/// `NAME  SOFT  HARD  UNITS`
fn hard(limits: &str, name: &str) -> Option<u64> {
    let values = limits.lines().find_map(|line| line.strip_prefix(name))?;
    values.split_whitespace().nth(1)?.parse().ok()
}

fn count(targets: &[PathBuf]) -> BTreeMap<String, usize> {
    let mut kinds = BTreeMap::new();
    for target in targets {
        *kinds.entry(kind(target)).or_default() += 1;
    }
    kinds
}

/// `socket:[4711]`, `anon_inode:[eventpoll]`, `anon_inode:inotify`, `/a/file`
fn kind(target: &Path) -> String {
    let text = target.to_string_lossy();
    if text.starts_with('/') {
        return if text.starts_with("/dev/") { text.into_owned() } else { "file".to_owned() };
    }
    let (kind, rest) = text.split_once(':').unwrap_or((&text, ""));
    let kind = if kind == "anon_inode" { rest.trim_matches(['[', ']']) } else { kind };
    kind.to_owned()
}
