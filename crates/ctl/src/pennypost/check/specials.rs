//! Programs, files and lists that aliases name: is it all there?

use std::collections::HashSet;
use std::fs;
use std::io::{self, ErrorKind, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use config::{Config, read_table};
use envelope::Special;
use envelope::command::{self, Single};
use ipc::mailbox::MAX_LIST;
use tables::{Aliases, Place, Target, members};

use super::finding::Finding;
use super::ground::written_by_others;

pub(super) fn check(config: &Config, findings: &mut Vec<Finding>) {
    let Some(read) = read_table(config, "aliases", Aliases::read).ok().flatten() else {
        // What cannot be read has been said.
        return;
    };
    let aliases = read.table;
    let mut seen = HashSet::new();
    let mut programs = false;
    for (name, _, place) in aliases.entries() {
        let targets = aliases.get(name).map(|alias| alias.targets).unwrap_or_default();
        for target in targets {
            let Target::Special(special) = target else { continue };
            // What can never be done is a bad line.
            if special.check().is_err() || !seen.insert(special.clone()) {
                continue;
            }
            programs |= matches!(special, Special::Program(_));
            let at_line = |finding| standing(config, &place, finding);
            match &special {
                Special::Program(text) => findings.extend(program(config, text).map(at_line)),
                Special::File(path) => {
                    findings.extend(directory_of(&below_root(config, path)).map(at_line));
                }
                Special::Include(path) => match text_of(&below_root(config, path)) {
                    Ok(text) => list(&below_root(config, path), &text, findings),
                    Err(error) => findings.extend(unreadable(path, &error).map(at_line)),
                },
                Special::CatchAll => {}
            }
        }
    }
    if programs {
        findings.extend(written_by_others(&config.local.programs));
    }
}

fn standing(config: &Config, place: &Place, finding: Finding) -> Finding {
    let file = config.paths.of_source("aliases", &place.file);
    finding.in_file(file.display()).at(Some(place.line), None)
}

fn program(config: &Config, text: &str) -> Option<Finding> {
    let Single { program, .. } = command::single(text).ok()?;
    let directory = &config.local.programs;
    let there = fs::metadata(program.path(directory));
    if there.is_ok_and(|file| file.is_file() && file.mode() & 0o111 != 0) {
        return None;
    }
    let name = program.name();
    let problem = format!("there is no program {name} in {}: its mail waits", directory.display());
    let remedy = format!("if mail may start it, make a link there: ln -s PATH/{name} .");
    Some(Finding::warning(problem, remedy))
}

fn directory_of(path: &Path) -> Option<Finding> {
    let directory = path.parent().unwrap_or(path);
    let is_missing =
        fs::metadata(directory).is_err_and(|error| error.kind() == ErrorKind::NotFound);
    let problem = format!("there is no directory {}: mail waits", directory.display());
    let remedy = "make it, for local.default_user to write there";
    is_missing.then(|| Finding::warning(problem, remedy))
}

/// It may be closed to the caller and open to `local.default_user`.
fn unreadable(path: &str, error: &io::Error) -> Option<Finding> {
    let problem = format!("{path}: {error}; its mail waits");
    let remedy = "write the list, one address on a line";
    let is_told = error.kind() != ErrorKind::PermissionDenied;
    is_told.then(|| Finding::warning(problem, remedy))
}

fn list(path: &Path, text: &str, findings: &mut Vec<Finding>) {
    findings.extend(written_by_others(path));
    let bad = members(text).filter_map(|(line, member)| Some((line, member.err()?)));
    findings.extend(bad.map(|(line, why)| {
        let finding = Finding::warning(why, "the line is skipped, the others count: correct it");
        finding.in_file(path.display()).at(Some(line), None)
    }));
}

fn text_of(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    fs::File::open(path)?.take(MAX_LIST).read_to_string(&mut text)?;
    Ok(text)
}

fn below_root(config: &Config, path: &str) -> PathBuf {
    config.paths.root.join(path.trim_start_matches('/'))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn what_is_missing_is_told_with_the_line_that_names_it() {
        let root = tempfile::tempdir().unwrap();
        let tables = root.path().join("etc/mail");
        fs::create_dir_all(tables.join("smrsh")).unwrap();
        let aliases = "a: |there, |gone\nb: \"|plain x\", /var/no/old, /old\n\
                       c: :include:/list, :include:/none\nd: |gone\ne: |x;y\n";
        for (name, text) in [
            ("pennypost.toml", "hostname = \"here.test\"\n"),
            ("aliases", aliases),
            ("smrsh/there", ""),
            ("smrsh/plain", ""),
        ] {
            fs::write(tables.join(name), text).unwrap();
        }
        let mode = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode));
        mode(&tables.join("smrsh/there"), 0o755).unwrap();
        mode(&tables.join("smrsh"), 0o777).unwrap();
        fs::write(root.path().join("list"), "alice\nno good\n").unwrap();
        mode(&root.path().join("list"), 0o664).unwrap();
        let config = config::load(Some(root.path()), None).unwrap();
        let mut findings = Vec::new();
        check(&config, &mut findings);
        let shown: Vec<_> = findings.iter().map(ToString::to_string).collect();
        let expected = [
            ("etc/mail/aliases:1: ", "no program gone"),
            ("etc/mail/aliases:2: ", "no program plain"),
            ("etc/mail/aliases:2: ", "no directory"),
            ("/list: ", "mode 664"),
            ("/list:2: ", "not a user or an address"),
            ("etc/mail/aliases:3: ", "/none: "),
            ("etc/mail/smrsh: ", "mode 777"),
        ];
        assert_eq!(shown.len(), expected.len(), "{shown:#?}");
        for (shown, (place, what)) in shown.iter().zip(expected) {
            assert!(shown.contains(place) && shown.contains(what), "{place}{what}: {shown}");
        }
    }
}
