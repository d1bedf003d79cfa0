//! `pennypost status --sandbox`: what the kernel says of each process, beside what the process
//! declared, and where the two differ.

use std::io::{self, Write};

use envelope::printable;
use ipc::admin::{Process, SystemStatus};
use ipc::sandbox::{Permit, Sandbox};
use serde_json::{Value, json};

use super::kernel::Kernel;
use crate::listing::{Table, json_line};

/// Before a line on which the two differ.
const DIFFERS: &str = "!";
/// The mode of seccomp in which filters decide (proc(5)).
const FILTER: u32 = 2;
/// The kernel shows it to nobody.
const UNSHOWN: &str = "-";

/// Everything that is shown.
#[derive(Debug)]
pub(super) struct Report {
    processes: Vec<Shown>,
}

/// One process.
#[derive(Debug)]
struct Shown {
    name: String,
    pid: Option<u32>,
    declared: Option<Sandbox>,
    landlock: Option<u32>,
    facts: Vec<Fact>,
}

/// One line.
#[derive(Debug)]
struct Fact {
    what: &'static str,
    found: String,
    declared: String,
    agrees: bool,
}

impl Report {
    /// `look` asks the kernel.
    pub(super) fn make(system: &SystemStatus, look: impl Fn(u32) -> io::Result<Kernel>) -> Self {
        let looked: Vec<_> =
            system.processes.iter().map(|process| (process, process.pid.map(&look))).collect();
        let mut parents = looked.iter().filter_map(|(_, it)| it.as_ref()?.as_ref().ok()?.parent);
        let supervisor = parents.next().and_then(|pid| Some((pid, look(pid).ok()?)));
        let own = supervisor.as_ref().map(|(_, kernel)| kernel.clone());
        let supervisor = supervisor.map(|(pid, kernel)| Shown::supervisor(pid, &kernel));
        let daemons = looked.iter().map(|(process, kernel)| {
            let facts = match kernel {
                None => vec![Fact::new("state", "restarting".to_owned(), String::new(), true)],
                Some(Err(error)) => vec![Fact::only("state", error.to_string())],
                Some(Ok(kernel)) => facts(process, kernel, own.as_ref()),
            };
            let confinement = process.confinement.as_ref();
            Shown {
                name: process.name.clone(),
                pid: process.pid,
                declared: confinement.map(|it| it.sandbox.clone()),
                landlock: confinement.and_then(|it| it.landlock),
                facts,
            }
        });
        Self { processes: supervisor.into_iter().chain(daemons).collect() }
    }

    /// Does the kernel say what each process declared?
    pub(super) fn agrees(&self) -> bool {
        self.processes.iter().all(|process| process.facts.iter().all(|fact| fact.agrees))
    }

    pub(super) fn write(&self, out: &mut impl Write) -> io::Result<()> {
        for Shown { name, pid, facts, .. } in &self.processes {
            let pid = pid.map_or_else(String::new, |pid| format!(", pid {pid}"));
            writeln!(out, "{}{pid}", printable(name))?;
            let mut table = Table::new(["", "", "KERNEL", "DECLARED"]);
            for Fact { what, found, declared, agrees } in facts {
                let cells = [mark(*agrees), what, found, declared];
                table.row(cells.map(|cell| printable(cell).to_string()));
            }
            table.write(out)?;
            writeln!(out)?;
        }
        let verdict = match self.agrees() {
            true => "Every process is confined as it declared.",
            false => "Lines with ! differ from what was declared.",
        };
        writeln!(out, "{verdict}")
    }

    pub(super) fn write_json(&self, out: &mut impl Write) -> io::Result<()> {
        for Shown { name, pid, declared, landlock, facts } in &self.processes {
            let found: serde_json::Map<String, Value> =
                facts.iter().map(|fact| (fact.what.to_owned(), json!(fact.found))).collect();
            let differs: Vec<_> =
                facts.iter().filter(|fact| !fact.agrees).map(|fact| fact.what).collect();
            let object = json!({
                "kind": "sandbox", "name": name, "pid": pid,
                "declared": declared, "landlock": landlock, "found": found, "differs": differs,
            });
            json_line(&object, out)?;
        }
        Ok(())
    }
}

impl Shown {
    /// It is root, or whoever started it, and starts the others.
    fn supervisor(pid: u32, kernel: &Kernel) -> Self {
        let mut facts = found(kernel);
        for fact in &mut facts {
            fact.agrees = true;
        }
        Self {
            name: "supervisor (not confined)".to_owned(),
            pid: Some(pid),
            declared: None,
            landlock: None,
            facts,
        }
    }
}

impl Fact {
    fn new(what: &'static str, found: String, declared: String, agrees: bool) -> Self {
        Self { what, found, declared, agrees }
    }

    /// Nothing was declared.
    fn only(what: &'static str, found: String) -> Self {
        Self::new(what, found, String::new(), false)
    }

    /// What the kernel does not show.
    fn said(what: &'static str, declared: String) -> Self {
        Self::new(what, UNSHOWN.to_owned(), declared, true)
    }

    /// What must be the same.
    fn same(what: &'static str, found: String, declared: String) -> Self {
        let agrees = found == declared;
        Self::new(what, found, declared, agrees)
    }
}

