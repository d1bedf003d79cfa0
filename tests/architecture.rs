//! The architecture as a test: who may depend on whom, who stays pure, which licences and
//! duplicate versions there are, and whether the list of RFCs is true.
//!
//! What docs/ARCHITECTURE.md says in words, `cargo metadata` and the sources say here.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// What each library of ours may use of the others; everything else is a daemon or `ctl`.
const LIBRARIES: &[(&str, &[&str])] = &[
    ("envelope", &[]),
    ("smtp", &["envelope"]),
    ("message", &["envelope"]),
    ("tables", &["envelope"]),
    ("ipc", &["envelope"]),
    ("net", &["envelope", "smtp"]),
    ("routing", &["envelope", "tables"]),
    ("policy", &["envelope", "tables", "routing"]),
    ("config", &["envelope", "tables", "routing", "policy"]),
    ("daemon", &["envelope", "tables", "config", "ipc"]),
    ("ground", &["config", "daemon"]),
];

/// What only these may link: a crate's manifest is its pledge. `deny.toml` says the same.
const PLEDGES: &[(&str, &[&str])] = &[
    ("redb", &["qmgr", "policyd"]),
    ("hickory-resolver", &["net"]),
    ("toml", &["config"]),
    ("rustls", &["smtpd", "net", "keyd"]),
    ("landlock", &["daemon"]),
    ("seccompiler", &["daemon"]),
];

/// No files, sockets, threads or clock.
const PURE: &[&str] = &["envelope", "smtp", "message", "routing", "policy"];

/// What the pure crates may link: nothing here opens anything by itself.
const PURE_DEPENDENCIES: &[&str] =
    &["serde", "memchr", "jiff", "mail-builder", "mail-parser", "ipnet", "fastrand", "idna"];

/// What a pure crate's source does not say outside its tests.
const IMPURE: &[&str] = &[
    "fs::",
    "thread::",
    "process::",
    "env::",
    "TcpStream",
    "TcpListener",
    "UdpSocket",
    "UnixStream",
    "UnixListener",
    "SystemTime",
    "now(",
    "stdin(",
    "stdout(",
    "stderr(",
];

const LICENCES: &[&str] = &[
    "MIT",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "ISC",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
    "0BSD",
];

/// Lines of code of the supervisor, who is root (docs/adr/0006).
const MAX_SUPERVISOR: usize = 1_200;

/// Packages of which two versions are linked, and why nothing can be done about it here.
const DUPLICATES: &[(&str, &str)] =
    &[("syn", "landlock's enumflags2 is built with an older one; neither is in an executable")];

#[test]
fn dependencies_point_one_way() {
    let mut wrong = Vec::new();
    for package in members() {
        let name = text(&package, "name");
        let Some(allowed) = allowed_for(name) else { continue };
        for dependency in dependencies(&package).filter(|dependency| !is_for_tests(dependency)) {
            let on = text(dependency, "name");
            if dependency.get("path").is_some() && !allowed.contains(&on) {
                wrong.push(format!("{name} must not depend on {on}"));
            }
        }
    }
    assert_eq!(wrong, [""; 0]);
}

/// The libraries of ours that `name` may use; `None`: tests may use everything.
fn allowed_for(name: &str) -> Option<Vec<&'static str>> {
    if name == "pennypost-tests" {
        return None;
    }
    let library = LIBRARIES.iter().find(|(library, _)| *library == name);
    Some(library.map_or_else(
        || LIBRARIES.iter().map(|(library, _)| *library).collect(),
        |(_, allowed)| allowed.to_vec(),
    ))
}

#[test]
fn a_manifest_is_a_pledge() {
    let mut broken = Vec::new();
    for package in members() {
        let name = text(&package, "name");
        for dependency in dependencies(&package) {
            let on = text(dependency, "name");
            let pledge = PLEDGES.iter().find(|(what, _)| *what == on);
            if pledge.is_some_and(|(_, owners)| !owners.contains(&name)) {
                broken.push(format!("{name} links {on}"));
            }
        }
        let manifest = read(Path::new(text(&package, "manifest_path")));
        let is_product = allowed_for(name).is_some();
        if is_product && !manifest.contains("[lints]\nworkspace = true") {
            broken.push(format!("{name} does not keep the lints of the workspace"));
        }
    }
    assert_eq!(broken, [""; 0]);
}

