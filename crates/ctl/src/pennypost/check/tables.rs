//! The table files: bad lines, virtual users of whom nobody asks, and mail for root and postmaster.

use std::collections::HashSet;

use config::{Config, check_tables, read_table};
use envelope::Address;
use tables::{Access, Aliases, Authinfo, LocalDomains, Names, Place, SECRET, Users, Virtusertable};

use super::finding::Finding;

pub(super) fn check(config: &Config, findings: &mut Vec<Finding>) {
    findings.extend(check_tables(config).into_iter().map(bad_line));
    findings.extend(unasked(config));
    findings.extend(unused(config));
    findings.extend(early(config));
    // What cannot be read has been said.
    let aliases = read_table(config, "aliases", Aliases::read).ok().flatten();
    let is_alias = |name| aliases.as_ref().is_some_and(|aliases| aliases.table.get(name).is_some());
    let in_table = |name: &str, finding: Finding| {
        let first = config.paths.of_table(name).into_iter().next();
        finding.in_file(first.map_or_else(|| name.into(), |source| source.path).display())
    };
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

/// Lines of virtusertable for domains whose mail does not come here.
fn unasked(config: &Config) -> Vec<Finding> {
    let names = |name| read_table(config, name, Names::read).ok().flatten();
    let names = |name| names(name).map(|read| read.table).unwrap_or_default();
    let local = LocalDomains {
        hostname: config.hostname.clone(),
        names: names("local-host-names"),
        addresses: config.addresses.clone(),
        virtual_names: names("virtuser-domains"),
    };
    let read = read_table(config, "virtusertable", Virtusertable::read).ok().flatten();
    let table = read.map(|read| read.table).unwrap_or_default();
    let ours = |domain| Address::new("x", domain).is_ok_and(|it| local.find(&it).is_some());
    let mut told = HashSet::new();
    let unasked = table.domains().filter(|(domain, _)| !ours(domain) && told.insert(*domain));
    let finding = |(domain, place): (&str, Place)| {
        let problem = format!("mail for {domain} does not come here: its lines have no effect");
        let remedy = "add it to local-host-names or virtuser-domains";
        let file = config.paths.of_source("virtusertable", &place.file);
        Finding::warning(problem, remedy).in_file(file.display()).at(Some(place.line), None)
    };
    unasked.map(finding).collect()
}

/// Credentials, which wait for TLS.
fn unused(config: &Config) -> Vec<Finding> {
    let read = read_table(config, SECRET, Authinfo::read).ok().flatten();
    let table = read.map(|read| read.table).unwrap_or_default();
    let notice = |(server, place): (&str, Place)| {
        let server = if server.is_empty() { "all servers" } else { server };
        let problem = format!("the credentials for {server} are not used yet: mail goes without");
        let finding = Finding::notice(problem, "they are never sent without TLS");
        finding
            .in_file(config.paths.of_source(SECRET, &place.file).display())
            .at(Some(place.line), None)
    };
    table.entries().map(notice).collect()
}

/// Lines of access that speak of AUTH and TLS.
fn early(config: &Config) -> Option<Finding> {
    let read = read_table(config, "access", Access::read).ok().flatten()?;
    let place = read.table.early()?;
    let problem = "Srv_Features: nobody is offered AUTH and TLS yet: letters about them do nothing";
    let finding = Finding::notice(problem, "the line can stay, with all others like it");
    let file = config.paths.of_source("access", &place.file);
    Some(finding.in_file(file.display()).at(Some(place.line), None))
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
    fn virtual_users_of_other_domains_are_told() {
        let root = tempfile::tempdir().unwrap();
        let tables = root.path().join("etc/mail");
        fs::create_dir_all(&tables).unwrap();
        for (name, text) in [
            ("pennypost.toml", "hostname = \"here.test\"\n"),
            ("local-host-names", "ours.test\n"),
            ("virtuser-domains", "virt.test\n"),
            (
                "virtusertable",
                "a@ours.test x\n@virt.test x\nb@far.test x\n@far.test x\nc@here.test x\n",
            ),
        ] {
            fs::write(tables.join(name), text).unwrap();
        }
        let config = config::load(Some(root.path()), None).unwrap();
        let found = unasked(&config).iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].contains("virtusertable:3: warning: mail for far.test"), "{found:?}");
    }

    #[test]
    fn letters_about_what_there_is_not_yet_are_told_once() {
        let root = tempfile::tempdir().unwrap();
        let tables = root.path().join("etc/mail");
        fs::create_dir_all(&tables).unwrap();
        let said = |access: &str| {
            fs::write(tables.join("pennypost.toml"), "hostname = \"here.test\"\n").unwrap();
            fs::write(tables.join("access"), access).unwrap();
            let config = config::load(Some(root.path()), None).unwrap();
            early(&config).map(|finding| finding.to_string())
        };
        assert_eq!(said("Srv_Features:10.1 P D\n"), None);
        let told = said("Srv_Features:10.1 P\nSrv_Features: A\nSrv_Features:10.2 S\n").unwrap();
        assert!(told.contains("access:2: notice: Srv_Features: nobody is offered"), "{told}");
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
