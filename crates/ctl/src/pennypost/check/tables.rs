//! The table files: bad lines, and mail for root.

use config::{Config, check_tables, read_table};
use tables::{Aliases, Users};

use super::finding::Finding;

pub(super) fn check(config: &Config, findings: &mut Vec<Finding>) {
    findings.extend(check_tables(config).into_iter().map(bad_line));
    let directory = &config.paths.tables;
    // What cannot be read has been said.
    if config.rooted {
        let users = read_table(config, "users", Users::read).ok().flatten();
        if users.is_none_or(|users| users.table.names().is_empty()) {
            let finding =
                Finding::warning("there is no local user", "write a name on a line of it");
            findings.push(finding.in_file(directory.join("users").display()));
        }
        return;
    }
    let aliases = read_table(config, "aliases", Aliases::read).ok().flatten();
    if aliases.is_none_or(|aliases| aliases.table.get("root").is_none()) {
        let default_user = &config.local.default_user;
        let problem = format!(
            "root has no alias: mail for root goes to root's mailbox, delivered as {default_user}"
        );
        let finding = Finding::notice(problem, "add a line like \"root: you\"");
        findings.push(finding.in_file(directory.join("aliases").display()));
    }
}

fn bad_line(found: tables::Finding) -> Finding {
    let finding = if found.unsupported {
        Finding::error(found.text, "")
    } else {
        Finding::warning(found.text, "the line is skipped, the others count: correct it")
    };
    finding.in_file(found.file).at(Some(found.line), None)
}