#[test]
fn pure_crates_are_pure() {
    let mut impure = Vec::new();
    for package in members().iter().filter(|package| PURE.contains(&text(package, "name"))) {
        let name = text(package, "name");
        for dependency in dependencies(package).filter(|dependency| !is_for_tests(dependency)) {
            let on = text(dependency, "name");
            if dependency.get("path").is_none() && !PURE_DEPENDENCIES.contains(&on) {
                impure.push(format!("{name} links {on}"));
            }
        }
        for file in files_below(&root().join("crates").join(name).join("src"), &["rs"]) {
            let code = product(&file);
            impure.extend(
                IMPURE
                    .iter()
                    .filter(|word| says(&code, word))
                    .map(|word| format!("{} says {word}", file.display())),
            );
        }
    }
    assert_eq!(impure, [""; 0]);
}

/// A source file without its tests.
fn product(file: &Path) -> String {
    if file.ends_with("tests.rs") {
        return String::new();
    }
    let source = read(file);
    source.split("#[cfg(test)]").next().unwrap_or_default().to_owned()
}

/// Does `code` have this word, with no letter before it, outside comments?
fn says(code: &str, word: &str) -> bool {
    code.lines().filter(|line| !line.trim_start().starts_with("//")).any(|line| {
        line.match_indices(word).any(|(at, _)| {
            !line
                .get(..at)
                .is_some_and(|before| before.ends_with(|c: char| c.is_alphanumeric() || c == '_'))
        })
    })
}

/// What runs as root is small enough to be read at a sitting.
#[test]
fn the_supervisor_is_small() {
    let sources = files_below(&root().join("crates/supervisor/src"), &["rs"]);
    assert!(!sources.is_empty());
    let counted = |line: &&str| !line.trim().is_empty() && !line.trim_start().starts_with("//");
    let lines = sources.iter().map(|file| product(file).lines().filter(counted).count());
    let lines: usize = lines.sum();
    assert!(lines <= MAX_SUPERVISOR, "{lines} lines of code");
}

#[test]
fn licences_are_permissive() {
    let free = ["MIT", "MIT/Apache-2.0", "GPL-3.0 OR MIT", "(MIT OR Apache-2.0) AND Unicode-3.0"];
    assert!(free.iter().all(|expression| is_allowed(expression)));
    let other = ["", "GPL-3.0", "MIT AND GPL-3.0", "(MIT OR GPL-3.0) AND (AGPL-3.0 OR SSPL-1.0)"];
    assert!(!other.iter().any(|expression| is_allowed(expression)));
    let refused: Vec<_> =
        linked().into_iter().filter(|package| !is_allowed(&package.licence)).collect();
    assert_eq!(refused, []);
}

/// An SPDX expression of which some choice is wholly in [`LICENCES`]; parentheses only around
/// whole operands of AND, which is how they are met.
fn is_allowed(expression: &str) -> bool {
    let expression = expression.replace('/', " OR ");
    let inside = |operand: &str| operand.trim().trim_matches(['(', ')']).trim().to_owned();
    let mut depth = 0;
    let mut operands = vec![String::new()];
    for word in expression.split_whitespace() {
        depth += word.matches('(').count();
        if depth == 0 && word == "AND" {
            operands.push(String::new());
        } else if let Some(operand) = operands.last_mut() {
            operand.push_str(word);
            operand.push(' ');
        }
        depth -= word.matches(')').count();
    }
    operands.iter().all(|operand| {
        inside(operand).split(" OR ").any(|licence| LICENCES.contains(&inside(licence).as_str()))
    })
}

#[test]
fn duplicate_versions_are_known() {
    let mut versions: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for package in linked() {
        versions.entry(package.name).or_default().insert(package.version);
    }
    let found: BTreeSet<&str> =
        versions.iter().filter(|(_, all)| all.len() > 1).map(|(name, _)| name.as_str()).collect();
    let known: BTreeSet<&str> = DUPLICATES.iter().map(|(name, _)| *name).collect();
    assert_eq!(found, known, "{versions:?}");
}

