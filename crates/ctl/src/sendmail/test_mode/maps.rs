//! `/map NAME KEY`, and `$=w`: the tables by the names that sendmail has for them.

use std::io::{self, Write};

use config::OnDisk;
use envelope::printable;
use tables::{Names, Source, TrustedUsers};

use super::Bench;

impl Bench<'_> {
    pub(super) fn map(&self, text: &str, out: &mut impl Write) -> io::Result<()> {
        let Some((name, key)) = text.split_once(char::is_whitespace) else {
            return writeln!(out, "No key specified");
        };
        let key = &*key.trim().to_lowercase();
        let router = &self.router;
        let found = match name {
            "access" => self.policy.access.raw(key),
            "aliases" | "alias" => self.routes.router.aliases.raw(key),
            "domaintable" => router.domaintable.raw(key),
            "generics" => self.border.genericstable().raw(key),
            "mailertable" => router.mailertable.raw(key),
            "virtuser" => router.virtusertable.raw(key),
            _ => return writeln!(out, "Map named \"{}\" not found", printable(name)),
        };
        let (name, shown) = (printable(name), printable(key));
        match found {
            Some((value, place)) => {
                let value = printable(value);
                writeln!(out, "  {place}: {shown} {value}")?;
                writeln!(out, "map_lookup: {name} ({shown}) returns {value} (0)")
            }
            None => writeln!(out, "map_lookup: {name} ({shown}) no match (0)"),
        }
    }

    /// The members of a class, with what `.C` added.
    pub(super) fn class(&self, name: &str) -> Vec<String> {
        let mut members = match name {
            "w" => self.local_names(),
            "m" => vec![self.macros.get("m").unwrap_or_default().to_owned()],
            "R" => self.names("relay-domains"),
            "t" => self.trusted(),
            "M" => self.names("masquerade-domains"),
            "G" => self.names("generics-domains"),
            "VirtHost" => self.names("virtuser-domains"),
            _ => Vec::new(),
        };
        members.extend(self.macros.class(name).iter().cloned());
        members
    }

    /// The names of a table; a table that cannot be read is told elsewhere.
    fn names(&self, table: &str) -> Vec<String> {
        let tables = OnDisk(&self.routes.config);
        let names = tables.table(table, |file, source| Names::read(file, source));
        let names = names.unwrap_or_default();
        names.iter().map(|(name, _)| name.to_owned()).collect()
    }

    fn trusted(&self) -> Vec<String> {
        let always = TrustedUsers::ALWAYS.map(str::to_owned).to_vec();
        let mut named = self.names("trusted-users");
        named.retain(|name| !always.contains(name));
        [always, named].concat()
    }

    fn local_names(&self) -> Vec<String> {
        let local = &self.router.local;
        let mut names = vec![local.hostname.clone(), "localhost".to_owned()];
        names.extend(local.names.iter().map(|(name, _)| name.to_owned()));
        names.extend(local.addresses.iter().map(|address| format!("[{address}]")));
        names
    }
}