/// What the kernel says of a process that declared nothing.
fn found(kernel: &Kernel) -> Vec<Fact> {
    vec![
        Fact::only("uid", id(kernel.uid)),
        Fact::only("gid", id(kernel.gid)),
        Fact::only("groups", list(&kernel.groups)),
        Fact::only("capabilities", capabilities(kernel)),
        Fact::only("no_new_privs", yes(kernel.no_new_privs)),
        Fact::only("seccomp", seccomp(kernel)),
        Fact::only("core", limit(kernel.limits.core)),
        Fact::only("memory", limit(kernel.limits.memory)),
        Fact::only("locked memory", limit(kernel.limits.locked)),
        Fact::only("descriptors", limit(kernel.limits.descriptors)),
        Fact::only("open", open(kernel)),
    ]
}

/// `own`: what the kernel says of the supervisor, whose uid a process keeps under `--root`.
fn facts(process: &Process, kernel: &Kernel, own: Option<&Kernel>) -> Vec<Fact> {
    let Some(confinement) = &process.confinement else {
        let mut facts = found(kernel);
        facts.push(Fact::only("sandbox", "not entered".to_owned()));
        return facts;
    };
    let Sandbox { directories, read_only, sockets, permits, descriptors, memory } =
        &confinement.sandbox;
    let (uid, gid, groups) = match (process.identity, own) {
        (Some((uid, gid)), _) => (id(Some(uid)), id(Some(gid)), list("")),
        (None, Some(own)) => (id(own.uid), id(own.gid), list(&own.groups)),
        (None, None) => (id(kernel.uid), id(kernel.gid), list(&kernel.groups)),
    };
    let landlock = confinement
        .landlock
        .map_or_else(|| "this kernel has none".to_owned(), |version| format!("version {version}"));
    let below = directories.iter().map(|path| format!("below {}", path.display()));
    let reads = read_only.iter().map(|path| format!("read-only below {}", path.display()));
    let sockets = sockets.iter().map(|path| format!("the socket {}", path.display()));
    let files: Vec<_> = below.chain(reads).chain(sockets).collect();
    let permits: Vec<_> = permits.iter().copied().map(permit).collect();
    let limits = &kernel.limits;
    // Some run the supervisor itself under filters (containers, systemd).
    let before = own.and_then(|own| own.filters).unwrap_or_default();
    let filtered = kernel.seccomp == FILTER && kernel.filters.is_none_or(|all| all > before);
    vec![
        Fact::same("uid", id(kernel.uid), uid),
        Fact::same("gid", id(kernel.gid), gid),
        Fact::same("groups", list(&kernel.groups), groups),
        Fact::same("capabilities", capabilities(kernel), list("")),
        Fact::same("no_new_privs", yes(kernel.no_new_privs), yes(true)),
        Fact::new(
            "seccomp",
            seccomp(kernel),
            "1 filter more than its supervisor".to_owned(),
            filtered,
        ),
        Fact::same("core", limit(limits.core), limit(Some(0))),
        at_most("memory", limits.memory, *memory),
        at_most("locked memory", limits.locked, 0),
        at_most("descriptors", limits.descriptors, *descriptors),
        Fact::new("open", open(kernel), String::new(), true),
        Fact::said("landlock", landlock),
        Fact::said("files", list(&files.join(", "))),
        Fact::said("may", list(&permits.join(", "))),
    ]
}

/// The hard limit of whoever started it may have been lower.
fn at_most(what: &'static str, found: Option<u64>, declared: u64) -> Fact {
    let agrees = found.is_some_and(|found| found <= declared);
    Fact::new(what, limit(found), format!("at most {declared}"), agrees)
}

const fn mark(agrees: bool) -> &'static str {
    if agrees { " " } else { DIFFERS }
}

fn id(id: Option<u32>) -> String {
    id.map_or_else(|| "not known".to_owned(), |id| id.to_string())
}

fn list(items: &str) -> String {
    if items.is_empty() { "none".to_owned() } else { items.to_owned() }
}

fn yes(yes: bool) -> String {
    if yes { "yes" } else { "no" }.to_owned()
}

fn capabilities(kernel: &Kernel) -> String {
    match kernel.capabilities {
        0 => list(""),
        some => format!("{some:#x}"),
    }
}

fn seccomp(kernel: &Kernel) -> String {
    match (kernel.seccomp, kernel.filters) {
        (FILTER, Some(1)) => "1 filter".to_owned(),
        (FILTER, Some(filters)) => format!("{filters} filters"),
        (FILTER, None) => "filtered".to_owned(),
        _ => list(""),
    }
}

fn limit(limit: Option<u64>) -> String {
    limit.map_or_else(|| "unlimited".to_owned(), |limit| limit.to_string())
}

fn open(kernel: &Kernel) -> String {
    let Some(kinds) = &kernel.open else {
        return "only root may look".to_owned();
    };
    let all: usize = kinds.values().sum();
    let kinds: Vec<_> = kinds.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
    format!("{all}: {}", kinds.join(", "))
}

fn permit(permit: Permit) -> &'static str {
    match permit {
        Permit::Accept => "accept clients",
        Permit::CallOut => "call out",
        Permit::NameService => "ask the name service",
        Permit::Threads => "start threads",
        Permit::Watch => "watch directories",
    }
}

#[cfg(test)]
mod tests;
