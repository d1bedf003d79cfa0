//! The table files: bad lines, and mail for root and postmaster.

use config::{Config, check_tables, read_table};
use tables::{Aliases, Users};

use super::finding::Finding;

pub(super) fn check(config: &Config, findings: &mut Vec<Finding>) {
    findings.extend(check_tables(config).into_iter().map(bad_line));
    // What cannot be read has been said.
    let aliases = read_table(config, "aliases", Aliases::read).ok().flatten();
    let is_alias = |name| aliases.as_ref().is_some_and(|aliases| aliases.table.get(name).is_some());
    let in_table =
        |name: &str, finding: Finding| finding.in_file(config.paths.tables.join(name).display());
    if !config.rooted {
        if !is_alias("root") {
            let user = &config.local.default_user;
            let problem = format!(
                "root has no alias: mail for root goes to root's mailbox, delivered as {user}"
            );
            let finding = Finding::notice(problem, "add a line like \"root: you\"");
            findings.push(in_table("aliases", finding));
        }
        return;
    }
    let users = read_table(config, "users", Users::read).ok().flatten();
    let users = users.map(|read| read.table).unwrap_or_default();
    if users.names().is_empty() {
        let finding = Finding::warning("there is no local user", "write a name on a line of it");
        findings.push(in_table("users", finding));
    }
    // Without an alias of its own, mail for postmaster is mail for root.
    if !is_alias("postmaster") && !is_alias("root") && !users.contains("root") {
        let problem = "mail for postmaster goes nowhere: there is neither an alias postmaster or \
                       root nor a user root";
        let finding = Finding::warning(problem, "add a line like \"postmaster: you\"");
        findings.push(in_table("aliases", finding));
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

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn found(users: &str, aliases: &str) -> Vec<String> {
        let root = tempfile::tempdir().unwrap();
        let tables = root.path().join("etc/mail");
        fs::create_dir_all(&tables).unwrap();
        let files = [
            ("pennypost.toml", "hostname = \"here.test\"\n"),
            ("users", users),
            ("aliases", aliases),
        ];
        for (name, text) in files {
            fs::write(tables.join(name), text).unwrap();
        }
        let config = config::load(Some(root.path()), None).unwrap();
        let mut findings = Vec::new();
        check(&config, &mut findings);
        findings.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn mail_for_postmaster_goes_somewhere() {
        let lost = found("alice\n", "");
        assert_eq!(lost.len(), 1, "{lost:?}");
        assert!(lost[0].contains("aliases: warning: mail for postmaster goes nowhere"), "{lost:?}");
        for (users, aliases) in [
            ("alice\nroot\n", ""),
            ("alice\n", "root: alice\n"),
            ("alice\n", "postmaster: alice\n"),
        ] {
            assert_eq!(found(users, aliases), [""; 0]);
        }
        assert!(found("", "root: a@b.test\n")[0].contains("no local user"));
    }
}