#[test]
fn the_list_of_rfcs_is_true() {
    let mut mentioned: BTreeMap<u32, PathBuf> = BTreeMap::new();
    for folder in ["crates", "tests", "fuzz/fuzz_targets"] {
        for file in files_below(&root().join(folder), &["rs", "smtp"]) {
            for number in rfcs_in(&read(&file)) {
                mentioned.entry(number).or_insert_with(|| file.clone());
            }
        }
    }
    let list = read(&root().join("docs/rfcs.md"));
    let listed: BTreeSet<u32> = list
        .lines()
        .filter_map(|line| line.strip_prefix("| ")?.split(' ').next()?.parse().ok())
        .collect();
    let missing: Vec<_> = mentioned.iter().filter(|(number, _)| !listed.contains(number)).collect();
    let unused: Vec<_> = listed.iter().filter(|number| !mentioned.contains_key(number)).collect();
    assert!(missing.is_empty() && unused.is_empty(), "not listed: {missing:?}; unused: {unused:?}");
}

/// `docs/flow.md` names files below `crates/`, and after each of them functions that are in it.
#[test]
fn the_flow_names_what_there_is() {
    let text = read(&root().join("docs/flow.md"));
    let mut wrong = Vec::new();
    let mut file = String::new();
    let mut names = 0;
    for code in text.split('`').skip(1).step_by(2) {
        if code.ends_with(".rs") {
            file = read(&root().join("crates").join(code));
        } else if let Some(function) = code.strip_suffix("()") {
            names += 1;
            if !says(&file, &format!("fn {function}")) {
                wrong.push(code);
            }
        }
    }
    assert!(names > 0 && wrong.is_empty(), "not in the file named before: {wrong:?}");
}

/// What a test asks for with `installed("swaks", "swaks")` is on the list of `.ci/run`, so that no
/// test is skipped there.
#[test]
fn ci_installs_what_the_tests_run() {
    let ci = read(&root().join(".ci/run"));
    let tests = files_below(&root().join("tests"), &["rs"]).into_iter();
    let sources: String =
        tests.filter(|file| !file.ends_with("architecture.rs")).map(|file| read(&file)).collect();
    let asked: BTreeSet<String> = sources
        .split("installed(\"")
        .skip(1)
        .filter_map(|call| Some(call.split_once("\")")?.0.replace("\", \"", ":")))
        .collect();
    let missing: Vec<_> =
        asked.iter().filter(|item| !ci.split_whitespace().any(|word| word == *item)).collect();
    assert!(!asked.is_empty() && missing.is_empty(), "not in .ci/run: {missing:?}");
}

fn rfcs_in(source: &str) -> Vec<u32> {
    let after_rfc = source.split("RFC ").skip(1);
    let digits =
        after_rfc.map(|rest| rest.split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default());
    digits.filter_map(|digits| digits.parse().ok()).collect()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ is in the root").to_owned()
}

fn read(file: &Path) -> String {
    std::fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

fn files_below(folder: &Path, endings: &[&str]) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten() {
            let path = entry.expect("a readable folder").path();
            if path.is_dir() {
                folders.push(path);
            } else if path
                .extension()
                .is_some_and(|end| endings.iter().any(|wanted| end == *wanted))
            {
                files.push(path);
            }
        }
    }
    files
}

/// Our own packages, as `cargo metadata` tells of them.
fn members() -> Vec<Value> {
    let output = cargo(&["metadata", "--format-version=1", "--no-deps"]);
    let metadata: Value = serde_json::from_str(&output).expect("cargo metadata is JSON");
    metadata["packages"].as_array().cloned().unwrap_or_default()
}

/// One line of `cargo tree`.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Linked {
    name: String,
    version: String,
    licence: String,
}

/// Everything that is linked on this platform, into executables and tests.
fn linked() -> BTreeSet<Linked> {
    let format = "{p}|{l}";
    let output =
        cargo(&["tree", "--workspace", "--prefix=none", "--no-dedupe", "--format", format]);
    output.lines().filter(|line| !line.is_empty()).map(linked_in).collect()
}

/// `name v1.2.3 (where)|licence`
fn linked_in(line: &str) -> Linked {
    let (package, licence) = line.split_once('|').unwrap_or((line, ""));
    let mut words = package.split(' ').map(str::to_owned);
    let name = words.next().unwrap_or_default();
    Linked { name, version: words.next().unwrap_or_default(), licence: licence.to_owned() }
}

fn cargo(arguments: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO"));
    command.args(arguments).args(["--offline", "--locked"]).current_dir(root());
    let output = command.output().expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("cargo writes UTF-8")
}

fn dependencies(package: &Value) -> impl Iterator<Item = &Value> {
    package["dependencies"].as_array().into_iter().flatten()
}

fn is_for_tests(dependency: &Value) -> bool {
    dependency["kind"].as_str() == Some("dev")
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_else(|| panic!("no {key} in {value}"))
}
